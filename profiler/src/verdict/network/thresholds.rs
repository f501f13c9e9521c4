//! From where on a loss in the queue of a link is harm. All numbers that decide are here, each with
//! its reason.

use crate::verdict::bar::Bar;

/// For what others did. A queue that is short costs a sender of a packet each 10 ms a tenth of a
/// millisecond a packet, 1 %, and nobody notices; from twice that on its answers are late.
pub(super) const OTHERS: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.02,
    of_want: 0.0,
};

/// For what a party does to itself. Whoever sends in bursts has packets of its own in the queue for
/// part of the time: worth a line only where that is a good part of it.
pub(super) const ITSELF: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.1,
    of_want: 0.0,
};

/// Harm below this is a handful of packets, whatever the length of the window.
const LEAST_HARM: f64 = 0.020;

/// A party takes more than another from this factor on, in bytes. Two senders that share a queue
/// equally differ by some percent, by packets that came first.
pub(super) const ABOVE: f64 = 1.25;

/// A sender looks guilty from this part of what its link carried on.
pub(super) const LOOKS_GUILTY: f64 = 0.25;

/// And from this many bytes a second on: less fills no link.
pub(super) const LEAST_RATE: f64 = 10_000.0;
