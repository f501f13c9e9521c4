//! The clocks that everybody in a scenario shares, in nanoseconds.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Nanoseconds of `CLOCK_MONOTONIC`, which is the same in every process of the host.
pub(crate) fn monotonic() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970.
pub(crate) fn unix() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> u64 {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Sleeps until `CLOCK_MONOTONIC` shows `at`; not at all where that is past.
pub(crate) fn sleep_until(at: u64) {
    let left = at.saturating_sub(monotonic());
    if left > 0 {
        std::thread::sleep(Duration::from_nanos(left));
    }
}

/// A duration in nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds in nanoseconds; nothing below zero.
pub(crate) fn from_seconds(seconds: f64) -> u64 {
    nanos(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Nanoseconds in seconds.
pub(crate) fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

fn read(clock: ClockId) -> u64 {
    // Every Linux has these clocks; zero would show as a void scenario.
    clock_gettime(clock).map_or(0, |time| nanos(Duration::from(time)))
}
