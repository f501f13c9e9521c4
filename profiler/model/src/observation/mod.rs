//! What was read from the host, raw, before anybody is charged with it.
//!
//! A [`Snapshot`] is a point in time: cumulative counters and gauges as the kernel shows them. An
//! [`Observation`] is a window: two snapshots and what the eBPF sources accumulated in between.
//! Everything after this is a pure function of an `Observation`.

mod closeup;
mod counters;
mod disk;
mod interrupts;
mod link;
mod memory;

pub use closeup::{
    CloseReading, CloseUp, ContainerView, LevelReading, MemoryEvents, Sourced, TaskReading,
    TaskSwitches,
};
pub use counters::{CounterWindow, OwnerCounters};
pub use disk::{DiskOwner, DiskPair, DiskWindow, IoLimit, IoLimitKind};
pub use interrupts::{InterruptKind, InterruptTime, InterruptWindow, KernelWork};
pub use link::{LinkOwner, LinkPair, LinkWindow};
pub use memory::{Limit, MemoryWindow, OomKill, Reclaim};

use crate::cpuset::CpuSet;
use crate::gap::Gap;
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// The host, as far as it does not change within a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// `uname -n`.
    pub name: String,
    /// `uname -r`.
    pub kernel: String,
    /// Online CPUs.
    pub cpus: u32,
    /// Which cgroup hierarchies are mounted.
    pub cgroup: CgroupLayout,
}

/// The three layouts of `Documentation/admin-guide/cgroup-v{1,2}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupLayout {
    /// Only version 1 hierarchies.
    V1,
    /// Version 1 controllers and a version 2 hierarchy beside them.
    Hybrid,
    /// Only the version 2 hierarchy.
    V2,
    /// None found.
    None,
}

impl CgroupLayout {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CgroupLayout::V1 => "v1",
            CgroupLayout::Hybrid => "hybrid",
            CgroupLayout::V2 => "v2",
            CgroupLayout::None => "none",
        }
    }
}

/// One window on one host: the input of everything that derives meaning.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The host.
    pub host: Host,
    /// The state when the window opened.
    pub before: Arc<Snapshot>,
    /// The state when it closed.
    pub after: Arc<Snapshot>,
    /// Scheduling as accounted in the kernel; `None` where the eBPF part does not run.
    pub sched: Option<SchedWindow>,
    /// Traffic by the sockets' cgroup; `None` where the eBPF part does not run.
    pub sockets: Option<Vec<SocketTraffic>>,
    /// What was accounted of the other resources.
    pub resources: ResourceWindows,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// What the sources of the resources other than run queues accumulated in the window; `None` where
/// a source does not run.
#[derive(Clone, Debug, Default)]
pub struct ResourceWindows {
    /// Block devices.
    pub disk: Option<DiskWindow>,
    /// Memory.
    pub memory: Option<MemoryWindow>,
    /// Queues of network devices.
    pub link: Option<LinkWindow>,
    /// Interrupts and kernel threads.
    pub interrupts: Option<InterruptWindow>,
    /// Hardware counters.
    pub counters: Option<CounterWindow>,
}

/// All readings of one sweep. Counters are cumulative since boot (machine) or creation (cgroup).
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// `CLOCK_MONOTONIC`.
    pub monotonic: Nanos,
    /// `CLOCK_REALTIME` since the epoch.
    pub unix: Nanos,
    /// The whole machine.
    pub machine: MachineReading,
    /// Every cgroup, the root (`/`) included, sorted by path.
    pub cgroups: Vec<CgroupReading>,
    /// The processes that sit in the root cgroup, kernel threads left out; empty where there are none
    /// or where they were not asked for.
    pub root_processes: Vec<ProcessReading>,
    /// Values of this sweep that could not be read.
    pub gaps: Vec<Gap>,
}

/// `/proc/stat`, `/proc/meminfo`, `/proc/diskstats`, `/proc/pressure/*`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineReading {
    /// Summed over all CPUs.
    pub cpu: CpuTimes,
    /// One by one, by number; those that are offline are not there.
    pub cpus: Vec<(u32, CpuTimes)>,
    /// `MemTotal`.
    pub memory_total: Option<Bytes>,
    /// `MemAvailable`.
    pub memory_available: Option<Bytes>,
    /// Pages that were looked at to be thrown out for want of memory of the whole machine
    /// (`pgscan_kswapd` and `pgscan_direct` of `/proc/vmstat`).
    pub pages_scanned: Option<u64>,
    /// System-wide pressure.
    pub pressure: Pressure,
    /// Whole disks only, no partitions.
    pub disks: Vec<DeviceIo>,
}

/// A `cpu` line of `/proc/stat` (proc(5)), converted from ticks. `guest` is part of `user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// user + nice.
    pub user: Nanos,
    /// system.
    pub system: Nanos,
    /// irq + softirq.
    pub interrupts: Nanos,
    /// idle + iowait.
    pub idle: Nanos,
    /// Time the hypervisor gave to others.
    pub steal: Nanos,
}

impl CpuTimes {
    /// What the kernel says was busy: user, nice, system, irq and softirq; steal is not in it.
    #[must_use]
    pub fn busy(self) -> Nanos {
        self.user + self.system + self.interrupts
    }

    /// The differences to `earlier`.
    #[must_use]
    pub fn since(self, earlier: CpuTimes) -> CpuTimes {
        CpuTimes {
            user: self.user.since(earlier.user),
            system: self.system.since(earlier.system),
            interrupts: self.interrupts.since(earlier.interrupts),
            idle: self.idle.since(earlier.idle),
            steal: self.steal.since(earlier.steal),
        }
    }
}

/// One cgroup, joined over all hierarchies by its path. Counters include the cgroup's descendants,
/// as the kernel's files do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupReading {
    /// Path below the cgroup root, `/` for the root itself. Lossily decoded where it is not UTF-8.
    pub path: Arc<str>,
    /// kernfs id in the version 2 hierarchy (the directory's inode number on 64-bit kernels).
    pub v2_id: Option<u64>,
    /// kernfs id in the version 1 `cpu` (or `cpuacct`) hierarchy.
    pub v1_id: Option<u64>,
    /// kernfs id in the version 1 `blkio` hierarchy.
    pub blkio_id: Option<u64>,
    /// kernfs id in the version 1 `memory` hierarchy.
    pub memory_id: Option<u64>,
    /// CPU time and throttling.
    pub cpu: Option<CgroupCpu>,
    /// CPU limits as they are set.
    pub cpu_limits: CpuLimits,
    /// Memory.
    pub memory: Option<CgroupMemory>,
    /// Block I/O per device; `None` where the controller is not enabled for this cgroup.
    pub io: Option<Vec<DeviceIo>>,
    /// The limits on block devices of this very cgroup.
    pub io_limits: Vec<IoLimit>,
    /// Pressure of this cgroup.
    pub pressure: Pressure,
    /// `pids.current`: tasks, threads counted, descendants included.
    pub threads: Option<u64>,
    /// What `pids.max` did; `None` where it limits nothing.
    pub pids: Option<CgroupPids>,
    /// Lines of `cgroup.procs` of this cgroup alone, descendants not included.
    pub processes: Option<u64>,
    /// Traffic of the network namespace that the cgroup's processes live in.
    pub network: Option<NetworkReading>,
}

impl CgroupReading {
    /// The owners that its ids name.
    pub fn owners(&self) -> impl Iterator<Item = Owner> {
        let ids = [
            self.v2_id.map(Owner::V2),
            self.v1_id.map(Owner::V1),
            self.blkio_id.map(Owner::V1Blkio),
            self.memory_id.map(Owner::V1Memory),
        ];
        ids.into_iter().flatten()
    }
}

/// `cpu.stat` (v2), or `cpuacct.usage*` with `cpu.stat` (v1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupCpu {
    /// `usage_usec` / `cpuacct.usage`.
    pub usage: Nanos,
    /// `user_usec` / `cpuacct.usage_user`.
    pub user: Option<Nanos>,
    /// `system_usec` / `cpuacct.usage_sys`.
    pub system: Option<Nanos>,
    /// Enforcement periods of the quota.
    pub periods: Option<u64>,
    /// Periods in which this cgroup's own quota was used up.
    pub throttled_periods: Option<u64>,
    /// `throttled_usec` / `throttled_time`: summed over CPUs, not over tasks.
    pub throttled: Option<Nanos>,
}

/// What the operator allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuLimits {
    /// Weight on the v2 scale (1 to 10,000, default 100); `cpu.shares` is converted by the ratio to
    /// its default of 1,024. `None` where the cpu controller is off for this cgroup: its tasks then
    /// compete in the nearest ancestor that has one.
    pub weight: Option<f64>,
    /// `cpu.max` / `cpu.cfs_quota_us` over its period, in CPUs; `None` without a limit.
    pub quota_cpus: Option<f64>,
    /// `cpuset.cpus.effective`; `None` where the cpuset controller is off.
    pub cpuset: Option<CpuSet>,
    /// `cpu.idle` is 1.
    pub idle: bool,
}

/// `memory.current`, `memory.stat`, `memory.max` (v2) or `memory.usage_in_bytes`, `memory.stat`,
/// `memory.limit_in_bytes` (v1, hierarchical values).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupMemory {
    /// In use, page cache included.
    pub used: Bytes,
    /// The least that was in use in the last ten to twenty sweeps, as far as there were so many.
    pub least: Bytes,
    /// Anonymous.
    pub anon: Option<Bytes>,
    /// Page cache.
    pub file: Option<Bytes>,
    /// The limit; `None` where there is none.
    pub limit: Option<Bytes>,
    /// Cumulative.
    pub major_faults: Option<u64>,
    /// What only a shortage makes worth reading; `None` where it was not read in this sweep.
    pub shortage: Option<MemoryShortage>,
}

/// How a cgroup fares where memory is short: its own limits, and what was taken and thrown out.
/// Counters are cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryShortage {
    /// `memory.max` or `memory.limit_in_bytes` of this very cgroup; `None` without one.
    pub max: Option<Bytes>,
    /// `memory.high`; version 1 has none.
    pub high: Option<Bytes>,
    /// The greater of `memory.min` and `memory.low`: what reclaim spares.
    pub protected: Bytes,
    /// How often this very limit was met: `max` of `memory.events.local`, or `memory.failcnt`.
    pub max_met: Option<u64>,
    /// How often `memory.high` was met.
    pub high_met: Option<u64>,
    /// Processes of this very cgroup that were killed: `oom_kill` of `memory.events.local` or of
    /// `memory.oom_control`.
    pub kills: Option<u64>,
    /// What came in again shortly after it had been thrown out, file and anonymous.
    pub refaulted: Option<Bytes>,
    /// What was charged, also where it is gone again: a lower bound, since a large folio counts as one
    /// page. Only version 1 tells.
    pub charged: Option<Bytes>,
    /// What reclaim took. Only version 2 tells.
    pub stolen: Option<Bytes>,
    /// Swapped out.
    pub swap: Option<Bytes>,
}

/// The limit on tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupPids {
    /// `pids.max`.
    pub limit: u64,
    /// `max` of `pids.events`: forks that were refused, cumulative. Of this cgroup's own limit and
    /// those beneath it from Linux 6.11 on; before, and in version 1, of this cgroup's own tasks.
    pub refused: u64,
}

/// Bytes and operations on one block device, cumulative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceIo {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Kernel name (`vda`); `None` where it could not be resolved.
    pub name: Option<Arc<str>>,
    /// Read from the device.
    pub read: Bytes,
    /// Written to the device.
    pub written: Bytes,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}

/// PSI totals (`Documentation/accounting/psi.rst`), cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// CPU.
    pub cpu: Option<PressureTotals>,
    /// Memory.
    pub memory: Option<PressureTotals>,
    /// I/O.
    pub io: Option<PressureTotals>,
}

/// `total=` of the `some` and `full` lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PressureTotals {
    /// At least one task was stalled.
    pub some: Nanos,
    /// All tasks were stalled; absent in `cpu` files of kernels before 5.13.
    pub full: Option<Nanos>,
}

/// Counters of one network namespace, loopback left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkReading {
    /// Inode of the namespace: parties that share one share its counters.
    pub namespace: u64,
    /// Whether this is the host's own namespace, whose counters belong to no single party.
    pub host: bool,
    /// Received.
    pub received: Bytes,
    /// Sent.
    pub sent: Bytes,
    /// Dropped, both directions.
    pub dropped: u64,
}

/// Traffic of the sockets of one v2 cgroup within the window, loopback included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketTraffic {
    /// kernfs id of the cgroup in the v2 hierarchy.
    pub v2_id: u64,
    /// Received.
    pub received: Bytes,
    /// Sent.
    pub sent: Bytes,
}

/// A process of the root cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessReading {
    /// Process id in the host's namespace.
    pub pid: u32,
    /// Clock ticks since boot at its start, to tell a reused pid.
    pub start_ticks: u64,
    /// `comm`, at most 15 bytes, lossily decoded.
    pub command: Arc<str>,
    /// utime + stime of all its threads, cumulative.
    pub cpu: Nanos,
    /// Number of threads.
    pub threads: u64,
}

/// Whose time it was, as the kernel-side program keys it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Tasks of the v2 cgroup with this kernfs id.
    V2(u64),
    /// Tasks whose v2 cgroup is the root, by the kernfs id of their v1 cpu cgroup.
    V1(u64),
    /// The v1 blkio cgroup with this kernfs id, as block requests carry it.
    V1Blkio(u64),
    /// The v1 memory cgroup with this kernfs id, as pages carry it.
    V1Memory(u64),
    /// Processes of the root cgroup that run one command, by a hash of the command's name.
    RootCommand(u64),
    /// Kernel threads of the root cgroup.
    Kernel,
    /// Tasks that found no place in the kernel-side table; counted, never lost.
    Unknown,
}

/// How faithful the accounting of a window is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fidelity {
    /// Every event was accounted for.
    #[default]
    Exact,
    /// The programs were attached for this fraction (0 to 1) of the time; the amounts are
    /// scaled up by it.
    Sampled(f64),
}

/// Scheduling within the window, as accounted by the eBPF program at every switch.
#[derive(Clone, Debug)]
pub struct SchedWindow {
    /// Exact or sampled.
    pub fidelity: Fidelity,
    /// One entry per owner that ran or waited.
    pub owners: Vec<OwnerWindow>,
    /// Who ran while whom waited. Rows add up: for each victim, pairs + unexplained = wait.
    pub pairs: Vec<BlamePair>,
    /// Context switches and migrations seen.
    pub events: u64,
    /// Mean cost of one event in the kernel, measured on a sample of them.
    pub event_cost: Nanos,
}

/// What one owner's tasks got and waited for within the window.
#[derive(Clone, Debug)]
pub struct OwnerWindow {
    /// Who.
    pub owner: Owner,
    /// The cgroup's path, also where the cgroup is gone by now; `None` where nobody saw it.
    pub path: Option<Arc<str>>,
    /// `comm` of a root command.
    pub command: Option<Arc<str>>,
    /// Ran, and waited on the run queue, per CPU; only CPUs with either.
    pub cpus: Vec<OwnerCpu>,
    /// Waited while its cgroup, or a parent, was throttled by a quota. Not in `cpus[].wait`.
    pub throttled: Nanos,
    /// The part of the waits that nobody can be named for.
    pub unexplained: Nanos,
    /// The part of the waits that was split by who ran on that CPU in the window, because the table
    /// of pairs was full. It is contained in the pairs.
    pub apportioned: Nanos,
    /// The part of the waits behind the kernel in which the CPU was idle and woke up. It is contained
    /// in the pairs.
    pub waking: Nanos,
    /// How many waits ended.
    pub waits: u64,
    /// How often it came to want a CPU: a task came to run there that had slept, and none of its tasks
    /// had run there since that one was queued. However many tasks follow each other, it came once.
    pub wakes: u64,
    /// Waits by length: bucket `i` counts those of `[2^(i+10), 2^(i+11))` ns, the first also all
    /// shorter ones, the last all longer ones.
    pub histogram: [u64; WAIT_BUCKETS],
}

/// Buckets of [`OwnerWindow::histogram`].
pub const WAIT_BUCKETS: usize = 16;

/// Time on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerCpu {
    /// The CPU.
    pub cpu: u32,
    /// Ran on it.
    pub run: Nanos,
    /// Waited on its run queue, throttled time left out.
    pub wait: Nanos,
}

/// `victim` waited this long while `culprit` ran on the same CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlamePair {
    /// Who waited.
    pub victim: Owner,
    /// Who ran.
    pub culprit: Owner,
    /// Task-seconds of the victim.
    pub time: Nanos,
}
