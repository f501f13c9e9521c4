//! Hardware counters of a window, by cgroup.

use super::Owner;
use std::sync::Arc;

/// Hardware counters within the window.
#[derive(Clone, Debug, Default)]
pub struct CounterWindow {
    /// One entry per owner that ran.
    pub owners: Vec<OwnerCounters>,
    /// The path of each owner, also where it is gone.
    pub names: Vec<(Owner, Arc<str>)>,
}

/// What one owner's tasks did, in events counted over the window and scaled up where the kernel
/// multiplexed the counters (perf_event_open(2)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnerCounters {
    /// Whose.
    pub owner: Owner,
    /// CPU cycles.
    pub cycles: u64,
    /// Instructions retired.
    pub instructions: u64,
    /// Misses of the last-level cache; `None` where the hardware does not count them.
    pub cache_misses: Option<u64>,
}
