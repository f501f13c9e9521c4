//! The tables of `tables.h` as words of 8 bytes.
//!
//! The numbers repeat the structs of that file; loading compares them with the sizes that the kernel
//! reports for the maps, so a change on one side alone is refused.

/// Queues that packets stand in at one time.
pub(super) const QUEUES: usize = 48;
/// Owners in one queue.
pub(super) const OWNERS: usize = 64;
/// The owner of packets that nobody can be named for.
pub(super) const NOBODY: usize = 0;

/// `struct queue`.
pub(super) mod queue {
    /// Address of the qdisc; 0 is free.
    pub(crate) const QDISC: usize = 0;
    /// High half: inode of the network namespace; low half: interface index.
    pub(crate) const DEVICE: usize = 1;
    pub(crate) const NAME: usize = 2;
    pub(crate) const KIND: usize = 4;
    pub(crate) const LAST: usize = 6;
    pub(crate) const STANDING: usize = 10;
    pub(crate) const EVENTS: usize = 12;
    pub(crate) const SHAPED: usize = 13;
    pub(crate) const HANDLE: usize = 15;
    const OWNERS: usize = 17;
    const PAIRS: usize = OWNERS + super::OWNERS * super::owner::WORDS;
    pub(crate) const WORDS: usize = PAIRS + super::OWNERS * super::OWNERS;

    /// The word of an owner's cell.
    pub(crate) fn of_owner(index: usize, word: usize) -> usize {
        OWNERS + index * super::owner::WORDS + word
    }

    /// The word of a pair.
    pub(crate) fn of_pair(victim: usize, sender: usize) -> usize {
        PAIRS + victim * super::OWNERS + sender
    }
}

/// `struct owner`.
pub(super) mod owner {
    pub(crate) const KEY: usize = 0;
    pub(crate) const BYTES: usize = 1;
    pub(crate) const PACKETS: usize = 2;
    pub(crate) const DROPPED: usize = 3;
    pub(crate) const LONGEST: usize = 4;
    pub(crate) const QUEUED: usize = 5;
    pub(crate) const DROPPED_BYTES: usize = 7;
    pub(crate) const WORDS: usize = 9;
}

/// `struct watch`.
pub(super) mod watch {
    pub(crate) const NOTING: usize = 0;
    pub(crate) const BUSY: usize = 1;
    pub(crate) const WORDS: usize = 4;
}
