//! The tables of `tables.h` as words of 8 bytes.

/// Devices that find a place.
pub(super) const DEVICES: usize = 32;
/// Owners of one device; slot 0 is all who found no other.
pub(super) const SLOTS: usize = 32;
/// Kinds and sizes of requests: five sizes of reads, five of writes, flushes, and fsync.
pub(super) const CLASSES: usize = 12;
/// fsync among them.
pub(super) const SYNC_CLASS: usize = 11;
/// Latencies, two a power of two, from 1,024 ns.
pub(super) const BUCKETS: usize = 40;

/// `struct directory`; it begins with two device numbers a word.
pub(super) mod directory {
    use super::DEVICES;
    const FILESYSTEMS: usize = 16;
    pub(in super::super) const LOST: usize = DEVICES / 2;
    pub(in super::super) const MISSED: usize = LOST + 1;
    pub(in super::super) const WORDS: usize = LOST + 4 + FILESYSTEMS;
}

/// `struct slot`.
pub(super) mod slot {
    use super::CLASSES;
    pub(in super::super) const KEY: usize = 0;
    pub(in super::super) const NAME: usize = 1;
    pub(in super::super) const RETIRED: usize = 3;
    pub(in super::super) const OUTSTANDING: usize = 4;
    /// From here on sums.
    pub(in super::super) const READ_BYTES: usize = 5;
    pub(in super::super) const WRITTEN_BYTES: usize = 6;
    pub(in super::super) const READS: usize = 7;
    pub(in super::super) const WRITES: usize = 8;
    pub(in super::super) const WAIT: usize = 9;
    pub(in super::super) const WAITING: usize = 10;
    pub(in super::super) const SHARED: usize = 11;
    pub(in super::super) const JOURNALLED: usize = 12;
    /// Two counts of 32 bits (all, alone), their time, the time of those alone.
    pub(in super::super) const FIRST_CLASS: usize = 13;
    pub(in super::super) const CLASS_WORDS: usize = 3;
    pub(in super::super) const WORDS: usize = FIRST_CLASS + CLASSES * CLASS_WORDS;

    pub(in super::super) fn class(class: usize) -> usize {
        FIRST_CLASS + class * CLASS_WORDS
    }
}

/// `struct blame`.
pub(super) mod blame {
    use super::SLOTS;
    /// `struct pair`: what was charged, and the time.
    const PAIR_WORDS: usize = 2;
    pub(in super::super) const WORDS: usize = SLOTS + SLOTS * SLOTS * PAIR_WORDS;

    pub(in super::super) fn occupied(slot: usize) -> usize {
        slot
    }

    pub(in super::super) fn time(victim: usize, culprit: usize) -> usize {
        SLOTS + (victim * SLOTS + culprit) * PAIR_WORDS + 1
    }
}

/// `struct known`.
pub(super) mod known {
    use super::{BUCKETS, CLASSES};
    pub(in super::super) const WORDS: usize = CLASSES * BUCKETS;

    pub(in super::super) fn latency(class: usize, bucket: usize) -> usize {
        class * BUCKETS + bucket
    }
}
