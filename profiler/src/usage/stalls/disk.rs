//! Waits for block devices, by device and party.
//!
//! A journal writes for all who changed something on its file system. Who syncs needs a commit of its
//! own, whatever else is in it: what it waited for the journal is its own but for the blocks that others
//! put into the commits that it waited for.

use super::{Accounts, Wait};
use dunnage_model::observation::{DiskOwner, DiskWindow, Owner};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::DiskStall;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What adds up beside the wait.
#[derive(Default)]
struct Row {
    wait: Wait,
    shared: Nanos,
    waiting: Nanos,
    needed: Nanos,
    occupied: Nanos,
    synced: Nanos,
    bytes: Bytes,
    requests: u64,
}

/// What a commit costs whatever is in it, in blocks: as much as a flush, which it ends with, counts for
/// when a device's time is split (`FLUSH_WEIGHT` in `tables.h`).
const COMMIT: f64 = 64.0;

/// Commits that one sync waits for: the one that runs, and its own.
const COMMITS_OF_A_SYNC: f64 = 2.0;

/// What the journals on one device had to do.
#[derive(Default)]
struct Journal {
    /// Calls of fsync.
    syncs: u64,
    /// Blocks and calls of fsync by party.
    users: BTreeMap<usize, (u64, u64)>,
}

/// One row a device and party that had requests. `name` is the kernel's name of a device.
pub(super) fn rows(
    window: &DiskWindow,
    name: &dyn Fn((u32, u32)) -> Arc<str>,
    accounts: &mut Accounts<'_, '_, '_, '_>,
) -> Vec<DiskStall> {
    let mut rows: BTreeMap<((u32, u32), usize), Row> = BTreeMap::new();
    for owner in &window.owners {
        let party = accounts.of(owner.owner);
        rows.entry((owner.device, party)).or_default().add(owner);
    }
    for pair in &window.pairs {
        let (victim, culprit) = (accounts.of(pair.victim), accounts.of(pair.culprit));
        let row = rows.entry((pair.device, victim)).or_default();
        row.wait.add(culprit, pair.time);
    }
    let journals = journals(window, accounts);
    for owner in window.owners.iter().filter(|o| o.journal > Nanos::ZERO) {
        let party = accounts.of(owner.owner);
        let row = rows.entry((owner.device, party)).or_default();
        match journals.get(&owner.device) {
            Some(journal) => row.split(party, owner.journal, journal),
            None => row.wait.add(accounts.of(Owner::Kernel), owner.journal),
        }
    }
    rows.into_iter()
        .map(|((device, party), row)| DiskStall {
            device: name(device),
            blamed: row.wait.finish(party),
            shared: row.shared,
            waiting: row.waiting,
            needed: row.needed,
            occupied: row.occupied,
            synced: row.synced,
            bytes: row.bytes,
            requests: row.requests,
        })
        .collect()
}

/// The journals by device.
fn journals(
    window: &DiskWindow,
    accounts: &mut Accounts<'_, '_, '_, '_>,
) -> BTreeMap<(u32, u32), Journal> {
    let mut journals: BTreeMap<_, Journal> = BTreeMap::new();
    for owner in &window.owners {
        if owner.journalled > 0 || owner.syncs > 0 {
            let journal = journals.entry(owner.device).or_default();
            journal.syncs += owner.syncs;
            let user = journal.users.entry(accounts.of(owner.owner)).or_default();
            user.0 += owner.journalled;
            user.1 += owner.syncs;
        }
    }
    journals
}

impl Row {
    /// Splits what `party` waited for a journal over those whose blocks were in its commits.
    fn split(&mut self, party: usize, time: Nanos, journal: &Journal) {
        let own = journal.users.get(&party).copied().unwrap_or_default();
        let syncs = own.1.max(1) as f64;
        // Of all commits it waited for so many; each sync makes one at most.
        let met = (COMMITS_OF_A_SYNC * syncs / journal.syncs.max(1) as f64).min(1.0);
        let weight = |(other, (blocks, _)): (&usize, &(u64, u64))| {
            if *other == party {
                COMMIT * syncs + *blocks as f64
            } else {
                met * *blocks as f64
            }
        };
        let others = journal.users.iter().filter(|(other, _)| **other != party);
        let mine = weight((&party, &own));
        let all = mine + others.clone().map(weight).sum::<f64>();
        let part = |weight: f64| Nanos::from_seconds(time.seconds() * weight / all);
        self.wait.own += part(mine);
        self.shared += part(mine);
        for (other, used) in others {
            self.wait.add(*other, part(weight((other, used))));
        }
    }

    fn add(&mut self, owner: &DiskOwner) {
        self.wait.wait += owner.wait;
        self.wait.own += owner.own;
        self.wait.unexplained += owner.unexplained;
        self.shared += owner.shared;
        // Several owners of one party may wait at once; which moments they share is not known.
        self.waiting = self.waiting.max(owner.waiting);
        self.needed += owner.needed;
        self.occupied += owner.occupied;
        self.synced += owner.synced;
        self.bytes += owner.read + owner.written;
        self.requests += owner.reads + owner.writes;
    }
}
