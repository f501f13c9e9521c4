//! Requests held back by limits on block devices, of parties that have such limits.

use super::Accounts;
use crate::usage::tree::{Place, Tree};
use dunnage_model::observation::{DiskWindow, IoLimit, IoLimitKind};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{DeviceLimit, DiskStall, HeldRequests};
use std::collections::BTreeMap;
use std::sync::Arc;

type Device = (u32, u32);

/// One row a party whose own cgroup has limits. `waits` are the requests that were not held back,
/// `name` is the kernel's name of a device.
pub(super) fn rows(
    window: &DiskWindow,
    waits: &[DiskStall],
    name: &dyn Fn(Device) -> Arc<str>,
    tree: &Tree<'_>,
    accounts: &mut Accounts<'_, '_, '_, '_>,
) -> Vec<HeldRequests> {
    let limited: Vec<&Place<'_>> = tree
        .places()
        .filter(|place| !place.after.io_limits.is_empty())
        .filter(|place| accounts.cgroup(place.party) == Some(&*place.after.path))
        .collect();
    if limited.is_empty() {
        return Vec::new();
    }
    let used = used(window, accounts);
    let row = |place: &&Place<'_>| {
        let own = waits.iter().filter(|wait| wait.blamed.party == place.party);
        let limit = |limit: &IoLimit| DeviceLimit {
            device: name(limit.device),
            kind: limit.kind,
            rate: limit.rate,
            used: used
                .get(&(limit.device, place.party))
                .map_or(0, |used| of_kind(used, limit.kind)),
        };
        Some(HeldRequests {
            party: place.party,
            stalled: stalled(place)?,
            // On a device and the one beneath it a request is outstanding twice: what was held is
            // told too small then.
            outstanding: own.map(|wait| wait.waiting).sum(),
            limits: place.after.io_limits.iter().map(limit).collect(),
        })
    };
    limited.iter().filter_map(row).collect()
}

/// Read, written, reads, writes.
type Counts = [u64; 4];

fn of_kind(used: &Counts, kind: IoLimitKind) -> u64 {
    let [read, written, reads, writes] = *used;
    match kind {
        IoLimitKind::BytesRead => read,
        IoLimitKind::BytesWritten => written,
        IoLimitKind::Reads => reads,
        IoLimitKind::Writes => writes,
    }
}

fn used(
    window: &DiskWindow,
    accounts: &mut Accounts<'_, '_, '_, '_>,
) -> BTreeMap<(Device, usize), Counts> {
    let mut sums: BTreeMap<(Device, usize), Counts> = BTreeMap::new();
    for owner in &window.owners {
        let told = [owner.read.0, owner.written.0, owner.reads, owner.writes];
        let sum = sums.entry((owner.device, accounts.of(owner.owner)));
        for (sum, value) in sum.or_default().iter_mut().zip(told) {
            *sum = sum.saturating_add(value);
        }
    }
    sums
}

/// What the pressure of the cgroup grew by; from nought where it was born within the window.
fn stalled(place: &Place<'_>) -> Option<Nanos> {
    let now = place.after.pressure.io?.some;
    let then = match place.before {
        Some(before) => before.pressure.io?.some,
        None => Nanos::ZERO,
    };
    Some(now.since(then))
}
