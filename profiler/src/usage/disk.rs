//! Block I/O per device. Version 2 counts it in files. Version 1 counts direct I/O at best, so there it
//! comes from the block layer's events, which know who dirtied a page, and from files only where these
//! are not watched. What nobody is charged with of a device's own counters is the kernel's.

use super::Books;
use super::stalls::Accounts;
use super::tree::{Place, Tree};
use dunnage_model::observation::{CgroupLayout, DeviceIo, DiskWindow, Observation};
use dunnage_model::units::Bytes;
use dunnage_model::usage::DiskUse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Device = (u32, u32);

/// The four counters of one device in one cgroup, as differences.
type Counts = [u64; 4];

pub(super) fn fill(observation: &Observation, tree: &Tree<'_>, books: &mut Books<'_>) {
    // Without the device's own counters nobody asked for use.
    let asked = !observation.after.machine.disks.is_empty();
    if observation.host.cgroup != CgroupLayout::V2
        && asked
        && let Some(window) = &observation.resources.disk
    {
        return fill_by_events(window, observation, tree, books);
    }
    fill_by_files(observation, tree, books);
}

/// What the block layer's events tell of each party.
fn fill_by_events(
    window: &DiskWindow,
    observation: &Observation,
    tree: &Tree<'_>,
    books: &mut Books<'_>,
) {
    let mut sums: BTreeMap<(Device, usize), Counts> = BTreeMap::new();
    let mut accounts = Accounts::new(&window.names, tree, books);
    for owner in &window.owners {
        let told = [owner.read.0, owner.written.0, owner.reads, owner.writes];
        let sum = sums
            .entry((owner.device, accounts.of(owner.owner)))
            .or_default();
        for (sum, value) in sum.iter_mut().zip(told) {
            *sum += value;
        }
    }
    for place in tree.places() {
        if let Some(party) = books.party_mut(place.party) {
            party.disk.get_or_insert_default();
        }
    }
    let machine = observation.after.machine.disks.iter();
    let mut devices: BTreeSet<Device> = machine.map(|io| (io.major, io.minor)).collect();
    devices.extend(sums.keys().map(|(device, _)| *device));
    for device in devices {
        let of_device = |party| sums.get(&(device, party)).copied().unwrap_or_default();
        let counts: Vec<Counts> = (0..books.parties.len()).map(of_device).collect();
        enter(observation, device, counts, true, books);
    }
}

/// What the cgroups' files tell.
fn fill_by_files(observation: &Observation, tree: &Tree<'_>, books: &mut Books<'_>) {
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
        enter(observation, device, counts, told, books);
    }
}

/// Enters what each party did on a device, and with `told` what the device did besides as the kernel's.
fn enter(
    observation: &Observation,
    device: Device,
    mut counts: Vec<Counts>,
    told: bool,
    books: &mut Books<'_>,
) {
    let rest = rest(observation, device, &counts).filter(|_| told);
    if let (Some(rest), Some(kernel)) = (rest, counts.get_mut(books.kernel)) {
        for (kernel, rest) in kernel.iter_mut().zip(rest) {
            *kernel += rest;
        }
    }
    let name = name(observation, device);
    for (party, count) in books.parties.iter_mut().zip(counts) {
        if count != [0; 4] {
            let disks = party.disk.get_or_insert_default();
            disks.push(disk_use(&name, count));
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
    let told = observation.resources.disk.iter();
    let mut told = told.flat_map(|window| &window.devices);
    if let Some((_, name)) = told.find(|(device, _)| *device == (major, minor)) {
        return Arc::clone(name);
    }
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
