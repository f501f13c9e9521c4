//! Waits in the queues of network devices, by device and party.

use super::{Accounts, Wait};
use dunnage_model::observation::{LinkOwner, LinkWindow};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::LinkStall;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What adds up beside the wait.
struct Row {
    wait: Wait,
    discipline: Arc<str>,
    handle: u32,
    shaped: bool,
    bytes: Bytes,
    packets: u64,
    longest: Nanos,
    dropped: u64,
    dropped_bytes: Bytes,
}

/// One row a device and party whose packets were in its queue.
pub(super) fn rows(window: &LinkWindow, accounts: &mut Accounts<'_, '_, '_, '_>) -> Vec<LinkStall> {
    let mut rows: BTreeMap<(&Arc<str>, usize), Row> = BTreeMap::new();
    for owner in &window.owners {
        let party = accounts.of(owner.owner);
        rows.entry((&owner.device, party))
            .or_insert_with(|| Row::of(owner))
            .add(owner);
    }
    for pair in &window.pairs {
        let (victim, culprit) = (accounts.of(pair.victim), accounts.of(pair.culprit));
        if let Some(row) = rows.get_mut(&(&pair.device, victim)) {
            row.wait.add(culprit, pair.time);
        }
    }
    rows.into_iter()
        .map(|((device, party), row)| LinkStall {
            device: Arc::clone(device),
            discipline: row.discipline,
            handle: row.handle,
            shaped: row.shaped,
            blamed: row.wait.finish(party),
            bytes: row.bytes,
            packets: row.packets,
            longest: row.longest,
            dropped: row.dropped,
            dropped_bytes: row.dropped_bytes,
        })
        .collect()
}

impl Row {
    fn of(owner: &LinkOwner) -> Row {
        Row {
            wait: Wait::default(),
            discipline: Arc::clone(&owner.discipline),
            handle: owner.handle,
            shaped: owner.shaped,
            bytes: Bytes(0),
            packets: 0,
            longest: Nanos::ZERO,
            dropped: 0,
            dropped_bytes: Bytes(0),
        }
    }

    fn add(&mut self, owner: &LinkOwner) {
        self.wait.wait += owner.wait;
        self.wait.own += owner.own;
        self.wait.unexplained += owner.unexplained;
        self.bytes += owner.sent;
        self.packets += owner.packets;
        self.longest = self.longest.max(owner.longest);
        self.dropped += owner.dropped;
        self.dropped_bytes += owner.dropped_bytes;
    }
}
