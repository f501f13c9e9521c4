//! What parties lost on resources other than run queues: a file a source, each turning owners into
//! parties.

mod counters;
mod disk;
mod forks;
mod held;
mod interrupts;
mod link;
mod memory;

use super::Books;
use super::tree::Tree;
use dunnage_model::observation::{Observation, Owner};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{Blamed, Stalls};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rows of every source that ran.
pub(super) fn rows(observation: &Observation, tree: &Tree<'_>, books: &mut Books<'_>) -> Stalls {
    let resources = &observation.resources;
    let disk = resources.disk.as_ref().map(|window| {
        let name = |device| super::disk::name(observation, device);
        let accounts = &mut Accounts::new(&window.names, tree, books);
        let waits = disk::rows(window, &name, accounts);
        let held = held::rows(window, &waits, &name, tree, accounts);
        (waits, held)
    });
    let (disk, held) = disk.unzip();
    Stalls {
        disk,
        held,
        network: resources
            .link
            .as_ref()
            .map(|window| link::rows(window, &mut Accounts::new(&window.names, tree, books))),
        memory: memory::rows(observation, tree, books),
        forks: Some(forks::rows(tree)),
        interrupts: resources
            .interrupts
            .as_ref()
            .map(|window| interrupts::rows(window, &mut Accounts::new(&window.names, tree, books))),
        counters: resources
            .counters
            .as_ref()
            .map(|window| counters::rows(window, &mut Accounts::new(&window.names, tree, books))),
        ..Stalls::default()
    }
}

/// From owners to accounts, for one source.
pub(super) struct Accounts<'b, 'l, 't, 'o> {
    names: BTreeMap<Owner, &'t Arc<str>>,
    tree: &'t Tree<'o>,
    books: &'b mut Books<'l>,
}

impl<'b, 'l, 't, 'o> Accounts<'b, 'l, 't, 'o> {
    pub(super) fn new(
        names: &'t [(Owner, Arc<str>)],
        tree: &'t Tree<'o>,
        books: &'b mut Books<'l>,
    ) -> Accounts<'b, 'l, 't, 'o> {
        Accounts {
            names: names.iter().map(|(owner, name)| (*owner, name)).collect(),
            tree,
            books,
        }
    }

    /// The account of `owner`.
    pub(super) fn of(&mut self, owner: Owner) -> usize {
        let name = self.names.get(&owner).map(|name| &***name);
        self.books.account_of(owner, name, self.tree)
    }

    /// The cgroup of a party.
    fn cgroup(&self, party: usize) -> Option<&str> {
        self.books.parties.get(party)?.party.cgroup.as_deref()
    }

    /// The path of an owner that is a cgroup.
    fn path_of(&self, owner: Owner) -> Option<Arc<str>> {
        match self.names.get(&owner) {
            Some(&path) => Some(Arc::clone(path)),
            None => self.tree.path_of(owner),
        }
    }
}

/// Waits that are being put together: several owners may be one party.
#[derive(Default)]
struct Wait {
    wait: Nanos,
    own: Nanos,
    unexplained: Nanos,
    blame: BTreeMap<usize, Nanos>,
}

impl Wait {
    fn add(&mut self, culprit: usize, time: Nanos) {
        if time > Nanos::ZERO {
            *self.blame.entry(culprit).or_default() += time;
        }
    }

    /// Blame is conserved: what is neither its own nor anybody's, nobody can be named for; what the
    /// pairs hold beyond the wait was waited too.
    fn finish(mut self, party: usize) -> Blamed {
        let own = self.own + self.blame.remove(&party).unwrap_or_default();
        let named: Nanos = self.blame.values().copied().sum();
        let told = own + named + self.unexplained;
        Blamed {
            party,
            wait: if told > self.wait { told } else { self.wait },
            own,
            blame: self.blame.into_iter().collect(),
            unexplained: self.unexplained + self.wait.since(told),
        }
    }
}
