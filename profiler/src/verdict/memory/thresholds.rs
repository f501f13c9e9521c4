//! From where on a loss is harm, and who counts as taking. All numbers that decide are here, each
//! with its reason.

use crate::verdict::bar::Bar;

/// A victim that reads a file of its own 20 times a second beside a streamer lost 0.5 to 7 % of its
/// windows in reclaim and to refaults, and took up to 4 times as long for a pass (measured, kernel
/// 6.18): that is to be found.
pub(super) const OTHERS: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.005,
    of_want: 0.025,
};

/// For what a party does to itself: nobody is accused, but it is worth a line only when it shows. A
/// container that streams files through its own limit reclaims all the time at little cost.
pub(super) const ITSELF: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.01,
    of_want: 0.05,
};

/// Losses below this are a handful of reclaims, whatever the length of the window.
const LEAST_HARM: f64 = 0.005;

/// Who asked for less than this part of what ran out stands still: accounting in batches of 64 pages
/// a CPU, and pages that come and go, move everybody a little.
pub(super) const MOVES: f64 = 0.01;

/// The same in bytes, for small limits.
pub(super) const MOVES_LEAST: f64 = 1_048_576.0;

/// Who asked for less than this part of what all asked for did not cause it.
pub(super) const PART_OF_DEMAND: f64 = 0.05;

/// A victim that has less than this part of its claim took nothing beyond it, it is getting back what
/// it lost: reclaim works in batches and by age, not to the byte.
pub(super) const DEPRIVED: f64 = 0.9;

/// Others count as takers from this part of their claim on. The kernel gives pages that are used once
/// a small place only, so that a streamer may hold little; who thrashes because of it holds less yet.
pub(super) const AMONG_TAKERS: f64 = 0.5;

/// A party came lately when this part of what it has is new since the least that it had in the last
/// sweeps. Who was there before keeps most of it through a window, also while it is being robbed.
pub(super) const CAME: f64 = 0.5;

/// In bytes: who has less than this has nothing that it could lose. A program that runs at all holds more.
pub(super) const HOLDS_LEAST: f64 = 2_097_152.0;

/// Who took beyond its claim by less than this times what the victim took is its equal: two that
/// stream side by side are never exactly equal.
pub(super) const UNEQUAL: f64 = 1.5;

/// Two streamers alike ask for unlike amounts in one window by chance, up to 1.5 times as much or little
/// more; from twice as much on no second window is needed.
pub(super) const UNEQUAL_BY_FAR: f64 = 2.0;

/// Who asks for this many times its claim within a window streams: it does not come for something that
/// it wants to keep. So does who reads again this many times what it has.
pub(super) const STREAMS: f64 = 2.0;

/// Who had this part of what it asked for before, and lost it, is robbed by who takes beyond its claim.
/// Who reads a file again and again had all of it; a streamer on its first way through had none.
pub(super) const READS_AGAIN: f64 = 0.5;

/// The part of a kill that is worth a verdict of its own.
pub(super) const PART_OF_A_KILL: f64 = 0.1;

/// Trust where most of the loss was accounted for at its events.
pub(super) const SEEN: f64 = 0.95;

/// Trust where pressure tells most of the loss: the wait is sure, that this limit caused it less so.
pub(super) const BY_PRESSURE: f64 = 0.85;

/// Trust where nothing but files tell.
pub(super) const CORRELATED: f64 = 0.6;

/// The part of a loss that is nobody's where only files tell: they do not show whose request threw
/// out whose pages.
pub(super) const CORRELATED_UNEXPLAINED: f64 = 0.2;

/// Trust in an answer where it is not known which limit was full.
pub(super) const UNKNOWN_LIMIT: f64 = 0.5;
