//! The tables of the queues: what each window added to them.

use super::layout::{NOBODY, OWNERS, QUEUES, owner, queue};
use super::owner_of_key;
use crate::host::HostRoot;
use crate::sources::sched::Names;
use crate::sys::MappedArray;
use dunnage_model::observation::{LinkOwner, LinkPair, LinkWindow, Owner};
use dunnage_model::units::{Bytes, Nanos};
use std::sync::Arc;

/// A queue that nothing passed for so long gives its place away.
const KEEP: Nanos = Nanos(60_000_000_000);

/// The tables, and what they held at the last read.
pub(super) struct Queues {
    table: MappedArray,
    last: Vec<Last>,
    /// Inode of the host's own network namespace.
    host: Option<u64>,
}

/// A queue at the last read.
#[derive(Default)]
struct Last {
    /// The qdisc, its last event, and how many there were.
    seen: [u64; 3],
    /// When something was last seen to pass.
    busy: Nanos,
    /// Bytes, packets and drops by owner.
    owners: Vec<[u64; 4]>,
    pairs: Vec<u64>,
}

/// A queue and what it is.
struct Described {
    device: Arc<str>,
    discipline: Arc<str>,
    shaped: bool,
    handle: u32,
}

impl Queues {
    pub(super) fn new(table: MappedArray, host: Option<u64>) -> Queues {
        Queues {
            table,
            last: (0..QUEUES).map(|_| Last::default()).collect(),
            host,
        }
    }

    /// Adds what happened since the last call to `window`.
    pub(super) fn take(&mut self, now: Nanos, names: &dyn Names, window: &mut LinkWindow) {
        for at in 0..QUEUES {
            let load = |word| self.table.load(at, word);
            let seen = [load(queue::QDISC), load(queue::LAST), load(queue::EVENTS)];
            if seen[0] == 0 {
                continue;
            }
            let described = self.describe(at);
            let Some(last) = self.last.get_mut(at) else {
                continue;
            };
            if last.seen != seen {
                last.busy = now;
                last.seen = seen;
                take_queue(&self.table, at, last, &described, window);
                forget_gone(&self.table, at, last, names);
            } else if load(queue::STANDING) == 0 && now.since(last.busy) > KEEP {
                // The address goes last: the program gives the place to another queue then.
                (1..queue::WORDS).for_each(|word| self.table.store(at, word, 0));
                self.table.store(at, queue::QDISC, 0);
                *last = Last::default();
            }
        }
    }

    fn describe(&self, at: usize) -> Described {
        let device = self.table.load(at, queue::DEVICE);
        let (namespace, index) = (device >> 32, device & 0xffff_ffff);
        let mut name = self.text(at, queue::NAME);
        if name.is_empty() {
            name = format!("interface {index}");
        }
        // Each namespace has an eth0.
        if self.host.is_some_and(|host| host != namespace) {
            name = format!("{name} in net:[{namespace}]");
        }
        Described {
            device: name.into(),
            discipline: self.text(at, queue::KIND).into(),
            shaped: self.table.load(at, queue::SHAPED) != 0,
            handle: u32::try_from(self.table.load(at, queue::HANDLE)).unwrap_or(0),
        }
    }

    fn text(&self, at: usize, word: usize) -> String {
        let words = [self.table.load(at, word), self.table.load(at, word + 1)];
        text_of(words)
    }
}

/// The text in two words, up to its first zero byte.
fn text_of(words: [u64; 2]) -> String {
    let bytes: Vec<u8> = words
        .into_iter()
        .flat_map(u64::to_le_bytes)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What one queue added.
fn take_queue(
    table: &MappedArray,
    at: usize,
    last: &mut Last,
    described: &Described,
    window: &mut LinkWindow,
) {
    last.owners.resize(OWNERS, [0; 4]);
    last.pairs.resize(OWNERS * OWNERS, 0);
    let owners: Vec<Option<Owner>> = (0..OWNERS)
        .map(|index| owner_at(table, at, index))
        .collect();
    for (index, victim) in owners.iter().enumerate() {
        let Some(victim) = *victim else { continue };
        let load = |word| table.load(at, queue::of_owner(index, word));
        let now = [
            load(owner::BYTES),
            load(owner::PACKETS),
            load(owner::DROPPED),
            load(owner::DROPPED_BYTES),
        ];
        let longest = load(owner::LONGEST);
        table.store(at, queue::of_owner(index, owner::LONGEST), 0);
        let before = last
            .owners
            .get_mut(index)
            .map_or([0; 4], |last| std::mem::replace(last, now));
        let [sent, packets, dropped, dropped_bytes] =
            std::array::from_fn(|i| now[i].saturating_sub(before[i]));
        let mut entry = LinkOwner {
            device: Arc::clone(&described.device),
            discipline: Arc::clone(&described.discipline),
            handle: described.handle,
            shaped: described.shaped,
            owner: victim,
            sent: Bytes(sent),
            packets,
            wait: Nanos::ZERO,
            own: Nanos::ZERO,
            unexplained: Nanos::ZERO,
            longest: Nanos(longest),
            dropped,
            dropped_bytes: Bytes(dropped_bytes),
        };
        for (culprit, owner) in owners.iter().enumerate() {
            let Some(culprit_owner) = *owner else {
                continue;
            };
            let now = table.load(at, queue::of_pair(index, culprit));
            let before = last
                .pairs
                .get_mut(index * OWNERS + culprit)
                .map_or(0, |last| std::mem::replace(last, now));
            let time = Nanos(now.saturating_sub(before));
            if time == Nanos::ZERO {
                continue;
            }
            entry.wait += time;
            if culprit == index {
                entry.own += time;
            } else if culprit == NOBODY {
                entry.unexplained += time;
            } else {
                window.pairs.push(LinkPair {
                    device: Arc::clone(&described.device),
                    victim,
                    culprit: culprit_owner,
                    time,
                });
            }
        }
        if entry.wait > Nanos::ZERO || entry.packets > 0 || entry.dropped > 0 {
            window.owners.push(entry);
        }
    }
}

fn owner_at(table: &MappedArray, at: usize, index: usize) -> Option<Owner> {
    if index == NOBODY {
        return Some(Owner::Unknown);
    }
    owner_of_key(table.load(at, queue::of_owner(index, owner::KEY)))
}

/// Makes room for others where a cgroup is gone and its packets too.
fn forget_gone(table: &MappedArray, at: usize, last: &mut Last, names: &dyn Names) {
    for index in (0..OWNERS).filter(|index| *index != NOBODY) {
        let Some(owner) = owner_at(table, at, index) else {
            continue;
        };
        let queued = table.load(at, queue::of_owner(index, owner::QUEUED));
        if queued != 0 || !names.is_gone(owner) {
            continue;
        }
        for other in 0..OWNERS {
            for (victim, culprit) in [(index, other), (other, index)] {
                table.store(at, queue::of_pair(victim, culprit), 0);
                if let Some(pair) = last.pairs.get_mut(victim * OWNERS + culprit) {
                    *pair = 0;
                }
            }
        }
        if let Some(last) = last.owners.get_mut(index) {
            *last = [0; 4];
        }
        for word in (0..owner::WORDS).rev() {
            table.store(at, queue::of_owner(index, word), 0);
        }
    }
}

/// Inode of the host's own network namespace.
pub(super) fn namespace_of_host(root: &HostRoot) -> Option<u64> {
    // The first process may be guarded; the second is a kernel thread, which never leaves.
    ["1", "2", "self"].into_iter().find_map(|process| {
        let path = root.path(format!("/proc/{process}/ns/net"));
        let link = std::fs::read_link(path).ok()?;
        link.to_str()?
            .strip_prefix("net:[")?
            .strip_suffix(']')?
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_their_first_zero_and_may_fill_their_place() {
        let words = |text: &[u8; 16]| {
            [
                u64::from_le_bytes(std::array::from_fn(|i| text[i])),
                u64::from_le_bytes(std::array::from_fn(|i| text[i + 8])),
            ]
        };
        assert_eq!(text_of(words(b"tbf\0rubbish\0\0\0\0\0")), "tbf");
        assert_eq!(text_of(words(b"veth012345678901")), "veth012345678901");
        assert_eq!(text_of([0, 0]), "");
        assert_eq!(
            text_of(words(b"\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")),
            "\u{fffd}"
        );
    }

    #[test]
    fn this_host_has_a_namespace() {
        assert!(namespace_of_host(&HostRoot::default()).is_some());
    }
}
