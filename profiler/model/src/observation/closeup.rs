//! One party read closely at both ends of a window: the files that tell what limits it, and where
//! each value was read.

use super::PressureTotals;
use crate::cpuset::CpuSet;
use crate::units::{Bytes, Nanos};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value and the file that told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// The path of the file, lossily decoded.
    pub file: Arc<str>,
}

/// One party in one window.
#[derive(Clone, Debug, Default)]
pub struct CloseUp {
    /// The state when the window opened.
    pub before: CloseReading,
    /// The state when it closed.
    pub after: CloseReading,
    /// What the machine's files show inside the container.
    pub view: ContainerView,
}

/// One party at one time. Counters are cumulative.
#[derive(Clone, Debug, Default)]
pub struct CloseReading {
    /// Its own cgroup first, then its parents, the root left out.
    pub levels: Vec<LevelReading>,
    /// Its tasks; `None` where they could not be listed.
    pub tasks: Option<TaskReading>,
    /// `MemAvailable` over `MemTotal` of the machine's `/proc/meminfo`, 0 to 1.
    pub memory_available: Option<f64>,
}

/// What one cgroup is allowed, and how often it met the limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LevelReading {
    /// Path from the cgroup root.
    pub path: Arc<str>,
    /// `cpu.max`, or `cpu.cfs_quota_us` over its period, in CPUs; `None` without a limit.
    pub quota_cpus: Option<Sourced<f64>>,
    /// `throttled_usec`, or `throttled_time`, of `cpu.stat`.
    pub throttled: Option<Sourced<Nanos>>,
    /// `nr_throttled` of `cpu.stat`: periods in which the quota was used up.
    pub throttled_periods: Option<u64>,
    /// Whether its tasks are frozen (`docker pause`), by `cgroup.events` or `freezer.state`: its own
    /// doing or a parent's.
    pub frozen: Option<Sourced<bool>>,
    /// The CPUs that its tasks may run on.
    pub cpuset: Option<Sourced<CpuSet>>,
    /// Memory in use.
    pub memory_used: Option<Sourced<Bytes>>,
    /// `memory.max`, or `memory.limit_in_bytes`; `None` without a limit.
    pub memory_max: Option<Sourced<Bytes>>,
    /// `memory.high`; `None` without one.
    pub memory_high: Option<Sourced<Bytes>>,
    /// How often the limit of memory was met.
    pub memory_events: Option<Sourced<MemoryEvents>>,
    /// Processes killed for want of memory, of `memory.events` (v2) or `memory.oom_control` (v1).
    pub oom_kills: Option<Sourced<u64>>,
    /// Pages that came in again shortly after they were thrown out (`memory.stat`
    /// `workingset_refault_*`).
    pub refaults: Option<Sourced<u64>>,
    /// Limits on block devices, a line each as the file has them (`254:0 rbps=1048576 ...`).
    pub io_limits: Vec<Sourced<Arc<str>>>,
    /// `pids.max`; `None` without a limit.
    pub tasks_max: Option<Sourced<u64>>,
    /// `pids.current`.
    pub tasks_now: Option<Sourced<u64>>,
    /// `max` of `pids.events`: forks that were refused.
    pub forks_refused: Option<Sourced<u64>>,
    /// `cpu.pressure`.
    pub cpu_pressure: Option<Sourced<PressureTotals>>,
    /// `memory.pressure`.
    pub memory_pressure: Option<Sourced<PressureTotals>>,
    /// `io.pressure`.
    pub io_pressure: Option<Sourced<PressureTotals>>,
}

/// `memory.events` (v2), or `memory.failcnt` (v1). Cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEvents {
    /// Reclaimed because of `memory.high`.
    pub high: u64,
    /// Met `memory.max`, and reclaimed.
    pub max: u64,
}

/// The tasks of a party.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskReading {
    /// Context switches by thread id.
    pub switches: BTreeMap<u32, TaskSwitches>,
    /// The CPUs that at least one task may use (`Cpus_allowed_list`): cpuset and affinity together.
    pub allowed: Option<CpuSet>,
    /// Not all were looked at, there being too many.
    pub cut: bool,
}

/// `voluntary_ctxt_switches` and `nonvoluntary_ctxt_switches` of `/proc/PID/task/TID/status`
/// (proc_pid_status(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskSwitches {
    /// It gave the CPU away, to wait for something.
    pub voluntary: u64,
    /// The CPU was taken from it.
    pub involuntary: u64,
}

/// What a container's own look at the machine shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerView {
    /// CPUs in `/proc/cpuinfo` and `/proc/stat`; `None` where something else is mounted over them,
    /// as lxcfs does, or where it could not be looked at.
    pub cpus: Option<u32>,
    /// `MemTotal` of `/proc/meminfo`, likewise.
    pub memory_total: Option<Bytes>,
    /// The first number of `/proc/loadavg`, likewise.
    pub load_average: Option<f64>,
}
