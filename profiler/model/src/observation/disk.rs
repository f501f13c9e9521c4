//! What the block layer's events tell of a window, by device and owner.

use super::Owner;
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// Requests on block devices within the window. A request is what was submitted to the device (a
/// bio): the block layer may merge several, or split one, before the hardware sees it.
#[derive(Clone, Debug, Default)]
pub struct DiskWindow {
    /// One entry per device and owner that had requests.
    pub owners: Vec<DiskOwner>,
    /// Whose requests were outstanding beside whose. For each device and victim, pairs + own + journal
    /// + unexplained = wait.
    pub pairs: Vec<DiskPair>,
    /// The kernel's name of each device (`vda`).
    pub devices: Vec<((u32, u32), Arc<str>)>,
    /// The path of each owner that is a cgroup, also where it is gone, and the command of each that
    /// is a command of the root cgroup.
    pub names: Vec<(Owner, Arc<str>)>,
    /// Requests whose end was not seen, or that found no place in the tables.
    pub lost: u64,
}

/// One owner's requests on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOwner {
    /// `major:minor` of the device.
    pub device: (u32, u32),
    /// Whose: for buffered writes whoever dirtied the pages.
    pub owner: Owner,
    /// Read from the device.
    pub read: Bytes,
    /// Written to the device.
    pub written: Bytes,
    /// Reads that were queued.
    pub reads: u64,
    /// Writes that were queued.
    pub writes: u64,
    /// Request-time from queueing to completion, of requests that somebody waits for (reads,
    /// synchronous writes, flushes). A task inside fsync waits once, whatever it writes there.
    pub wait: Nanos,
    /// Time with at least one of these outstanding.
    pub waiting: Nanos,
    /// The part of `wait` in which the device worked for its own requests.
    pub own: Nanos,
    /// The part of `own` in which it worked for others besides.
    pub shared: Nanos,
    /// The part of `wait` in which the device wrote a file system's journal, for all who had changed
    /// something.
    pub journal: Nanos,
    /// Blocks that it had a journal write, where somebody waits for that.
    pub journalled: u64,
    /// Calls of fsync that ended, as far as the kernel tells of them.
    pub syncs: u64,
    /// How long these took.
    pub synced: Nanos,
    /// The part of `wait` that nobody can be named for.
    pub unexplained: Nanos,
    /// What those of these requests that ended would have taken with the device to themselves, as far
    /// as was learnt of this device.
    pub needed: Nanos,
    /// Its part of the time in which the device had requests, background writes included. The parts
    /// of all owners add up to that time.
    pub occupied: Nanos,
}

/// `victim`'s requests waited this long while the device worked for `culprit`: between two events of the
/// device its time is split over the requests outstanding, by what they weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskPair {
    /// `major:minor` of the device.
    pub device: (u32, u32),
    /// Who waited.
    pub victim: Owner,
    /// Whose requests the device worked on.
    pub culprit: Owner,
    /// Request-time of the victim.
    pub time: Nanos,
}

/// A limit of a cgroup on one block device: a word of `io.max`, or a line of one of version 1's
/// `blkio.throttle` files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoLimit {
    /// `major:minor` of the device.
    pub device: (u32, u32),
    /// What is counted.
    pub kind: IoLimitKind,
    /// As many a second.
    pub rate: u64,
}

/// What a limit on a block device counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoLimitKind {
    /// `rbps`.
    BytesRead,
    /// `wbps`.
    BytesWritten,
    /// `riops`.
    Reads,
    /// `wiops`.
    Writes,
}
