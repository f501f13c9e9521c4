//! What the events of memory reclaim tell of a window, by owner.

use super::Owner;
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// Reclaim, refaults and growth within the window.
#[derive(Clone, Debug, Default)]
pub struct MemoryWindow {
    /// One entry per owner that stalled in reclaim, refaulted, or grew.
    pub owners: Vec<MemoryOwner>,
    /// Out-of-memory kills.
    pub kills: Vec<OomKill>,
    /// The path of each owner that is a cgroup, also where it is gone, and the command of each that
    /// is a command of the root cgroup.
    pub names: Vec<(Owner, Arc<str>)>,
    /// Events that found no place.
    pub lost: u64,
}

/// One owner and the memory it got and waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryOwner {
    /// Whose tasks.
    pub owner: Owner,
    /// Task-time in direct reclaim for a limit of a cgroup (`mm_vmscan_memcg_reclaim_*`), by the
    /// cgroup whose limit it was where the kernel tells.
    pub limit_stall: Nanos,
    /// Task-time in direct reclaim for the whole machine (`mm_vmscan_direct_reclaim_*`).
    pub machine_stall: Nanos,
    /// Pages that came in that had been thrown out a short while before.
    pub refaulted: Bytes,
    /// Pages that it asked for and got, file and anonymous.
    pub taken: Bytes,
}

/// The kernel killed a process for want of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomKill {
    /// Whose process.
    pub victim: Owner,
    /// `comm` of the process, lossily decoded.
    pub command: Arc<str>,
    /// The path of the cgroup whose limit was reached; `None` where the machine was out of memory,
    /// or where the kernel does not tell.
    pub limit: Option<Arc<str>>,
}
