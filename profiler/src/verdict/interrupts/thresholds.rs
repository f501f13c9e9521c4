//! From where on what was taken is harm. All numbers that decide are here, each with its reason.

use crate::verdict::bar::Bar;

/// For other parties' traffic and requests. A softirq delays what it interrupts by some tens of
/// microseconds each time; from one part in forty on, a busy victim is slower by as much.
pub(super) const OTHERS: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.005,
    of_want: 0.025,
};

/// For the kernel's own interrupts, timers and RCU, which serve everybody: on an ordinary host they take
/// around one part in a hundred.
pub(super) const KERNEL: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.01,
    of_want: 0.05,
};

/// For a party's own traffic, which is its own work: a word only where most of what it runs is that.
pub(super) const ITSELF: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.25,
    of_want: 0.4,
};

/// For steal, which comes in ticks of 10 ms: a part that no rounding makes.
pub(super) const STEAL: Bar = Bar {
    least: LEAST_HARM,
    of_window: 0.01,
    of_want: 0.03,
};

/// Less than this in seconds is a handful of ticks or of softirqs, whatever the length of the window. No
/// innocent of the bench's scenarios that were played with it reached it.
const LEAST_HARM: f64 = 0.020;

/// Whoever took less than this part of a loss is not named for it: everybody sends a packet now and then.
pub(super) const WORTH_NAMING: f64 = 0.02;

/// A party looks guilty when the kernel worked for it for this part of the window.
pub(super) const LOOKS_GUILTY: f64 = 0.02;

/// A party's softirqs hit nobody when others lost less than this part of them.
pub(super) const HIT_NOBODY: f64 = 0.02;

/// Each softirq is measured; that it delays its victim by just as much is an assumption: the victim may
/// have had time to spare.
pub(super) const TRUST: f64 = 0.95;

/// Where slots of time were measured and the rest is taken to have been like them: a load of so many events
/// differs from one slot to the next, and a window of a second has a few.
pub(super) const TRUST_SAMPLED: f64 = 0.85;

/// Steal is known by CPU, and who lost it by who ran there meanwhile, not at that moment.
pub(super) const TRUST_STEAL: f64 = 0.9;
