//! Waits for block devices, by device and party.
//!
//! A journal writes for all who changed something on its file system: what somebody waited for it is
//! split over those by the blocks that they had it write in the window.

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
            Some(blocks) => row.split(party, owner.journal, blocks),
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

/// By device, the blocks that each party had its journals write.
fn journals(
    window: &DiskWindow,
    accounts: &mut Accounts<'_, '_, '_, '_>,
) -> BTreeMap<(u32, u32), BTreeMap<usize, u64>> {
    let mut journals: BTreeMap<_, BTreeMap<usize, u64>> = BTreeMap::new();
    for owner in window.owners.iter().filter(|owner| owner.journalled > 0) {
        let blocks = journals.entry(owner.device).or_default();
        let sum = blocks.entry(accounts.of(owner.owner)).or_default();
        *sum = sum.saturating_add(owner.journalled);
    }
    journals
}

impl Row {
    /// Splits what `party` waited for a journal over those who had it write so many blocks.
    fn split(&mut self, party: usize, time: Nanos, blocks: &BTreeMap<usize, u64>) {
        let all: f64 = blocks.values().map(|blocks| *blocks as f64).sum();
        for (other, blocks) in blocks {
            let part = Nanos::from_seconds(time.seconds() * *blocks as f64 / all);
            if *other == party {
                self.wait.own += part;
                self.shared += part;
            } else {
                self.wait.add(*other, part);
            }
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
