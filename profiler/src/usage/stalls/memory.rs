//! Memory that ran out, and everybody who shares it.
//!
//! The events of reclaim tell which limits were full and who waited; where they are not accounted for,
//! the counters of the cgroups tell which limits were met. Who grew comes from the files in both.

use super::super::Books;
use super::super::tree::Tree;
use super::Accounts;
use dunnage_model::observation::{
    CgroupMemory, CgroupReading, Limit, MemoryWindow, Observation, OomKill,
};
use dunnage_model::party::PartyKind;
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{Kill, LimitKind, MemoryLimit, MemoryShare, MemoryStalls};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A limit, by kind and cgroup.
type Key = (LimitKind, Option<Arc<str>>);

/// What a party did because one limit was full.
#[derive(Clone, Copy, Default)]
struct Did {
    stall: Nanos,
    freed: Bytes,
    /// The same in the window before.
    freed_before: Option<Bytes>,
    /// In use at the moment of a kill.
    held: Bytes,
}

/// A kill before its limit has a place.
type Killed = (usize, Option<Arc<str>>, Option<Key>);

/// What was full in the window; `None` where nothing tells.
pub(super) fn rows(
    observation: &Observation,
    tree: &Tree<'_>,
    books: &mut Books<'_>,
) -> Option<MemoryStalls> {
    let mut full: BTreeMap<Key, BTreeMap<usize, Did>> = BTreeMap::new();
    let mut kills: Vec<Killed> = Vec::new();
    let events = observation.resources.memory.as_ref();
    match events {
        Some(window) => by_events(window, tree, books, &mut full, &mut kills),
        None if is_told(observation) => by_files(observation, tree, &mut full),
        None => return None,
    }
    kills_by_files(tree, &mut kills);
    let holdings = if full.is_empty() {
        Vec::new()
    } else {
        holdings(tree, books)
    };
    let places: BTreeMap<Key, usize> = full.keys().cloned().zip(0..).collect();
    let limits = full
        .into_iter()
        .map(|(key, did)| limit(observation, tree, books, &holdings, key, &did))
        .collect();
    let kills = kills.into_iter().map(|(party, command, key)| Kill {
        party,
        command,
        limit: key.and_then(|key| places.get(&key).copied()),
    });
    Some(MemoryStalls {
        events: events.is_some(),
        limits,
        kills: kills.collect(),
    })
}

/// Whether the files tell of shortages.
fn is_told(observation: &Observation) -> bool {
    let after = &observation.after;
    after.machine.pressure.memory.is_some()
        || after.cgroups.iter().any(|c| c.pressure.memory.is_some())
}

fn by_events(
    window: &MemoryWindow,
    tree: &Tree<'_>,
    books: &mut Books<'_>,
    full: &mut BTreeMap<Key, BTreeMap<usize, Did>>,
    kills: &mut Vec<Killed>,
) {
    let mut accounts = Accounts::new(&window.names, tree, books);
    for reclaim in &window.reclaims {
        let Some(key) = key(&accounts, reclaim.limit) else {
            continue;
        };
        let party = accounts.of(reclaim.owner);
        let did = full.entry(key).or_default().entry(party).or_default();
        did.stall += reclaim.stall;
        did.freed += reclaim.freed;
        if let Some(freed) = reclaim.freed_before {
            *did.freed_before.get_or_insert_default() += freed;
        }
    }
    if window.background > 0 {
        full.entry((LimitKind::Machine, None)).or_default();
    }
    for kill in &window.kills {
        let party = accounts.of(kill.victim);
        let key = key(&accounts, kill.limit);
        if let Some(key) = &key {
            let all = full.entry(key.clone()).or_default();
            held(all, party, kill.held);
            held(all, accounts.of(kill.asker), kill.asker_held);
        }
        kills.push((party, Some(command(kill)), key));
    }
}

fn command(kill: &OomKill) -> Arc<str> {
    Arc::clone(&kill.command)
}

fn held(all: &mut BTreeMap<usize, Did>, party: usize, held: Bytes) {
    let did = all.entry(party).or_default();
    did.held = did.held.max(held);
}

/// `None` where nobody knows whose limit it was.
fn key(accounts: &Accounts<'_, '_, '_, '_>, limit: Limit) -> Option<Key> {
    let path = |owner| accounts.path_of(owner);
    match limit {
        Limit::Machine => Some((LimitKind::Machine, None)),
        Limit::Max(owner) => Some((LimitKind::Max, Some(path(owner)?))),
        Limit::High(owner) => Some((LimitKind::High, Some(path(owner)?))),
        Limit::Unknown => None,
    }
}

/// The limits whose counters moved.
fn by_files(
    observation: &Observation,
    tree: &Tree<'_>,
    full: &mut BTreeMap<Key, BTreeMap<usize, Did>>,
) {
    let scanned = |machine: Option<u64>| machine.unwrap_or(0);
    let before = observation.before.machine.pages_scanned;
    if scanned(observation.after.machine.pages_scanned) > before.unwrap_or(u64::MAX) {
        full.entry((LimitKind::Machine, None)).or_default();
    }
    for place in tree.places() {
        let Some(now) = place.after.memory.and_then(|memory| memory.shortage) else {
            continue;
        };
        let then = match place.before {
            Some(before) => before.memory.and_then(|memory| memory.shortage),
            None => Some(Default::default()),
        };
        let Some(then) = then else { continue };
        let path = || Some(Arc::clone(&place.after.path));
        if now.max_met.unwrap_or(0) > then.max_met.unwrap_or(0) {
            full.entry((LimitKind::Max, path())).or_default();
        }
        if now.high_met.unwrap_or(0) > then.high_met.unwrap_or(0) {
            full.entry((LimitKind::High, path())).or_default();
        }
    }
}

/// Kills that only the counters of the cgroups tell of.
fn kills_by_files(tree: &Tree<'_>, kills: &mut Vec<Killed>) {
    let told: Vec<usize> = kills.iter().map(|(party, ..)| *party).collect();
    for place in tree.places() {
        let count = |reading: &CgroupReading| reading.memory?.shortage?.kills;
        let now = count(place.after);
        let then = match place.before {
            Some(before) => count(before),
            None => Some(0),
        };
        if let (Some(now), Some(then)) = (now, then)
            && now > then
            && !told.contains(&place.party)
        {
            kills.push((place.party, None, None));
        }
    }
}

/// What each party has and took, of whatever limit.
fn holdings(tree: &Tree<'_>, books: &Books<'_>) -> Vec<MemoryShare> {
    let count = books.parties.len();
    let of = |value: &dyn Fn(&CgroupMemory) -> Option<Bytes>| {
        tree.exclusive(count, |place| {
            value(place.after.memory.as_ref()?).map(|b| b.0)
        })
    };
    let gain = |value: fn(&CgroupMemory) -> Option<Bytes>| {
        tree.exclusive(count, |place| {
            let now = value(place.after.memory.as_ref()?)?;
            let then = match place.before {
                Some(before) => value(before.memory.as_ref()?)?,
                None => Bytes(0),
            };
            Some(now.since(then).0)
        })
    };
    let used = of(&|memory| Some(memory.used));
    let least = tree.exclusive(count, |place| match place.before {
        // What was not read before did not grow as far as anybody knows.
        Some(before) => Some(before.memory.or(place.after.memory)?.least.0),
        None => Some(0),
    });
    let refaulted = gain(|memory| memory.shortage?.refaulted);
    let charged = gain(|memory| memory.shortage?.charged);
    let stolen = gain(|memory| memory.shortage?.stolen);
    let roots: BTreeSet<&str> = (0..count).filter_map(|party| root(books, party)).collect();
    (0..count)
        .map(|party| {
            let bytes = |all: &[Option<u64>]| Bytes(all.get(party).copied().flatten().unwrap_or(0));
            // What those below left behind when they went is no growth.
            let grown = match root(books, party) {
                Some(root) if holds_others(&roots, root) => Bytes(0),
                _ => bytes(&used).since(bytes(&least)),
            };
            MemoryShare {
                party,
                used: bytes(&used),
                grown,
                taken: bytes(&charged).max(bytes(&stolen) + grown),
                refaulted: bytes(&refaulted),
                protected: protected(tree, books, party),
                ..MemoryShare::default()
            }
        })
        .collect()
}

/// Whether some other root lies below this one; below the host's own all do.
fn holds_others(roots: &BTreeSet<&str>, root: &str) -> bool {
    if root == "/" {
        return false;
    }
    let below = format!("{root}/");
    let next = roots.range(below.as_str()..).next();
    next.is_some_and(|other| other.starts_with(&below))
}

fn protected(tree: &Tree<'_>, books: &Books<'_>, party: usize) -> Bytes {
    root(books, party)
        .and_then(|root| tree.at(root)?.after.memory?.shortage)
        .map_or(Bytes(0), |shortage| shortage.protected)
}

fn root<'b>(books: &'b Books<'_>, party: usize) -> Option<&'b str> {
    books.parties.get(party)?.party.cgroup.as_deref()
}

/// A limit with everybody in it.
fn limit(
    observation: &Observation,
    tree: &Tree<'_>,
    books: &Books<'_>,
    holdings: &[MemoryShare],
    (kind, path): Key,
    did: &BTreeMap<usize, Did>,
) -> MemoryLimit {
    let own = path.as_deref().and_then(|path| owner_of(tree, books, path));
    let inside = |party: usize| match (own, &path) {
        (Some(own), _) => party == own,
        (None, Some(path)) => root(books, party).is_some_and(|root| is_below(root, path)),
        (None, None) => true,
    };
    let mut sharers: Vec<MemoryShare> = holdings
        .iter()
        .filter(|share| share.used.0 > 0 && inside(share.party))
        .copied()
        .collect();
    for (&party, did) in did {
        let at = match sharers.iter().position(|share| share.party == party) {
            Some(at) => at,
            None => {
                sharers.push(MemoryShare {
                    party,
                    ..MemoryShare::default()
                });
                sharers.len() - 1
            }
        };
        if let Some(share) = sharers.get_mut(at) {
            share.stall = did.stall;
            share.freed = did.freed;
            share.freed_before = did.freed_before;
            if did.held > share.used {
                let least = least_before(tree, books, party);
                share.used = did.held;
                share.grown = share.grown.max(did.held.since(least));
            }
        }
    }
    let memory = path.as_deref().and_then(|path| tree.at(path)?.after.memory);
    let shortage = memory.and_then(|memory| memory.shortage);
    let bytes = match kind {
        LimitKind::Machine => observation.after.machine.memory_total,
        LimitKind::Max => shortage.and_then(|s| s.max).or(memory.map(|m| m.used)),
        LimitKind::High => shortage.and_then(|s| s.high).or(memory.map(|m| m.used)),
    };
    MemoryLimit {
        kind,
        path,
        own,
        bytes,
        sharers,
    }
}

/// The least that a party had in use lately when the window opened, also where it is gone.
fn least_before(tree: &Tree<'_>, books: &Books<'_>, party: usize) -> Bytes {
    root(books, party)
        .and_then(|root| tree.last(root)?.1?.memory)
        .map_or(Bytes(0), |memory| memory.least)
}

/// The party that has a limit for itself: nobody else has memory below that cgroup.
fn owner_of(tree: &Tree<'_>, books: &Books<'_>, path: &str) -> Option<usize> {
    let mut owners = tree
        .places()
        .filter(|place| is_below(&place.after.path, path))
        .map(|place| place.party)
        .filter(|&party| {
            books
                .parties
                .get(party)
                .is_some_and(|user| user.party.kind != PartyKind::Kernel)
        });
    match owners.next() {
        Some(first) => owners.all(|party| party == first).then_some(first),
        // The cgroup is gone: whoever it belonged to had it for itself.
        None => (0..books.parties.len())
            .filter(|&party| root(books, party).is_some_and(|root| is_below(path, root)))
            .max_by_key(|&party| root(books, party).map_or(0, str::len)),
    }
}

/// Whether a cgroup lies below `parent` or is it.
fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
