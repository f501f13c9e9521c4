//! The two clocks of the kernel that readings carry.

use dunnage_model::units::Nanos;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns()`.
#[must_use]
pub fn monotonic() -> Nanos {
    read(ClockId::CLOCK_MONOTONIC)
}

/// `CLOCK_REALTIME` since the epoch.
#[must_use]
pub fn realtime() -> Nanos {
    read(ClockId::CLOCK_REALTIME)
}

fn read(id: ClockId) -> Nanos {
    let now = clock_gettime(id).map(Duration::from).unwrap_or_default();
    Nanos(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
