//! What each party consumed and waited for in a window: observations charged to parties.

mod stalls;

pub use stalls::{
    Blamed, DeviceLimit, DiskStall, Handled, HeldRequests, Interruption, Interrupts, Kill,
    LimitKind, LinkStall, MemoryLimit, MemoryShare, MemoryStalls, PartyCounters, RefusedForks,
    Stalls, Steal,
};

use crate::cpuset::CpuSet;
use crate::gap::Gap;
use crate::observation::{CpuTimes, Fidelity, Host, OwnerCpu};
use crate::party::Party;
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// One window on one host, charged to parties.
#[derive(Clone, Debug)]
pub struct WindowUse {
    /// The host.
    pub host: Host,
    /// When the window opened, `CLOCK_REALTIME` since the epoch.
    pub start_unix: Nanos,
    /// How long it was.
    pub length: Nanos,
    /// The machine's CPU time in the window.
    pub machine: CpuTimes,
    /// System-wide pressure in the window: share of time, 0 to 1.
    pub machine_pressure: PressureUse,
    /// Everybody. The CPU use of all but the hypervisor adds up to `machine.busy()`.
    pub parties: Vec<PartyUse>,
    /// Run-queue waits with blame, one per party that waited; `None` without the eBPF part.
    pub waits: Option<Vec<PartyWait>>,
    /// What parties lost on the other resources, with blame.
    pub stalls: Stalls,
    /// Exact or sampled; meaningless where `waits` is `None`.
    pub fidelity: Fidelity,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// One party in one window.
#[derive(Clone, Debug)]
pub struct PartyUse {
    /// Who.
    pub party: Arc<Party>,
    /// CPU time.
    pub cpu: CpuUse,
    /// What it may use.
    pub claim: CpuClaim,
    /// Memory at the end of the window.
    pub memory: Option<MemoryUse>,
    /// Block I/O per device.
    pub disk: Option<Vec<DiskUse>>,
    /// Network.
    pub network: Option<NetworkUse>,
    /// Pressure: share of the window, 0 to 1.
    pub pressure: PressureUse,
    /// Processes at the end of the window.
    pub processes: Option<u64>,
    /// Threads at the end of the window.
    pub threads: Option<u64>,
}

impl PartyUse {
    /// A party of which nothing is known yet.
    #[must_use]
    pub fn new(party: impl Into<Arc<Party>>) -> PartyUse {
        PartyUse {
            party: party.into(),
            cpu: CpuUse::default(),
            claim: CpuClaim::default(),
            memory: None,
            disk: None,
            network: None,
            pressure: PressureUse::default(),
            processes: None,
            threads: None,
        }
    }
}

/// CPU time of one party in the window.
#[derive(Clone, Debug, Default)]
pub struct CpuUse {
    /// Ran.
    pub usage: Nanos,
    /// In user mode.
    pub user: Option<Nanos>,
    /// In the kernel.
    pub system: Option<Nanos>,
    /// Throttled by its own quota, summed over CPUs (`cpu.stat`).
    pub throttled: Option<Nanos>,
    /// Periods in which its own quota ran out.
    pub throttled_periods: Option<u64>,
    /// Waited on run queues, summed over tasks, throttled time left out.
    pub runqueue_wait: Option<Nanos>,
    /// Ran and waited, per CPU; empty without the eBPF part.
    pub cpus: Vec<OwnerCpu>,
}

/// What a party may use of the CPUs, from its own cgroup and all its parents.
#[derive(Clone, Debug, Default)]
pub struct CpuClaim {
    /// The chain of weights from just below the root down to the party's own cgroup, each with the
    /// path of its cgroup. Levels without a cpu controller are left out. Empty for the processes of
    /// the root cgroup, which compete task by task at the default weight.
    pub weights: Vec<LevelWeight>,
    /// Its own quota in CPUs.
    pub quota_cpus: Option<f64>,
    /// The quotas of its parents, nearest first.
    pub parent_quotas: Vec<ParentQuota>,
    /// The CPUs it may run on; `None` for all.
    pub cpuset: Option<CpuSet>,
}

/// A weight at one level of the hierarchy.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelWeight {
    /// The cgroup that has it.
    pub path: Arc<str>,
    /// On the v2 scale, default 100.
    pub weight: f64,
}

/// A quota of a parent cgroup, and what it did in the window.
#[derive(Clone, Debug, PartialEq)]
pub struct ParentQuota {
    /// The parent.
    pub path: Arc<str>,
    /// In CPUs.
    pub cpus: f64,
    /// Throttled in the window, summed over CPUs.
    pub throttled: Nanos,
}

/// Memory at the end of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// In use, page cache included.
    pub used: Bytes,
    /// Anonymous.
    pub anon: Option<Bytes>,
    /// Page cache.
    pub file: Option<Bytes>,
    /// The nearest limit, its own or a parent's.
    pub limit: Option<Bytes>,
    /// Major faults within the window.
    pub major_faults: Option<u64>,
}

/// Block I/O on one device within the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskUse {
    /// Kernel name, or `major:minor`.
    pub device: Arc<str>,
    /// Read.
    pub read: Bytes,
    /// Written.
    pub written: Bytes,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}

/// Network within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkUse {
    /// Received.
    pub received: Bytes,
    /// Sent.
    pub sent: Bytes,
    /// Dropped; `None` where the source (sockets) does not count it.
    pub dropped: Option<u64>,
}

/// Pressure as a share of the window, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PressureUse {
    /// CPU, some.
    pub cpu_some: Option<f64>,
    /// CPU, full.
    pub cpu_full: Option<f64>,
    /// Memory, some.
    pub memory_some: Option<f64>,
    /// Memory, full.
    pub memory_full: Option<f64>,
    /// I/O, some.
    pub io_some: Option<f64>,
    /// I/O, full.
    pub io_full: Option<f64>,
}

/// What one party's tasks waited for CPUs in the window, and who ran meanwhile.
#[derive(Clone, Debug)]
pub struct PartyWait {
    /// Index into [`WindowUse::parties`].
    pub party: usize,
    /// Waited on run queues: the sum of `blame` and `unexplained`.
    pub wait: Nanos,
    /// Waited because a quota, its own or a parent's, was used up. Not in `wait`.
    pub throttled: Nanos,
    /// Who ran meanwhile, as an index into [`WindowUse::parties`]; the party's own threads included.
    pub blame: Vec<(usize, Nanos)>,
    /// The part nobody can be named for.
    pub unexplained: Nanos,
    /// The part of `blame` that was apportioned by use and not seen pair by pair.
    pub apportioned: Nanos,
    /// The part of `blame` on the kernel in which the CPU was idle and woke up: nobody ran.
    pub waking: Nanos,
    /// How many waits ended.
    pub waits: u64,
    /// How often it came to want a CPU, with one task or with several that follow each other. What it
    /// ran and waited for others, over this, is for how long it wants a CPU each time it comes.
    pub wakes: u64,
    /// 99th percentile of one wait's length; `None` where none ended.
    pub p99: Option<Nanos>,
}
