//! 3. Readings charged to parties; they add up to the machine. Pure.
//!
//! - [`tree`]: the cgroups of a window, who owns each, and what a party has without the parties
//!   nested in it;
//! - [`cpu`]: CPU time, adding up to what the kernel says was busy;
//! - [`claims`]: weights, quotas, cpusets;
//! - [`gauges`]: memory, pressure, processes; [`disk`]; [`network`];
//! - [`waits`]: run-queue waits with blame; [`kernel_work`]: the kernel's part of them by whom it worked
//!   for; [`steal`]: what the hypervisor took; [`stalls`]: what was lost on the other resources.

mod claims;
mod cpu;
mod disk;
mod gauges;
mod kernel_work;
mod network;
mod stalls;
mod steal;
mod tree;
mod waits;

use crate::parties::PartyLookup;
use dunnage_model::observation::{Fidelity, Observation, Owner};
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{CpuUse, PartyUse, PartyWait, Stalls, WindowUse};
use rustc_hash::FxHashMap;
use std::collections::HashMap;
use std::sync::Arc;
use tree::Tree;

/// Charges everything that was read in a window to parties.
///
/// Parties stand in the order of their keys, the kernel and the hypervisor last. The CPU use of all
/// but the hypervisor adds up to `machine.busy()`, unless exact counters exceed what the kernel's
/// ticks saw; then the kernel's own share is zero.
#[must_use]
pub fn charge(observation: &Observation, parties: &dyn PartyLookup) -> WindowUse {
    let mut books = Books::open(observation, parties);
    let tree = Tree::of(observation, &mut books);
    books.note_owners(observation, &tree);
    let booked_as_use = cpu::charge(observation, &tree, &mut books);
    claims::fill(observation, &tree, &mut books);
    gauges::fill(observation, &tree, &mut books);
    disk::fill(observation, &tree, &mut books);
    network::fill(observation, &tree, &mut books);
    let mut waits = observation
        .sched
        .as_ref()
        .map(|sched| waits::rows(sched, &mut books));
    let mut stalls = stalls::rows(observation, &tree, &mut books);
    stalls.steal = steal::split(observation, &books, booked_as_use);
    if let (Some(waits), Some(window)) = (&mut waits, &observation.resources.interrupts) {
        kernel_work::charge(window, &tree, &mut books, waits);
    }
    let length = length(observation);
    let Closed {
        parties,
        waits,
        stalls,
    } = books.close(&tree, waits, stalls);
    let machine = &observation.after.machine;
    WindowUse {
        host: observation.host.clone(),
        start_unix: observation.before.unix,
        length,
        machine: machine.cpu.since(observation.before.machine.cpu),
        machine_pressure: gauges::pressure(
            Some(&observation.before.machine.pressure),
            &machine.pressure,
            length,
        ),
        parties,
        waits,
        stalls,
        fidelity: observation
            .sched
            .as_ref()
            .map_or(Fidelity::Exact, |sched| sched.fidelity),
        gaps: gaps(observation),
    }
}

/// The length of the window.
fn length(observation: &Observation) -> Nanos {
    observation
        .after
        .monotonic
        .since(observation.before.monotonic)
}

/// Each gap once, though both snapshots and the window may tell of it.
fn gaps(observation: &Observation) -> Vec<dunnage_model::gap::Gap> {
    let mut gaps = observation.gaps.clone();
    for gap in observation
        .before
        .gaps
        .iter()
        .chain(&observation.after.gaps)
    {
        if !gaps.contains(gap) {
            gaps.push(gap.clone());
        }
    }
    gaps
}

/// The accounts that are being filled: one a party.
struct Books<'a> {
    lookup: &'a dyn PartyLookup,
    parties: Vec<PartyUse>,
    /// Keys come from containers, so the hash must not be guessable.
    by_key: HashMap<Arc<str>, usize>,
    owners: FxHashMap<Owner, usize>,
    kernel: usize,
    waited: Option<Nanos>,
}

impl<'a> Books<'a> {
    fn open(observation: &Observation, lookup: &'a dyn PartyLookup) -> Books<'a> {
        let mut books = Books {
            lookup,
            parties: Vec::new(),
            by_key: HashMap::new(),
            owners: FxHashMap::default(),
            kernel: 0,
            waited: observation.sched.as_ref().map(|_| Nanos::ZERO),
        };
        books.kernel = books.account(&Arc::new(Party::kernel()));
        books
    }

    /// The account of `party`, opened where there is none yet.
    fn account(&mut self, party: &Arc<Party>) -> usize {
        if let Some(&index) = self.by_key.get(&party.key) {
            return index;
        }
        let index = self.parties.len();
        self.by_key.insert(party.key.clone(), index);
        self.parties.push(PartyUse {
            cpu: CpuUse {
                runqueue_wait: self.waited,
                ..CpuUse::default()
            },
            ..PartyUse::new(party.clone())
        });
        index
    }

    fn account_of_cgroup(&mut self, path: &str) -> usize {
        let party = self.lookup.of_cgroup(path);
        self.account(&party)
    }

    fn account_of_command(&mut self, command: &str) -> usize {
        let party = self.lookup.of_root_process(command);
        self.account(&party)
    }

    /// An account for time whose owner has no name.
    fn account_of_nobody(&mut self, name: &str) -> usize {
        self.account(&Arc::new(Party::new(
            format!("?{name}"),
            PartyKind::Service,
            name,
        )))
    }

    fn party_mut(&mut self, index: usize) -> Option<&mut PartyUse> {
        self.parties.get_mut(index)
    }

    /// Finds the party of every owner that the kernel-side program told of.
    fn note_owners(&mut self, observation: &Observation, tree: &Tree<'_>) {
        let Some(sched) = &observation.sched else {
            return;
        };
        for window in &sched.owners {
            let index = match (window.owner, &window.path, &window.command) {
                (Owner::V2(_) | Owner::V1(_), Some(path), _) => self.account_of_cgroup(path),
                (Owner::RootCommand(_), _, Some(command)) => self.account_of_command(command),
                (owner, _, _) => self.account_of_owner(owner, tree),
            };
            self.owners.insert(window.owner, index);
        }
        for pair in &sched.pairs {
            for owner in [pair.victim, pair.culprit] {
                if !self.owners.contains_key(&owner) {
                    let index = self.account_of_owner(owner, tree);
                    self.owners.insert(owner, index);
                }
            }
        }
    }

    /// The account of an owner that came without a name, by what the files tell of it.
    fn account_of_owner(&mut self, owner: Owner, tree: &Tree<'_>) -> usize {
        match owner {
            Owner::Kernel => self.kernel,
            Owner::Unknown => self.account_of_nobody("unattributed"),
            Owner::RootCommand(_) => self.account_of_nobody("vanished processes"),
            Owner::V2(_) | Owner::V1(_) | Owner::V1Blkio(_) | Owner::V1Memory(_) => {
                match tree.path_of(owner) {
                    Some(path) => self.account_of_cgroup(&path),
                    None => self.account_of_nobody("vanished cgroup"),
                }
            }
        }
    }

    /// The account of an owner that a source of another resource told of, with the path or the
    /// command that it told.
    fn account_of(&mut self, owner: Owner, name: Option<&str>, tree: &Tree<'_>) -> usize {
        if let Some(&index) = self.owners.get(&owner) {
            return index;
        }
        let index = match (owner, name) {
            (Owner::RootCommand(_), Some(command)) => self.account_of_command(command),
            (Owner::RootCommand(_) | Owner::Kernel | Owner::Unknown, _) | (_, None) => {
                self.account_of_owner(owner, tree)
            }
            (_, Some(path)) => self.account_of_cgroup(path),
        };
        self.owners.insert(owner, index);
        index
    }

    /// Leaves out who is gone and neither used nor waited for anything, puts the parties in order,
    /// and lets the waits point at their new places.
    fn close(self, tree: &Tree<'_>, waits: Option<Vec<PartyWait>>, mut stalls: Stalls) -> Closed {
        let mut named = vec![false; self.parties.len()];
        for index in tree.owned().chain([self.kernel]) {
            mark(&mut named, index);
        }
        for row in waits.iter().flatten() {
            mark(&mut named, row.party);
            row.blame
                .iter()
                .for_each(|&(culprit, _)| mark(&mut named, culprit));
        }
        stalls.each_party(&mut |index| mark(&mut named, *index));
        let mut kept: Vec<(usize, PartyUse)> = self
            .parties
            .into_iter()
            .enumerate()
            .filter(|(index, party)| {
                let used = party.cpu.usage > Nanos::ZERO || !party.cpu.cpus.is_empty();
                used || party.processes.is_some() || named.get(*index).copied().unwrap_or(false)
            })
            .collect();
        kept.sort_by(|(_, a), (_, b)| order(&a.party).cmp(&order(&b.party)));
        let places: FxHashMap<usize, usize> = kept
            .iter()
            .enumerate()
            .map(|(place, &(index, _))| (index, place))
            .collect();
        let place = |index: usize| places.get(&index).copied();
        let waits = waits.map(|rows| {
            let rows = rows.into_iter().filter_map(|mut row| {
                row.party = place(row.party)?;
                row.blame.retain_mut(|(culprit, _)| match place(*culprit) {
                    Some(place) => {
                        *culprit = place;
                        true
                    }
                    None => false,
                });
                Some(row)
            });
            let mut rows: Vec<PartyWait> = rows.collect();
            rows.sort_by_key(|row| row.party);
            rows
        });
        // Everybody whom the stalls name was kept.
        stalls.each_party(&mut |index| *index = place(*index).unwrap_or(usize::MAX));
        Closed {
            parties: kept.into_iter().map(|(_, party)| party).collect(),
            waits,
            stalls,
        }
    }
}

/// The books when they are closed: parties in order, and rows that point at them.
struct Closed {
    parties: Vec<PartyUse>,
    waits: Option<Vec<PartyWait>>,
    stalls: Stalls,
}

fn mark(named: &mut [bool], index: usize) {
    if let Some(place) = named.get_mut(index) {
        *place = true;
    }
}

fn order(party: &Party) -> (u8, &str) {
    let last = match party.kind {
        PartyKind::Container | PartyKind::Service => 0,
        PartyKind::Kernel => 1,
        PartyKind::Hypervisor => 2,
    };
    (last, &party.key)
}

#[cfg(test)]
mod tests;
