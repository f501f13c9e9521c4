//! Where the host is: the root in front of every path, and the facts that do not change.

use dunnage_model::units::Nanos;

/// `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns()`.
#[must_use]
pub fn monotonic() -> Nanos {
    clock(nix::time::ClockId::CLOCK_MONOTONIC)
}

/// `CLOCK_REALTIME` since the epoch.
#[must_use]
pub fn realtime() -> Nanos {
    clock(nix::time::ClockId::CLOCK_REALTIME)
}

fn clock(id: nix::time::ClockId) -> Nanos {
    let now = nix::time::clock_gettime(id).map(std::time::Duration::from).unwrap_or_default();
    Nanos(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
