//! From where on a loss is harm. All numbers that decide are here, each with its reason.

use crate::verdict::bar::Bar;

/// What a request takes alone is known to some 10 % where it was seen, and less well where it was
/// not: below a fifth nobody can tell.
pub(super) const OTHERS: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.02,
    of_want: 0.2,
};

/// The kernel writes what others dirtied, and its journal serves the victims too: only a large part
/// counts.
pub(super) const KERNEL: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.02,
    of_want: 0.4,
};

/// Harm below this is a handful of slow requests, whatever the length of the window: a virtual disk
/// that stops for 50 ms stops for all, and whoever has most outstanding then looks guilty.
const LEAST_HARM: f64 = 0.050;

/// A culprit had this many times the victim's part of the device while the victim waited. Two readers
/// with the same number of requests outstanding differ by some 10 %.
pub(super) const ABOVE: f64 = 1.3;

/// And the device worked for it in this part of what the victim waited. Ten that read a little each make
/// a disk that is slow for a moment no slower; four that share the blame have a fifth each.
pub(super) const PART: f64 = 0.12;

/// How sure a verdict is, by the fraction lost: near the bar the estimate of what was needed decides.
pub(super) fn trust(fraction: f64) -> f64 {
    (0.6 + fraction).min(0.97)
}

/// A limit of its own holds a party back a little whenever it comes near it. Stalls are counted per
/// party and requests per event, by clocks that agree to some milliseconds.
pub(super) const HELD: Bar = Bar {
    least: 0.1,
    of_window: 0.02,
    of_want: 0.1,
};

/// Who used more of a limit than it allows was not held by it: version 1 limits no buffered writes. Rates
/// are kept over slices of 100 ms, and a short window ends in the middle of one.
pub(super) const EXCEEDED: f64 = 1.5;

/// The largest request that the block layer makes by itself, in bytes.
pub(super) const LARGEST_REQUEST: u64 = 1_280 << 10;

/// How sure it is that the limit was what held: surest where it was used up. A burst is held too, and
/// leaves most of the limit unused.
pub(super) fn trust_of_limit(part: f64) -> f64 {
    if part >= 0.8 { 0.95 } else { 0.75 }
}
