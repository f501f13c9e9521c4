//! Block I/O per device. What no cgroup below the root is charged with is the kernel's: the
//! processes of the root cgroup, and on version 1 the writing back of buffered pages.

use super::Books;
use super::tree::{Place, Tree};
use dunnage_model::observation::{DeviceIo, Observation};
use dunnage_model::units::Bytes;
use dunnage_model::usage::DiskUse;
use std::collections::BTreeSet;
use std::sync::Arc;

type Device = (u32, u32);

/// The four counters of one device in one cgroup, as differences.
type Counts = [u64; 4];

pub(super) fn fill(observation: &Observation, tree: &Tree<'_>, books: &mut Books<'_>) {
    let mut devices: BTreeSet<Device> = BTreeSet::new();
    for place in tree.places() {
        let Some(io) = &place.after.io else { continue };
        devices.extend(io.iter().map(|io| (io.major, io.minor)));
        if let Some(party) = books.party_mut(place.party) {
            party.disk.get_or_insert_default();
        }
    }
    let told = books.parties.iter().any(|party| party.disk.is_some());
    devices.extend(
        observation
            .after
            .machine
            .disks
            .iter()
            .map(|io| (io.major, io.minor)),
    );
    for device in devices {
        let mut counts = vec![[0; 4]; books.parties.len()];
        for kind in 0..4 {
            let exclusive = tree.exclusive(counts.len(), |place| grown(place, device, kind));
            for (count, value) in counts.iter_mut().zip(exclusive) {
                if let Some(place) = count.get_mut(kind) {
                    *place = value.unwrap_or(0);
                }
            }
        }
        let rest = rest(observation, device, &counts).filter(|_| told);
        if let (Some(rest), Some(kernel)) = (rest, counts.get_mut(books.kernel)) {
            *kernel = rest;
        }
        let name = name(observation, device);
        for (party, count) in books.parties.iter_mut().zip(counts) {
            if count != [0; 4] {
                party
                    .disk
                    .get_or_insert_default()
                    .push(disk_use(&name, count));
            }
        }
    }
}

fn disk_use(name: &Arc<str>, [read, written, reads, writes]: Counts) -> DiskUse {
    let device = name.clone();
    DiskUse {
        device,
        read: Bytes(read),
        written: Bytes(written),
        reads,
        writes,
    }
}

fn counts(devices: &[DeviceIo], device: Device) -> Counts {
    let found = devices.iter().find(|io| (io.major, io.minor) == device);
    found.map_or([0; 4], |io| [io.read.0, io.written.0, io.reads, io.writes])
}

fn grown(place: &Place<'_>, device: Device, kind: usize) -> Option<u64> {
    let now = counts(place.after.io.as_ref()?, device);
    let then = place.before.and_then(|before| before.io.as_ref());
    let then = then.map_or([0; 4], |io| counts(io, device));
    Some(now.get(kind)?.saturating_sub(*then.get(kind)?))
}

/// What the machine did on the device less what the parties did; `None` where the machine does not
/// tell.
fn rest(observation: &Observation, device: Device, parties: &[Counts]) -> Option<Counts> {
    let disks = &observation.after.machine.disks;
    disks.iter().find(|io| (io.major, io.minor) == device)?;
    let mut rest = counts(disks, device);
    let then = counts(&observation.before.machine.disks, device);
    for (kind, value) in rest.iter_mut().enumerate() {
        let sum = parties
            .iter()
            .filter_map(|count| count.get(kind))
            .fold(0u64, |sum, v| sum.saturating_add(*v));
        *value = value
            .saturating_sub(then.get(kind).copied().unwrap_or(0))
            .saturating_sub(sum);
    }
    Some(rest)
}

/// The kernel's name of a device, or its numbers.
pub(super) fn name(observation: &Observation, (major, minor): Device) -> Arc<str> {
    let disks = observation.after.machine.disks.iter();
    let cgroups = observation
        .after
        .cgroups
        .iter()
        .filter_map(|cgroup| cgroup.io.as_ref());
    disks
        .chain(cgroups.flatten())
        .filter(|io| (io.major, io.minor) == (major, minor))
        .find_map(|io| io.name.clone())
        .unwrap_or_else(|| Arc::from(format!("{major}:{minor}")))
}
