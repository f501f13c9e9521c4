//! The cgroups of a window: who owns each, and what a party has without the parties nested in it.
//!
//! The kernel's counters include all descendants. A party has what its topmost cgroup counted, less
//! what the topmost cgroups of the parties directly below it counted.

use super::Books;
use dunnage_model::observation::{CgroupReading, Observation, Owner};
use rustc_hash::FxHashMap;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

/// One cgroup that was there when the window closed.
pub(super) struct Place<'a> {
    /// What it read then.
    pub(super) after: &'a CgroupReading,
    /// What the same cgroup read when the window opened; `None` where it was born meanwhile.
    pub(super) before: Option<&'a CgroupReading>,
    /// Whose it is.
    pub(super) party: usize,
    /// The nearest ancestor that was read.
    parent: Option<usize>,
}

/// All cgroups of a window but the root.
pub(super) struct Tree<'a> {
    places: Vec<Place<'a>>,
    by_path: HashMap<&'a str, usize>,
    gone: HashMap<&'a str, &'a CgroupReading>,
    /// The paths of owners, made when the first one is asked for: most come with their path.
    owners: OnceCell<FxHashMap<Owner, &'a Arc<str>>>,
    observation: &'a Observation,
}

impl<'a> Tree<'a> {
    pub(super) fn of(observation: &'a Observation, books: &mut Books<'_>) -> Tree<'a> {
        let mut gone: HashMap<&str, &CgroupReading> = observation
            .before
            .cgroups
            .iter()
            .map(|c| (&*c.path, c))
            .collect();
        let mut tree = Tree {
            places: Vec::with_capacity(observation.after.cgroups.len()),
            by_path: HashMap::new(),
            gone: HashMap::new(),
            owners: OnceCell::new(),
            observation,
        };
        let after = &observation.after.cgroups;
        tree.by_path.reserve(after.len());
        for after in after.iter().filter(|cgroup| &*cgroup.path != "/") {
            let same = gone
                .get(&*after.path)
                .is_some_and(|before| is_same(before, after));
            let before = if same {
                gone.remove(&*after.path)
            } else {
                None
            };
            let party = books.account_of_cgroup(&after.path);
            tree.by_path.insert(&after.path, tree.places.len());
            tree.places.push(Place {
                after,
                before,
                party,
                parent: None,
            });
        }
        gone.remove("/");
        tree.gone = gone;
        for index in 0..tree.places.len() {
            let parent = tree
                .places
                .get(index)
                .and_then(|place| tree.above(&place.after.path));
            if let Some(place) = tree.places.get_mut(index) {
                place.parent = parent;
            }
        }
        tree
    }

    /// Every cgroup.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place<'a>> {
        self.places.iter()
    }

    /// The parties that own a cgroup that is there.
    pub(super) fn owned(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().map(|place| place.party)
    }

    /// The cgroup at `path`, where it is there.
    pub(super) fn at(&self, path: &str) -> Option<&Place<'a>> {
        self.places.get(*self.by_path.get(path)?)
    }

    /// The last that was read of the cgroup at `path`, and what it read before.
    pub(super) fn last(
        &self,
        path: &str,
    ) -> Option<(&'a CgroupReading, Option<&'a CgroupReading>)> {
        match self.at(path) {
            Some(place) => Some((place.after, place.before)),
            None => self.gone.get(path).map(|&reading| (reading, Some(reading))),
        }
    }

    /// The path that an owner's id has in the files.
    pub(super) fn path_of(&self, owner: Owner) -> Option<Arc<str>> {
        let owners = self.owners.get_or_init(|| {
            let (before, after) = (&self.observation.before, &self.observation.after);
            let mut owners = FxHashMap::default();
            for cgroup in before.cgroups.iter().chain(&after.cgroups) {
                owners.extend(cgroup.owners().map(|owner| (owner, &cgroup.path)));
            }
            owners
        });
        owners.get(&owner).map(|&path| path.clone())
    }

    /// The nearest ancestor of `path` that is there; `path` itself does not count.
    fn above(&self, path: &str) -> Option<usize> {
        parents(path).find_map(|parent| self.by_path.get(parent).copied())
    }

    /// Where the kernel accounts for the time of `owner` at `path`, and whether that is the very
    /// cgroup: a cgroup that is gone, or that nothing accounts for, counts in its nearest ancestor.
    pub(super) fn accounted(&self, owner: Owner, path: &str) -> Option<(&Place<'a>, bool)> {
        let own = self.by_path.get(path).copied();
        let alive = own
            .and_then(|index| self.places.get(index))
            .is_some_and(|place| match owner {
                Owner::V2(id) => place.after.v2_id == Some(id),
                Owner::V1(id) => place.after.v1_id == Some(id),
                Owner::V1Blkio(id) => place.after.blkio_id == Some(id),
                Owner::V1Memory(id) => place.after.memory_id == Some(id),
                Owner::RootCommand(_) | Owner::Kernel | Owner::Unknown => true,
            });
        let mut at = if alive { own } else { self.above(path) };
        while let Some(place) = at.and_then(|index| self.places.get(index)) {
            if place.after.cpu.is_some() {
                return Some((place, alive && at == own));
            }
            at = place.parent;
        }
        None
    }

    /// For each of `parties` accounts, the sum of `value` over the party's topmost cgroups, less the
    /// same of the parties directly below; `None` where no cgroup of the party has a value.
    pub(super) fn exclusive(
        &self,
        parties: usize,
        value: impl Fn(&Place<'a>) -> Option<u64>,
    ) -> Vec<Option<u64>> {
        let values: Vec<Option<u64>> = self.places.iter().map(value).collect();
        let mut gains: Vec<Option<u64>> = vec![None; parties];
        let mut losses = vec![0u64; parties];
        for (place, value) in self.places.iter().zip(&values) {
            let Some(value) = *value else { continue };
            let above = self.nearest(place.parent, &values);
            if above.is_some_and(|above| above.party == place.party) {
                continue;
            }
            if let Some(gain) = gains.get_mut(place.party) {
                *gain = Some(gain.unwrap_or(0).saturating_add(value));
            }
            if let Some(loss) = above.and_then(|above| losses.get_mut(above.party)) {
                *loss = loss.saturating_add(value);
            }
        }
        let net = |(gain, loss): (Option<u64>, u64)| gain.map(|gain| gain.saturating_sub(loss));
        gains.into_iter().zip(losses).map(net).collect()
    }

    fn nearest(&self, from: Option<usize>, values: &[Option<u64>]) -> Option<&Place<'a>> {
        let mut at = from;
        while let Some(index) = at {
            let place = self.places.get(index)?;
            if values.get(index).copied().flatten().is_some() {
                return Some(place);
            }
            at = place.parent;
        }
        None
    }
}

/// Whether two readings of one path are of one cgroup and not of one made anew.
fn is_same(before: &CgroupReading, after: &CgroupReading) -> bool {
    let same = |a: Option<u64>, b: Option<u64>| a.is_none() || b.is_none() || a == b;
    same(before.v2_id, after.v2_id) && same(before.v1_id, after.v1_id)
}

/// The ancestors of a path, nearest first, the root left out.
pub(super) fn parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |path| parent(path))
}

fn parent(path: &str) -> Option<&str> {
    path.get(..path.rfind('/')?)
        .filter(|parent| !parent.is_empty())
}
