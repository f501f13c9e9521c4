//! Where memory is short: the cgroups whose limits were met lately, and all below them; and the least
//! that one of them had in use lately, to tell who grew.

use super::STALE;
use super::node::Node;
use dunnage_model::units::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// Sweeps at the start for which memory counts as short: they may be all there are, and what was
/// lost can only be told against what was there before.
const FIRST: u32 = 2;

/// For this many sweeps after it was short, memory is watched as if it still were.
const LINGERS: u32 = STALE;

/// When memory was short last.
#[derive(Debug, Default)]
pub(super) struct Shortages {
    machine: Option<u32>,
    /// By path: an id of the memory hierarchy of version 1 is learned only now and then.
    cgroups: HashMap<Arc<str>, u32>,
}

impl Shortages {
    /// Memory was short in the sweep `number`: of one cgroup, or of the whole machine.
    pub(super) fn note(&mut self, of: Option<Arc<str>>, number: u32) {
        match of {
            Some(path) => {
                self.cgroups.insert(path, number);
            }
            None => self.machine = Some(number),
        }
    }

    /// For each of `nodes`, parents before their children, whether memory is short for it.
    pub(super) fn among(&mut self, nodes: &[Node], number: u32) -> Vec<bool> {
        let fresh = |at: u32| number.wrapping_sub(at) <= LINGERS;
        if number <= FIRST || self.machine.is_some_and(fresh) {
            return vec![true; nodes.len()];
        }
        self.cgroups.retain(|_, at| fresh(*at));
        let mut short: Vec<bool> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let inherited = node
                .parent
                .and_then(|parent| short.get(parent))
                .is_some_and(|short| *short);
            let own = !self.cgroups.is_empty() && self.cgroups.contains_key(&node.reading().path);
            short.push(inherited || own);
        }
        short
    }
}

/// The least that was in use in two stretches of sweeps: the one before, and the one that runs.
#[derive(Debug, Default)]
pub(super) struct Least {
    stretches: Option<(Bytes, Bytes)>,
    began: u32,
}

impl Least {
    /// Learns what is in use in the sweep `number`, and says the least of the last ten to twenty.
    pub(super) fn of(&mut self, used: Bytes, number: u32) -> Bytes {
        let age = number.wrapping_sub(self.began);
        let (before, now) = match self.stretches {
            Some(kept) if age < LINGERS => (kept.0, kept.1.min(used)),
            Some((_, last)) if age < 2 * LINGERS => {
                self.began = number;
                (last, used)
            }
            // It stood still meanwhile, or is new.
            _ => {
                self.began = number;
                (used, used)
            }
        };
        self.stretches = Some((before, now));
        before.min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_forgotten_after_two_stretches() {
        let mut least = Least::default();
        assert_eq!(least.of(Bytes(5), 1), Bytes(5));
        for number in 2..=10 {
            assert_eq!(least.of(Bytes(100), number), Bytes(5));
        }
        for number in 11..=20 {
            assert_eq!(least.of(Bytes(100), number), Bytes(5), "{number}");
        }
        assert_eq!(least.of(Bytes(100), 21), Bytes(100));
        assert_eq!(least.of(Bytes(7), 22), Bytes(7));
    }

    #[test]
    fn what_was_not_read_for_long_begins_anew() {
        let mut least = Least::default();
        least.of(Bytes(5), 1);
        assert_eq!(least.of(Bytes(50), 100), Bytes(50));
    }
}
