//! From where on a loss is harm. All numbers that decide are here, each with its reason.

/// Harm that is worth a verdict: shares of the window and of what the victim wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    /// Task-seconds lost per second of the window.
    of_window: f64,
    /// Lost / (lost + got).
    of_want: f64,
    /// Lost / all that the victim waited and was throttled.
    of_wait: f64,
}

/// A victim's losses so far, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// Waited and throttled, whoever's doing it was.
    pub(super) waited: f64,
    /// Got.
    pub(super) got: f64,
    /// The window.
    pub(super) seconds: f64,
}

/// For parties that took more than their share. A single thread that spins for 50 ms each second
/// beside a victim that wants 30 % of the same CPU cost that victim 1.0 % of the window and 3.4 %
/// of what it wanted (measured once, kernel 6.18, equal weights): that is to be found. What others
/// do to a victim that mostly waits for something else is no answer to what ails it.
pub(super) const OTHERS: Bar = Bar {
    of_window: 0.005,
    of_want: 0.025,
    of_wait: 0.05,
};

/// For the kernel, which has no entitlement and serves the victims too: only a large part counts.
pub(super) const KERNEL: Bar = Bar {
    of_window: 0.01,
    of_want: 0.05,
    of_wait: 0.1,
};

/// Requests to block devices a second from which on the kernel's threads work for a party.
pub(super) const MANY_REQUESTS: f64 = 50.0;

/// For what a party does to itself: nobody is accused, but it is worth a line only when it shows.
pub(super) const ITSELF: Bar = Bar {
    of_window: 0.01,
    of_want: 0.05,
    of_wait: 0.05,
};

/// Harm below this is a handful of time slices, whatever the length of the window.
const LEAST_HARM: f64 = 0.020;

/// A victim is below its share when it got less than this part of it; equal spinners differ by 1 %.
pub(super) const DEPRIVED: f64 = 0.98;

/// A heavy party is above its share from this factor on. Time slices make equal spinners unequal.
pub(super) const ABOVE: f64 = 1.05;

/// The same for one that rests now and then: how much of its waiting stands for want is not known.
pub(super) const ABOVE_WITH_RESTS: f64 = 1.25;

/// Whoever wants this part of a window wants the CPU all the time.
pub(super) const ALL_THE_TIME: f64 = 0.9;

/// A share that is a whole number of CPUs but for this part of one is that number.
pub(super) const OF_A_CPU: f64 = 0.05;

/// The same for one that may run on several CPUs, beside a heavy victim that may too: the scheduler
/// moves whole threads, and of three spinners on two CPUs one has a CPU for itself for a while, half as
/// much again as its share, without anybody's doing.
pub(super) const ABOVE_ON_SEVERAL: f64 = 1.6;

/// A victim that got less than its share by this part of it left it to others: then each who has more
/// than its own share by this part of what was left is among them.
pub(super) const MUCH_LEFT: f64 = 0.25;
pub(super) const PART_OF_LEFT: f64 = 0.12;

/// In seconds: whoever wants the CPU for so long at a stretch is a batch job for that long, and shares
/// with others as they do with it.
pub(super) const LONG_STRETCH: f64 = 0.1;

/// In seconds: what is above a share by less than some time slices is not above it.
pub(super) const SLICES: f64 = 0.010;

/// A heavy party counts among those who took what a light victim lacks from this part of its share
/// on. Several heavy parties are never exactly equal.
pub(super) const AMONG_TAKERS: f64 = 0.95;

/// Whoever gets this part of what it wants is satisfied.
pub(super) const SATISFIED: f64 = 0.99;

/// A burst is a stretch of wanting the CPU of at least this many seconds: several time slices.
pub(super) const BURST: f64 = 0.020;

/// A burst harms those who come in stretches this many times shorter. Two parties that come in
/// stretches of one length share the CPU as equals.
pub(super) const BURST_RATIO: f64 = 3.0;

/// Whoever came no more often than this for each of its tasks wanted the CPU without a rest: it came
/// once, and a window may cut what it does in two. Requests come many times.
pub(super) const FEW_STRETCHES: f64 = 2.0;

/// Pressure from which on a party without exact accounting is taken for a victim.
pub(super) const PRESSURE: f64 = 0.1;

/// A machine is full when this part of its CPU time was used.
pub(super) const FULL: f64 = 0.95;

impl Bar {
    /// Whether `lost` task-seconds are harm to a victim that lost and got so much in all.
    pub(super) fn passed(self, lost: f64, of: Loss) -> bool {
        lost > 0.0 && self.margin(lost, of) >= 1.0
    }

    /// How many times what it must be a loss is.
    pub(super) fn margin(self, lost: f64, of: Loss) -> f64 {
        let must = [
            LEAST_HARM,
            self.of_window * of.seconds,
            self.of_want * (lost + of.got),
            self.of_wait * of.waited,
        ];
        lost / must.into_iter().fold(LEAST_HARM, f64::max)
    }
}
