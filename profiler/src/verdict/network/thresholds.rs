//! From where on a loss in the queue of a link is harm. All numbers that decide are here, each with
//! its reason.

/// Harm that is worth a verdict: shares of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    /// Seconds lost per second of the window.
    of_window: f64,
}

/// For what others did. A queue that is short costs a sender of a packet each 10 ms a tenth of a
/// millisecond a packet, 1 %, and nobody notices; from twice that on its answers are late.
pub(super) const OTHERS: Bar = Bar { of_window: 0.02 };

/// For what a party does to itself. Whoever sends in bursts has packets of its own in the queue for
/// part of the time: worth a line only where that is a good part of it.
pub(super) const ITSELF: Bar = Bar { of_window: 0.1 };

/// Harm below this is a handful of packets, whatever the length of the window.
const LEAST_HARM: f64 = 0.020;

/// A party takes more than another from this factor on, in bytes. Two senders that share a queue
/// equally differ by some percent, by packets that came first.
pub(super) const ABOVE: f64 = 1.25;

/// Fewer packets than this say little.
pub(super) const FEW_PACKETS: u64 = 20;

/// A sender looks guilty from this part of what its link carried on.
pub(super) const LOOKS_GUILTY: f64 = 0.25;

/// And from this many bytes a second on: less fills no link.
pub(super) const LEAST_RATE: f64 = 10_000.0;

impl Bar {
    /// Whether `lost` seconds of a window of `seconds` are harm.
    pub(super) fn passed(self, lost: f64, seconds: f64) -> bool {
        lost >= LEAST_HARM && lost >= self.of_window * seconds
    }
}
