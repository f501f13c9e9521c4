//! Which cgroup id had which path. Pure: told by events and by walks.

use crate::sources::sched::Names;
use dunnage_model::observation::{CgroupReading, Owner};
use dunnage_model::units::Nanos;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use std::sync::Arc;

/// How long a cgroup that is gone keeps its name: long enough for the window it died in.
const KEEP: Nanos = Nanos(120_000_000_000);
/// More cgroups than this that are gone are forgotten early, oldest first.
const KEEP_AT_MOST: usize = 16_384;

/// A cgroup was made or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// kernfs id.
    pub id: u64,
    /// Hierarchy as numbered in `/proc/cgroups`; 0 is version 2.
    pub hierarchy: u32,
    /// Removed; else made.
    pub removed: bool,
    /// Path from the hierarchy's root; `None` where the kernel had to cut it.
    pub path: Option<Arc<str>>,
}

#[derive(Debug)]
struct Entry {
    path: Arc<str>,
    gone: Option<Nanos>,
}

/// Paths by owner, with those that are gone.
#[derive(Debug, Default)]
pub struct Registry {
    entries: FxHashMap<Owner, Entry>,
    gone: usize,
    /// The version 1 hierarchies that are followed.
    v1: Vec<V1Hierarchy>,
}

/// A version 1 hierarchy whose ids name owners.
#[derive(Clone, Copy, Debug)]
pub struct V1Hierarchy {
    /// As numbered in `/proc/cgroups`.
    pub number: u32,
    /// The owner of an id in it.
    pub owner: fn(u64) -> Owner,
}

impl Registry {
    /// A registry that also follows these version 1 hierarchies.
    #[must_use]
    pub fn new(v1: Vec<V1Hierarchy>) -> Registry {
        Registry {
            v1,
            ..Registry::default()
        }
    }

    /// Learns one event at the time `now`.
    pub fn apply(&mut self, event: &Event, now: Nanos) {
        let owner = match event.hierarchy {
            0 => Owner::V2(event.id),
            number => match self.v1.iter().find(|v1| v1.number == number) {
                Some(v1) => (v1.owner)(event.id),
                None => return,
            },
        };
        if event.removed {
            self.bury(owner, now);
        } else if let Some(path) = &event.path {
            self.insert(owner, Arc::clone(path));
        }
    }

    /// Learns a whole walk at the time `now`. With `complete`, what the walk did not see is gone.
    pub fn learn(&mut self, readings: &[CgroupReading], complete: bool, now: Nanos) {
        let mut seen = FxHashSet::with_capacity_and_hasher(readings.len() * 2, FxBuildHasher);
        for reading in readings {
            for owner in reading.owners() {
                self.insert(owner, Arc::clone(&reading.path));
                seen.insert(owner);
            }
        }
        if complete {
            let missing: Vec<Owner> = self
                .entries
                .iter()
                .filter(|(o, e)| e.gone.is_none() && !seen.contains(o))
                .map(|(o, _)| *o)
                .collect();
            missing.into_iter().for_each(|owner| self.bury(owner, now));
        }
        self.forget(now);
    }

    fn insert(&mut self, owner: Owner, path: Arc<str>) {
        match self.entries.get_mut(&owner) {
            Some(entry) => {
                self.gone -= usize::from(entry.gone.take().is_some());
                if entry.path != path {
                    entry.path = path;
                }
            }
            None => {
                self.entries.insert(owner, Entry { path, gone: None });
            }
        }
    }

    fn bury(&mut self, owner: Owner, now: Nanos) {
        if let Some(entry) = self.entries.get_mut(&owner)
            && entry.gone.is_none()
        {
            entry.gone = Some(now);
            self.gone += 1;
        }
    }

    fn forget(&mut self, now: Nanos) {
        if self.gone == 0 {
            return;
        }
        let mut gone: Vec<(Nanos, Owner)> = self
            .entries
            .iter()
            .filter_map(|(o, e)| Some((e.gone?, *o)))
            .collect();
        gone.sort_unstable();
        let surplus = gone.len().saturating_sub(KEEP_AT_MOST);
        for (at, (since, owner)) in gone.into_iter().enumerate() {
            if at < surplus || now.since(since) > KEEP {
                self.entries.remove(&owner);
                self.gone -= 1;
            }
        }
    }
}

impl Names for Registry {
    fn path(&self, owner: Owner) -> Option<Arc<str>> {
        self.entries.get(&owner).map(|e| Arc::clone(&e.path))
    }

    fn is_gone(&self, owner: Owner) -> bool {
        match owner {
            Owner::V1(_) | Owner::V2(_) | Owner::V1Blkio(_) | Owner::V1Memory(_) => {
                self.entries.get(&owner).is_none_or(|e| e.gone.is_some())
            }
            Owner::RootCommand(_) | Owner::Kernel | Owner::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(id: u64, path: &str) -> Event {
        Event {
            id,
            hierarchy: 0,
            removed: false,
            path: Some(path.into()),
        }
    }

    #[test]
    fn a_cgroup_that_came_and_went_between_two_walks_keeps_its_name() {
        let mut registry = Registry::new(Vec::new());
        registry.apply(&made(7, "/docker/abc"), Nanos(1));
        registry.apply(
            &Event {
                removed: true,
                ..made(7, "/docker/abc")
            },
            Nanos(2),
        );
        registry.learn(&[], true, Nanos(3));
        assert_eq!(registry.path(Owner::V2(7)).as_deref(), Some("/docker/abc"));
        assert!(registry.is_gone(Owner::V2(7)));
    }

    #[test]
    fn names_of_the_gone_are_forgotten_after_a_while() {
        let mut registry = Registry::new(Vec::new());
        registry.apply(&made(7, "/a"), Nanos(0));
        registry.apply(
            &Event {
                removed: true,
                ..made(7, "/a")
            },
            Nanos(0),
        );
        registry.learn(&[], true, Nanos(KEEP.0 + 1));
        assert_eq!(registry.path(Owner::V2(7)), None);
    }

    #[test]
    fn hierarchies_that_nobody_asked_for_are_ignored() {
        let mut registry = Registry::new(vec![V1Hierarchy {
            number: 4,
            owner: Owner::V1,
        }]);
        registry.apply(
            &Event {
                hierarchy: 3,
                ..made(7, "/a")
            },
            Nanos(0),
        );
        assert_eq!(registry.path(Owner::V1(7)), None);
        registry.apply(
            &Event {
                hierarchy: 4,
                ..made(7, "/a")
            },
            Nanos(0),
        );
        assert_eq!(registry.path(Owner::V1(7)).as_deref(), Some("/a"));
    }

    #[test]
    fn an_id_that_is_used_again_takes_the_new_path() {
        let mut registry = Registry::new(Vec::new());
        registry.apply(&made(7, "/a"), Nanos(0));
        registry.apply(
            &Event {
                removed: true,
                ..made(7, "/a")
            },
            Nanos(1),
        );
        registry.apply(&made(7, "/b"), Nanos(2));
        assert_eq!(registry.path(Owner::V2(7)).as_deref(), Some("/b"));
        assert!(!registry.is_gone(Owner::V2(7)));
    }
}
