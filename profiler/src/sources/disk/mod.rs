//! Who waits for whose requests on block devices, accounted in the kernel at every request.
//!
//! `disk.bpf.c` keeps flat tables by device and owner; [`Disk`] loads it and takes the differences of
//! one window. Needs CAP_BPF and CAP_PERFMON, BTF, and Linux 5.15.

mod alone;
mod layout;
mod sync;

use super::owner::owner_of_key;
use super::resources::{Context, Means, Source};
use super::sched::Names;
use super::tracepoint::{AttachError, attach};
use crate::host::HostRoot;
use crate::sources::table::{TableError, mapped};
use crate::sys::MappedArray;
use alone::{Alone, Known};
use aya::{Ebpf, EbpfError};
use dunnage_model::gap::Gap;
use dunnage_model::observation::{DiskOwner, DiskPair, DiskWindow, Owner, ResourceWindows};
use dunnage_model::units::{Bytes, Nanos};
use layout::{BUCKETS, CLASSES, DEVICES, SLOTS, SYNC_CLASS, blame, directory, known, slot};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The compiled program; `build-ebpf.sh` makes it, a test compares it.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!("disk.bpf.o");

/// Why requests are not accounted.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The object was refused.
    #[error("loading the program for block devices failed: {0}")]
    Load(#[source] Box<EbpfError>),
    /// A program was refused.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// The key of what a journal writes for many at once (`kernel.h`).
const JOURNAL: u64 = 3;

/// The loaded program with the values of the last read.
pub(super) struct Disk {
    directory: MappedArray,
    slots: MappedArray,
    blames: MappedArray,
    known: MappedArray,
    last_slots: Vec<u64>,
    last_blames: Vec<u64>,
    last_lost: u64,
    /// What is known of each device that had requests.
    devices: HashMap<usize, Known>,
    root: HostRoot,
    fsync: sync::Following,
    /// Of each slot, for the owner that has it.
    alone: HashMap<(usize, usize), (u64, [Alone; CLASSES])>,
    _ebpf: Ebpf,
}

impl Disk {
    /// Loads the program and attaches it.
    pub(super) fn open(context: &Context<'_>) -> Result<Disk, DiskError> {
        let mut ebpf = context
            .loader()
            .load(OBJECT)
            .map_err(|e| DiskError::Load(Box::new(e)))?;
        let directory = mapped(&ebpf, "directory", 1, directory::WORDS)?;
        let slots = mapped(&ebpf, "slots", DEVICES, SLOTS * slot::WORDS)?;
        let blames = mapped(&ebpf, "blames", DEVICES, blame::WORDS)?;
        let known = mapped(&ebpf, "known", DEVICES, known::WORDS)?;
        // Ends first: a request whose end is not seen would stay.
        for (program, tracepoint) in [
            ("on_request_complete", "block_rq_complete"),
            ("on_complete", "block_bio_complete"),
        ] {
            attach(&mut ebpf, context.btf, program, tracepoint)?;
        }
        attach(&mut ebpf, context.btf, "on_queue", "block_bio_queue")?;
        let fsync = sync::follow(&mut ebpf, context);
        Ok(Disk {
            directory,
            slots,
            blames,
            known,
            last_slots: vec![0; DEVICES * SLOTS * slot::WORDS],
            last_blames: vec![0; DEVICES * blame::WORDS],
            last_lost: 0,
            devices: HashMap::new(),
            root: context.root.clone(),
            fsync,
            alone: HashMap::new(),
            _ebpf: ebpf,
        })
    }

    fn take(&mut self, names: &dyn Names) -> DiskWindow {
        let mut window = DiskWindow::default();
        let mut paths: BTreeMap<Owner, Arc<str>> = BTreeMap::new();
        for device in 0..DEVICES {
            let word = self.directory.load(0, device / 2);
            let number = (word >> (device % 2 * 32)) & 0xffff_ffff;
            if number != 0 {
                let number = ((number >> 20) as u32, (number & 0xf_ffff) as u32);
                self.device(device, number, &mut window, &mut paths, names);
            }
        }
        window.names = paths.into_iter().collect();
        let lost =
            self.directory.load(0, directory::LOST) + self.directory.load(0, directory::MISSED);
        window.lost = lost - std::mem::replace(&mut self.last_lost, lost).min(lost);
        window
    }

    fn device(
        &mut self,
        device: usize,
        number: (u32, u32),
        window: &mut DiskWindow,
        paths: &mut BTreeMap<Owner, Arc<str>>,
        names: &dyn Names,
    ) {
        let keys: Vec<u64> = (0..SLOTS)
            .map(|at| self.slot_word(device, at, slot::KEY))
            .collect();
        let owners: Vec<Owner> = keys.iter().map(|key| owner(*key)).collect();
        let mut changed = Vec::new();
        for at in 0..SLOTS {
            let sums = self.sums(device, at);
            let occupied = self.blame_delta(device, blame::occupied(at));
            let quiet = occupied == 0 && sums.iter().all(|sum| *sum == 0);
            if quiet {
                self.retire(device, at);
                continue;
            }
            self.learn(device, at, &sums);
            changed.push((at, sums, occupied));
        }
        if changed.is_empty() {
            return;
        }
        self.refresh(device);
        if let Some(name) = device_name(&self.root, number) {
            window.devices.push((number, name));
        }
        for (at, sums, occupied) in changed {
            let owner = owners[at];
            let wait = sum(&sums, slot::WAIT);
            let mut named = 0;
            let mut journal = 0;
            let mut own = 0;
            let mut unexplained = 0;
            for (other, culprit) in owners.iter().enumerate() {
                let time = self.blame_delta(device, blame::time(at, other));
                match *culprit {
                    _ if other == at => own += time,
                    _ if keys[other] == JOURNAL => journal += time,
                    Owner::Unknown => unexplained += time,
                    culprit if time > 0 => {
                        named += time;
                        note(paths, culprit, || self.name(device, other, culprit, names));
                        window.pairs.push(DiskPair {
                            device: number,
                            victim: owner,
                            culprit,
                            time: Nanos(time),
                        });
                    }
                    _ => {}
                }
            }
            // Roundings, and time without any request.
            own += wait.saturating_sub(named + own + journal + unexplained);
            note(paths, owner, || self.name(device, at, owner, names));
            window.owners.push(DiskOwner {
                device: number,
                owner,
                read: Bytes(sum(&sums, slot::READ_BYTES)),
                written: Bytes(sum(&sums, slot::WRITTEN_BYTES)),
                reads: sum(&sums, slot::READS),
                writes: sum(&sums, slot::WRITES),
                wait: Nanos(wait),
                waiting: Nanos(sum(&sums, slot::WAITING)),
                own: Nanos(own),
                shared: Nanos(sum(&sums, slot::SHARED)),
                journal: Nanos(journal),
                journalled: sum(&sums, slot::JOURNALLED),
                syncs: sum(&sums, slot::class(SYNC_CLASS)) & 0xffff_ffff,
                synced: Nanos(sum(&sums, slot::class(SYNC_CLASS) + 1)),
                unexplained: Nanos(unexplained),
                needed: self.needed(device, at, &sums),
                occupied: Nanos(occupied),
            });
        }
    }

    /// What a slot's sums grew by; the words before the sums are nought.
    fn sums(&mut self, device: usize, at: usize) -> [u64; slot::WORDS] {
        let mut sums = [0; slot::WORDS];
        for (word, sum) in sums.iter_mut().enumerate().skip(slot::READ_BYTES) {
            let index = (device * SLOTS + at) * slot::WORDS + word;
            let now = self.slots.load(device, at * slot::WORDS + word);
            let before = std::mem::replace(&mut self.last_slots[index], now);
            *sum = match word.checked_sub(slot::FIRST_CLASS) {
                // Two counters of 32 bits, which may wrap.
                Some(place) if place % slot::CLASS_WORDS == 0 => {
                    let low = |word: u64| word & u64::from(u32::MAX);
                    let count = |shift: u32| low((now >> shift).wrapping_sub(before >> shift));
                    count(0) | count(32) << 32
                }
                _ => now.saturating_sub(before),
            };
        }
        sums
    }

    fn blame_delta(&mut self, device: usize, word: usize) -> u64 {
        let now = self.blames.load(device, word);
        let last = &mut self.last_blames[device * blame::WORDS + word];
        now.saturating_sub(std::mem::replace(last, now))
    }

    /// Lets another owner have the slot of one that has nothing outstanding and did nothing in the
    /// whole window.
    fn retire(&mut self, device: usize, at: usize) {
        if self.slot_word(device, at, slot::KEY) != 0
            && self.slot_word(device, at, slot::OUTSTANDING) == 0
        {
            self.slots
                .store(device, at * slot::WORDS + slot::RETIRED, 1);
            self.alone.remove(&(device, at));
        }
    }

    /// Notes what was seen of requests alone.
    fn learn(&mut self, device: usize, at: usize, sums: &[u64; slot::WORDS]) {
        let key = self.slot_word(device, at, slot::KEY);
        let known = self.devices.entry(device).or_insert_with(|| Known {
            alone: [Alone::default(); CLASSES],
            latencies: [[0; BUCKETS]; CLASSES],
        });
        let own = self.alone.entry((device, at)).or_default();
        if own.0 != key {
            *own = (key, [Alone::default(); CLASSES]);
        }
        for (class, (own, all)) in own.1.iter_mut().zip(&mut known.alone).enumerate() {
            let first = slot::class(class);
            let seen = Alone {
                count: sum(sums, first) >> 32,
                time: sum(sums, first + 2),
            };
            own.add(seen);
            all.add(seen);
        }
    }

    fn refresh(&mut self, device: usize) {
        let table = &self.known;
        let Some(known) = self.devices.get_mut(&device) else {
            return;
        };
        for (class, buckets) in known.latencies.iter_mut().enumerate() {
            for (bucket, count) in buckets.iter_mut().enumerate() {
                *count = table.load(device, known::latency(class, bucket));
            }
        }
    }

    /// What the requests of the window would have taken alone.
    fn needed(&self, device: usize, at: usize, sums: &[u64; slot::WORDS]) -> Nanos {
        let Some(known) = self.devices.get(&device) else {
            return Nanos::ZERO;
        };
        let own = self.alone.get(&(device, at)).map(|(_, own)| *own);
        let own = own.unwrap_or_default();
        let needs = own.iter().enumerate().map(|(class, own)| {
            let count = sum(sums, slot::class(class)) & 0xffff_ffff;
            if count == 0 {
                return 0.0;
            }
            count as f64 * known.need(class, *own)
        });
        Nanos::from_seconds(needs.sum::<f64>() / 1e9)
    }

    fn slot_word(&self, device: usize, at: usize, word: usize) -> u64 {
        self.slots.load(device, at * slot::WORDS + word)
    }

    fn name(&self, device: usize, at: usize, owner: Owner, names: &dyn Names) -> Option<Arc<str>> {
        if !matches!(owner, Owner::RootCommand(_)) {
            return names.path(owner);
        }
        let words = [0, 1].map(|word| self.slot_word(device, at, slot::NAME + word).to_le_bytes());
        let bytes = words.concat();
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Some(Arc::from(String::from_utf8_lossy(&bytes[..end])))
    }
}

impl Source for Disk {
    fn window(&mut self, names: &dyn Names, windows: &mut ResourceWindows) {
        windows.disk = Some(self.take(names));
    }

    fn notices(&self) -> Vec<Gap> {
        self.fsync.notices.clone()
    }

    fn means(&self) -> Option<Means> {
        Some(self.fsync.means.clone())
    }
}

/// Whose a slot is; the kernel's where it is the journal's.
fn owner(key: u64) -> Owner {
    match key {
        JOURNAL => Owner::Kernel,
        key => owner_of_key(key).unwrap_or(Owner::Unknown),
    }
}

fn note(
    paths: &mut BTreeMap<Owner, Arc<str>>,
    owner: Owner,
    name: impl FnOnce() -> Option<Arc<str>>,
) {
    if !paths.contains_key(&owner)
        && let Some(name) = name()
    {
        paths.insert(owner, name);
    }
}

fn sum(sums: &[u64; slot::WORDS], word: usize) -> u64 {
    sums.get(word).copied().unwrap_or(0)
}

/// `DEVNAME` of the device (`Documentation/ABI/testing/sysfs-uevent`). Numbers are given again, so it is
/// read anew each time.
fn device_name(root: &HostRoot, (major, minor): (u32, u32)) -> Option<Arc<str>> {
    let path = format!("/sys/dev/block/{major}:{minor}/uevent");
    let text = root.read(&path, 4096).ok()?;
    let text = String::from_utf8_lossy(&text);
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="))?;
    Some(Arc::from(name))
}
