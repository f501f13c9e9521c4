//! What the events of memory reclaim tell of a window, by owner and limit.

use super::Owner;
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// Reclaim and kills within the window.
#[derive(Clone, Debug, Default)]
pub struct MemoryWindow {
    /// One entry per owner and limit that it ran into.
    pub reclaims: Vec<Reclaim>,
    /// Out-of-memory kills.
    pub kills: Vec<OomKill>,
    /// How often the kernel began to free memory of the whole machine in the background (kswapd).
    pub background: u64,
    /// The path of each owner and limit that is a cgroup, also where it is gone, and the command of
    /// each owner that is a command of the root cgroup.
    pub names: Vec<(Owner, Arc<str>)>,
    /// Events that found no place.
    pub lost: u64,
}

impl MemoryWindow {
    /// Whether memory of the whole machine was reclaimed.
    #[must_use]
    pub fn machine_is_short(&self) -> bool {
        self.background > 0 || self.reclaims.iter().any(|r| r.limit == Limit::Machine)
    }
}

/// What ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// The memory of the whole machine.
    Machine,
    /// `memory.max` of this cgroup (`memory.limit_in_bytes` in version 1).
    Max(Owner),
    /// `memory.high` of this cgroup.
    High(Owner),
    /// A limit that was no longer full when it was looked for, or of cgroups that the task is not in:
    /// a program that asked the kernel to free memory.
    Unknown,
}

impl Limit {
    /// The cgroup that has it.
    #[must_use]
    pub fn owner(self) -> Option<Owner> {
        match self {
            Limit::Max(owner) | Limit::High(owner) => Some(owner),
            Limit::Machine | Limit::Unknown => None,
        }
    }
}

/// Reclaim that the tasks of one owner did because one limit was full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reclaim {
    /// Whose tasks.
    pub owner: Owner,
    /// What was full.
    pub limit: Limit,
    /// Task-time in direct reclaim (`mm_vmscan_memcg_reclaim_*`, `mm_vmscan_direct_reclaim_*`).
    pub stall: Nanos,
    /// How often.
    pub times: u64,
    /// What was freed, of whomever, because this owner asked for memory.
    pub freed: Bytes,
    /// The same in the window before; `None` where there was none.
    pub freed_before: Option<Bytes>,
}

/// The kernel killed a process for want of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomKill {
    /// Whose process.
    pub victim: Owner,
    /// `comm` of the process, lossily decoded.
    pub command: Arc<str>,
    /// What was full.
    pub limit: Limit,
    /// What the victim's memory cgroup had in use just then.
    pub held: Bytes,
    /// Whose task asked for memory in vain.
    pub asker: Owner,
    /// What the asker's memory cgroup had in use just then.
    pub asker_held: Bytes,
}
