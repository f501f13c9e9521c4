//! What the block layer's events tell of a window, by device and owner.

use super::Owner;
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// Requests on block devices within the window.
#[derive(Clone, Debug, Default)]
pub struct DiskWindow {
    /// One entry per device and owner that had requests.
    pub owners: Vec<DiskOwner>,
    /// Whose requests were outstanding beside whose. For each device and victim, pairs + own +
    /// unexplained = wait.
    pub pairs: Vec<DiskPair>,
    /// The path of each owner that is a cgroup, also where it is gone, and the command of each that
    /// is a command of the root cgroup.
    pub names: Vec<(Owner, Arc<str>)>,
    /// Requests whose end, or whose owner, was not seen.
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
    /// Read requests that ended.
    pub reads: u64,
    /// Write requests that ended.
    pub writes: u64,
    /// Request-time from queueing to completion, of requests that somebody waits for (reads,
    /// synchronous writes, flushes).
    pub wait: Nanos,
    /// The part of `wait` that is the service of its own requests.
    pub own: Nanos,
    /// The part of `wait` that nobody can be named for.
    pub unexplained: Nanos,
    /// Held back by a limit before the request reached the device's queue. Not in `wait`.
    pub throttled: Nanos,
}

/// `victim`'s requests waited this long while the device worked for `culprit`.
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
