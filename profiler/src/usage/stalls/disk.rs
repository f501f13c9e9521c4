//! Waits for block devices, by device and party.

use super::{Accounts, Wait};
use dunnage_model::observation::{DiskOwner, DiskWindow};
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
    rows.into_iter()
        .map(|((device, party), row)| DiskStall {
            device: name(device),
            blamed: row.wait.finish(party),
            shared: row.shared,
            waiting: row.waiting,
            needed: row.needed,
            occupied: row.occupied,
            bytes: row.bytes,
            requests: row.requests,
        })
        .collect()
}

impl Row {
    fn add(&mut self, owner: &DiskOwner) {
        self.wait.wait += owner.wait;
        self.wait.own += owner.own;
        self.wait.unexplained += owner.unexplained;
        self.shared += owner.shared;
        // Several owners of one party may wait at once; which moments they share is not known.
        self.waiting = self.waiting.max(owner.waiting);
        self.needed += owner.needed;
        self.occupied += owner.occupied;
        self.bytes += owner.read + owner.written;
        self.requests += owner.reads + owner.writes;
    }
}
