//! What the events of queues and drops tell of a window, by network device and owner.

use super::Owner;
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// Packets in the queues of network devices within the window.
#[derive(Clone, Debug, Default)]
pub struct LinkWindow {
    /// One entry per device and owner whose packets were queued or dropped.
    pub owners: Vec<LinkOwner>,
    /// Whose packets went out while whose were queued. For each device and victim, pairs + own +
    /// unexplained = wait.
    pub pairs: Vec<LinkPair>,
    /// The path of each owner, also where it is gone.
    pub names: Vec<(Owner, Arc<str>)>,
    /// Packets whose queue found no place.
    pub lost: u64,
}

/// One owner's packets on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkOwner {
    /// Name of the network device; with the namespace, where that is not the host's.
    pub device: Arc<str>,
    /// The kind of its queue: "tbf", "htb", "fq_codel" (tc(8)).
    pub discipline: Arc<str>,
    /// The handle of its queue; its major number is in the high half.
    pub handle: u32,
    /// The queue itself holds packets back to a rate.
    pub shaped: bool,
    /// Whose packets; [`Owner::Unknown`] where no socket tells.
    pub owner: Owner,
    /// Sent through the queue.
    pub sent: Bytes,
    /// Packets sent through the queue.
    pub packets: u64,
    /// Time in which at least one of its packets stood in the queue, or was shut out of it: dropped,
    /// and none let in since, for 200 ms at most. Added over the hardware queues of the device.
    pub wait: Nanos,
    /// The part of `wait` in which its own packets went out.
    pub own: Nanos,
    /// The part of `wait` that nobody can be named for.
    pub unexplained: Nanos,
    /// The longest that one packet stood in the queue.
    pub longest: Nanos,
    /// Packets that the queue dropped.
    pub dropped: u64,
    /// The bytes in them.
    pub dropped_bytes: Bytes,
}

/// `victim`'s packets stood in the queue this long while `culprit`'s went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPair {
    /// As in [`LinkOwner::device`].
    pub device: Arc<str>,
    /// Whose packets stood in the queue.
    pub victim: Owner,
    /// Whose packets went out.
    pub culprit: Owner,
    /// Time of the victim.
    pub time: Nanos,
}
