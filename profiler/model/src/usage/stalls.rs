//! What parties lost on resources other than run queues, and whom it is blamed on.

use crate::observation::{Fidelity, InterruptKind, IoLimitKind};
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// One list a source; `None` where it does not run.
#[derive(Clone, Debug, Default)]
pub struct Stalls {
    /// Waits for block devices.
    pub disk: Option<Vec<DiskStall>>,
    /// Requests held back by limits on block devices.
    pub held: Option<Vec<HeldRequests>>,
    /// Waits for memory.
    pub memory: Option<MemoryStalls>,
    /// Waits in the queues of network devices.
    pub network: Option<Vec<LinkStall>>,
    /// Time that interrupts and softirqs took.
    pub interrupts: Option<Interrupts>,
    /// Time that the hypervisor took.
    pub steal: Option<Steal>,
    /// Hardware counters.
    pub counters: Option<Vec<PartyCounters>>,
    /// Tasks that were not to be: forks refused for want of room below `pids.max`.
    pub forks: Option<Vec<RefusedForks>>,
}

/// A wait of one party, split over whom it is blamed on: own + blame + unexplained = wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blamed {
    /// Index into [`WindowUse::parties`](super::WindowUse::parties).
    pub party: usize,
    /// The whole wait.
    pub wait: Nanos,
    /// What it would have needed alone, or did to itself.
    pub own: Nanos,
    /// Others, as indexes into [`WindowUse::parties`](super::WindowUse::parties), each once.
    pub blame: Vec<(usize, Nanos)>,
    /// The part nobody can be named for.
    pub unexplained: Nanos,
}

/// One party's requests on one block device.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskStall {
    /// Kernel name, or `major:minor`.
    pub device: Arc<str>,
    /// Request-time and its blame; `own` is the time in which the device worked for it.
    pub blamed: Blamed,
    /// The part of `own` in which the device worked for others besides.
    pub shared: Nanos,
    /// Time with at least one request outstanding that somebody waits for.
    pub waiting: Nanos,
    /// What the requests that it waited for would have taken with the device to themselves.
    pub needed: Nanos,
    /// Its part of the time in which the device had requests.
    pub occupied: Nanos,
    /// What calls of fsync took that ended.
    pub synced: Nanos,
    /// Read and written.
    pub bytes: Bytes,
    /// Requests, by the layer that submitted them.
    pub requests: u64,
}

/// Requests of a party that has limits on block devices of its own. The kernel holds them back before
/// the device's queue, where no event tells of them.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldRequests {
    /// Index into [`WindowUse::parties`](super::WindowUse::parties).
    pub party: usize,
    /// At least one of its tasks was stalled for I/O (its cgroup's pressure).
    pub stalled: Nanos,
    /// At least one of its requests was outstanding on a device, and somebody waited for it.
    pub outstanding: Nanos,
    /// Its limits.
    pub limits: Vec<DeviceLimit>,
}

/// A limit on a block device, and what was used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLimit {
    /// Kernel name, or `major:minor`.
    pub device: Arc<str>,
    /// What it counts.
    pub kind: IoLimitKind,
    /// As many a second.
    pub rate: u64,
    /// As many in the window.
    pub used: u64,
}

/// What happened to memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryStalls {
    /// Whether the events of reclaim were accounted for; else all comes from files.
    pub events: bool,
    /// What was full, each with everybody who shares it.
    pub limits: Vec<MemoryLimit>,
    /// Out-of-memory kills.
    pub kills: Vec<Kill>,
}

/// Memory that ran out: of a cgroup, or of the whole machine.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryLimit {
    /// What was full.
    pub kind: LimitKind,
    /// The cgroup that has the limit; `None` for the machine.
    pub path: Option<Arc<str>>,
    /// The party whose own limit it is: index into [`WindowUse::parties`](super::WindowUse::parties).
    pub own: Option<usize>,
    /// How much there is.
    pub bytes: Option<Bytes>,
    /// Everybody in it who has memory, asked for some, or waited.
    pub sharers: Vec<MemoryShare>,
}

/// Which limit was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitKind {
    /// The whole machine's memory.
    Machine,
    /// `memory.max`, or `memory.limit_in_bytes` of version 1.
    Max,
    /// `memory.high`.
    High,
}

/// One party in memory that ran out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemoryShare {
    /// Index into [`WindowUse::parties`](super::WindowUse::parties).
    pub party: usize,
    /// Task-time that it waited in reclaim because of this limit.
    pub stall: Nanos,
    /// What reclaim freed, of whomever, because it asked for memory.
    pub freed: Bytes,
    /// The same in the window before; `None` where that is not known.
    pub freed_before: Option<Bytes>,
    /// In use when the window closed, or when one of its processes was killed.
    pub used: Bytes,
    /// How much more it had in use than the least that it had in the last ten to twenty sweeps.
    pub grown: Bytes,
    /// What it took, pages that are gone again included, as far as the files tell.
    pub taken: Bytes,
    /// What reclaim spares of it (`memory.min`, `memory.low`).
    pub protected: Bytes,
    /// Pages that came in again shortly after they had been thrown out.
    pub refaulted: Bytes,
}

/// An out-of-memory kill.
#[derive(Clone, Debug, PartialEq)]
pub struct Kill {
    /// Whose process: index into [`WindowUse::parties`](super::WindowUse::parties).
    pub party: usize,
    /// The process's command; `None` where only the cgroup's count tells of it.
    pub command: Option<Arc<str>>,
    /// What was full: index into [`MemoryStalls::limits`]; `None` where nothing tells.
    pub limit: Option<usize>,
}

/// One party's packets in the queue of one network device.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkStall {
    /// Name of the network device; with the namespace, where that is not the host's.
    pub device: Arc<str>,
    /// The kind of its queue: "tbf", "htb", "fq_codel" (tc(8)).
    pub discipline: Arc<str>,
    /// The handle of its queue; its major number is in the high half.
    pub handle: u32,
    /// The queue itself holds packets back to a rate.
    pub shaped: bool,
    /// Time with packets in the queue, or shut out of it, and its blame.
    pub blamed: Blamed,
    /// Sent through the queue.
    pub bytes: Bytes,
    /// Packets sent through the queue.
    pub packets: u64,
    /// The longest that one packet stood in the queue.
    pub longest: Nanos,
    /// Packets that the queue dropped.
    pub dropped: u64,
    /// The bytes in them.
    pub dropped_bytes: Bytes,
}

/// What interrupts and softirqs did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interrupts {
    /// Whether all of it was accounted for.
    pub fidelity: Fidelity,
    /// One entry a party whose running tasks were interrupted, and kind.
    pub taken: Vec<Interruption>,
    /// One entry a party for whom interrupts and softirqs worked, and kind.
    pub handled: Vec<Handled>,
}

/// Time taken from one party's running tasks by the kernel, by what it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Interruption {
    /// What the kernel did.
    pub kind: InterruptKind,
    /// For whom; what nobody can be named for is the kernel's own.
    pub blamed: Blamed,
}

/// Forks of one party that its limit on tasks refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedForks {
    /// Index into [`WindowUse::parties`](super::WindowUse::parties).
    pub party: usize,
    /// How many.
    pub refused: u64,
    /// `pids.max`.
    pub limit: u64,
    /// The cgroup that has the limit: the party's own, or one beneath it.
    pub cgroup: Arc<str>,
}

/// Time that interrupts and softirqs worked for one party, whoever ran meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Handled {
    /// Index into [`WindowUse::parties`](super::WindowUse::parties).
    pub party: usize,
    /// What the kernel did.
    pub kind: InterruptKind,
    /// For how long in all.
    pub time: Nanos,
    /// The part of `time` in which the CPU was idle otherwise.
    pub idle: Nanos,
}

/// What the hypervisor took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steal {
    /// Indexes into [`WindowUse::parties`](super::WindowUse::parties), each once, with the part of the
    /// steal of each CPU that goes with what the party ran there.
    pub parties: Vec<(usize, Nanos)>,
    /// Whether the kernel books stolen time as use of whoever was on the CPU
    /// (no `CONFIG_PARAVIRT_TIME_ACCOUNTING`).
    pub booked_as_use: bool,
}

/// Hardware counters of one party.
#[derive(Clone, Debug, PartialEq)]
pub struct PartyCounters {
    /// Index into [`WindowUse::parties`](super::WindowUse::parties).
    pub party: usize,
    /// CPU cycles.
    pub cycles: u64,
    /// Instructions retired.
    pub instructions: u64,
    /// Misses of the last-level cache.
    pub cache_misses: Option<u64>,
}

impl Blamed {
    fn each_party(&mut self, visit: &mut dyn FnMut(&mut usize)) {
        visit(&mut self.party);
        self.blame.iter_mut().for_each(|(party, _)| visit(party));
    }
}

impl Stalls {
    /// Shows every index of a party to `visit`, which may change it: parties are put in order after
    /// they were charged.
    pub fn each_party(&mut self, visit: &mut dyn FnMut(&mut usize)) {
        for stall in self.disk.iter_mut().flatten() {
            stall.blamed.each_party(visit);
        }
        for held in self.held.iter_mut().flatten() {
            visit(&mut held.party);
        }
        if let Some(memory) = &mut self.memory {
            for limit in &mut memory.limits {
                limit.own.iter_mut().for_each(&mut *visit);
                limit.sharers.iter_mut().for_each(|s| visit(&mut s.party));
            }
            memory.kills.iter_mut().for_each(|k| visit(&mut k.party));
        }
        for stall in self.network.iter_mut().flatten() {
            stall.blamed.each_party(visit);
        }
        if let Some(interrupts) = &mut self.interrupts {
            let taken = interrupts.taken.iter_mut();
            taken.for_each(|t| t.blamed.each_party(visit));
            let handled = interrupts.handled.iter_mut();
            handled.for_each(|h| visit(&mut h.party));
        }
        if let Some(steal) = &mut self.steal {
            steal.parties.iter_mut().for_each(|(p, _)| visit(p));
        }
        for counters in self.counters.iter_mut().flatten() {
            visit(&mut counters.party);
        }
        for forks in self.forks.iter_mut().flatten() {
            visit(&mut forks.party);
        }
    }
}
