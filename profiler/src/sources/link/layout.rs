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
    pub(crate) const HANDLE: usize = 16;
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

#[cfg(test)]
mod tests {
    use super::{owner, queue};

    /// The word of each field of a struct of 8-byte words in `tables.h`, before its first table.
    fn words_of(name: &str) -> Vec<(&'static str, usize)> {
        let head = format!("struct {name} {{");
        let lines = include_str!("tables.h").lines();
        let fields = lines
            .skip_while(|line| *line != head)
            .skip(1)
            .map_while(|line| line.trim().strip_prefix("u64 "))
            .filter_map(|line| Some(line.split_once(';')?.0));
        let mut at = 0;
        let mut words = Vec::new();
        for field in fields {
            let (name, many) = field.split_once('[').unwrap_or((field, "1]"));
            words.push((name, at));
            at += many
                .trim_end_matches(']')
                .parse::<usize>()
                .unwrap_or_else(|_| panic!("{field}"));
        }
        words.push(("", at));
        words
    }

    #[test]
    fn the_words_of_a_queue_are_those_of_the_header() {
        let words = words_of("queue");
        let at = |name: &str| words.iter().find(|(field, _)| *field == name).map(|w| w.1);
        for (name, word) in [
            ("qdisc", queue::QDISC),
            ("device", queue::DEVICE),
            ("name", queue::NAME),
            ("kind", queue::KIND),
            ("last", queue::LAST),
            ("standing", queue::STANDING),
            ("events", queue::EVENTS),
            ("shaped", queue::SHAPED),
            ("handle", queue::HANDLE),
        ] {
            assert_eq!(at(name), Some(word), "{name} in {words:?}");
        }
        assert_eq!(at(""), Some(queue::of_owner(0, 0)), "{words:?}");
        assert_eq!(
            words_of("owner").last().map(|w| w.1),
            Some(owner::WORDS),
            "owner"
        );
    }
}
