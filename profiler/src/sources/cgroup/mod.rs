//! Every cgroup of the host, joined over all hierarchies by path: CPU time and limits, memory,
//! block I/O, pressure, processes, network.
//!
//! A thousand cgroups once a second must cost little, so that: descriptors are kept
//! ([`files`]); leaves are found without listing them ([`walk`]); limits are read every few
//! sweeps; a cgroup whose CPU time stands still keeps what cannot have changed meanwhile; and where
//! hundreds run, their memory takes turns ([`node`]). No counter is older than [`STALE`] sweeps.

mod files;
mod layout;
mod limits;
mod node;
mod numbers;
mod shortage;
mod v1;
mod v2;
mod walk;

pub use layout::{Controller, Hierarchy, Mounts};
pub(crate) use numbers::{decimal, lines, pairs, single, words};
pub(crate) use v1::quota;
pub(crate) use v2::{cpu_max, cpu_stat as v2_cpu_stat, pressure};

use crate::host::HostRoot;
use crate::sources::network::Namespaces;
use dunnage_model::gap::Gap;
use dunnage_model::observation::{CgroupLayout, CgroupReading};
use files::FileReader;
use node::{Node, Sweep};
use shortage::Shortages;
use std::path::PathBuf;
use std::sync::Arc;
use walk::Walk;

/// Every value of every cgroup is read again after this many sweeps at the latest.
pub(crate) const STALE: u32 = 10;

/// From this many cgroups that run on, their memory, I/O and tasks take turns.
const AT_ONCE: usize = 256;

/// The tree is walked again after this many sweeps, even if events promise that nothing changed.
const TRUST: u32 = 30;

/// The files of version 1 with bytes and operations per device, best first: of blk-throttle, of
/// the bfq scheduler, and of blk-throttle before Linux 4.19.
const IO_FILES: [IoFiles; 3] = [
    (
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_serviced_recursive",
    ),
    (
        "blkio.bfq.io_service_bytes_recursive",
        "blkio.bfq.io_serviced_recursive",
    ),
    (
        "blkio.throttle.io_service_bytes",
        "blkio.throttle.io_serviced",
    ),
];

type IoFiles = (&'static str, &'static str);

/// What is said to be lost where no file counts block I/O.
pub(crate) const IO_LOST: &str = "cgroup block I/O";

/// Since Linux 6.10 blk-throttle starts with the first limit on a disk.
const IO_SILENT: &str = "this kernel counts it in version 1 cgroups only on disks with a \
    blkio.throttle limit or the bfq scheduler: set one of them, or boot with cgroup v2";

/// Why there are no cgroups to read.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// Nothing mounted.
    #[error(
        "no cgroup hierarchy found in the mount table or at {}: mount cgroup2 there, or name the host's root with --host-root",
        place.display()
    )]
    None {
        /// Where it was looked for last.
        place: PathBuf,
    },
}

/// What to read besides CPU time and CPU limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// CPU time in user and system mode apart, where that is a file of its own.
    pub cpu_modes: bool,
    /// Memory in use, by kind, and its limit.
    pub memory: bool,
    /// Memory in use; where memory is short also by kind, with limits, what was taken and thrown
    /// out, and pressure.
    pub shortage: bool,
    /// Block I/O per device.
    pub io: bool,
    /// Limits on block devices; where there are any, pressure of I/O too.
    pub io_limits: bool,
    /// Pressure.
    pub pressure: bool,
    /// Processes and threads.
    pub processes: bool,
    /// Counters of the network namespaces.
    pub network: bool,
    /// Forks that were refused.
    pub forks: bool,
}

impl Want {
    /// Everything.
    #[must_use]
    pub const fn all() -> Want {
        Want {
            cpu_modes: true,
            memory: true,
            shortage: true,
            io: true,
            io_limits: true,
            pressure: true,
            processes: true,
            network: true,
            forks: true,
        }
    }

    /// CPU alone.
    #[must_use]
    pub const fn cpu() -> Want {
        Want {
            cpu_modes: false,
            memory: false,
            shortage: false,
            io: false,
            io_limits: false,
            pressure: false,
            processes: false,
            network: false,
            forks: false,
        }
    }
}

/// Reads all cgroups, sweep by sweep.
#[derive(Debug)]
pub struct CgroupReader {
    mounts: Mounts,
    layout: CgroupLayout,
    /// Sorted by raw path, so that parents stand before their children.
    nodes: Vec<Node>,
    files: FileReader,
    namespaces: Namespaces,
    trusting: bool,
    changed: bool,
    sweeps: u32,
    walks: u32,
    since_walk: u32,
    cut: Option<&'static str>,
    shortages: Shortages,
    /// Which of [`IO_FILES`] count; none do on kernels that count only where a limit is set.
    io_files: Option<IoFiles>,
}

impl CgroupReader {
    /// Finds the hierarchies. Raises the soft limit of open files to the hard one.
    ///
    /// # Errors
    /// [`CgroupError::None`] where the host shows no hierarchy.
    pub fn open(root: &HostRoot) -> Result<CgroupReader, CgroupError> {
        let mounts = Mounts::discover(root)?;
        let layout = mounts.layout();
        Ok(CgroupReader {
            mounts,
            layout,
            nodes: Vec::new(),
            files: FileReader::new(),
            namespaces: Namespaces::open(root),
            trusting: false,
            changed: true,
            sweeps: 0,
            walks: 0,
            since_walk: 0,
            cut: None,
            shortages: Shortages::default(),
            io_files: None,
        })
    }

    /// Which hierarchies there are.
    #[must_use]
    pub fn layout(&self) -> CgroupLayout {
        self.layout
    }

    /// Where they are mounted.
    #[must_use]
    pub fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// Whether somebody tells of births and removals by [`CgroupReader::mark_changed`]. Without
    /// that the tree is walked at every sweep; with it after a change, and each 30th sweep.
    pub fn trust_events(&mut self, trusting: bool) {
        self.trusting = trusting;
    }

    /// A cgroup was made or removed since the last sweep.
    pub fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// Memory was reclaimed since the last sweep: of the cgroup at this path, or of the whole machine.
    pub(crate) fn note_shortage(&mut self, of: Option<Arc<str>>) {
        self.shortages.note(of, self.sweeps);
    }

    /// Reads every cgroup, sorted by path.
    pub fn read(&mut self, want: Want) -> (Vec<CgroupReading>, Vec<Gap>) {
        self.read_active(want, &|_, _| true)
    }

    /// As [`CgroupReader::read`], but a cgroup of which `active` (v2 id, v1 id) says that neither
    /// it nor a descendant ran since the last sweep gives its last reading again; each is read at
    /// least every tenth sweep.
    pub fn read_active(
        &mut self,
        want: Want,
        active: &dyn Fn(Option<u64>, Option<u64>) -> bool,
    ) -> (Vec<CgroupReading>, Vec<Gap>) {
        self.sweeps = self.sweeps.wrapping_add(1);
        self.since_walk += 1;
        if !self.trusting || self.changed || self.since_walk >= TRUST {
            self.walk();
        }
        self.namespaces.begin_sweep();
        let moved = self.moved(active);
        let short = self.shortages.among(&self.nodes, self.sweeps);
        // The first two sweeps may be all there are: they take everything.
        let running = moved.iter().filter(|&&moved| moved).count();
        let turns = if self.sweeps > 2 {
            1 + running / AT_ONCE
        } else {
            1
        };
        let mut sweep = Sweep {
            mounts: &self.mounts,
            files: &mut self.files,
            namespaces: &mut self.namespaces,
            want,
            io_files: self.io_files,
            number: self.sweeps,
            pace: u32::try_from(turns).unwrap_or(STALE).min(STALE),
            page: crate::sources::page_size(),
            denied: None,
            vanished: false,
        };
        let mut readings = Vec::with_capacity(self.nodes.len());
        for ((node, moved), short) in self.nodes.iter_mut().zip(moved).zip(short) {
            if node.read(&mut sweep, moved, short) {
                readings.push(node.reading().clone());
            }
        }
        let (denied, vanished) = (sweep.denied, sweep.vanished);
        self.changed = vanished;
        readings.sort_by(|a, b| a.path.cmp(&b.path));
        let mut gaps = self.namespaces.gaps();
        gaps.extend(self.cut.map(|why| Gap::new("cgroups", why)));
        if want.io && self.io_files.is_none() && self.mounts.of(Controller::Blkio).is_some() {
            gaps.push(Gap::new(IO_LOST, IO_SILENT));
        }
        gaps.extend(denied.map(|name| {
            Gap::new(
                format!("cgroup {name}"),
                "this user may not read it: run as root or with CAP_DAC_READ_SEARCH",
            )
        }));
        (readings, gaps)
    }

    /// For each cgroup whether it, or one below it, was active.
    fn moved(&self, active: &dyn Fn(Option<u64>, Option<u64>) -> bool) -> Vec<bool> {
        let mut moved = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            if active(node.reading().v2_id, node.reading().v1_id) {
                let mut at = Some(index);
                while let Some(place) = at.and_then(|i| moved.get_mut(i)).filter(|m| !**m) {
                    *place = true;
                    at = at
                        .and_then(|i| self.nodes.get(i))
                        .and_then(|node| node.parent);
                }
            }
        }
        moved
    }

    /// Brings the list of cgroups up to date. The hierarchies that carry ids are walked each time,
    /// the others each tenth: engines make a container's directories everywhere, or with them.
    fn walk(&mut self) {
        let ids = &Controller::ALL[..3];
        let mounted = ids
            .iter()
            .any(|&controller| self.mounts.of(controller).is_some());
        let full = !mounted || self.walks.is_multiple_of(STALE);
        self.walks = self.walks.wrapping_add(1);
        self.since_walk = 0;
        self.changed = false;
        if full {
            self.choose_io_files();
        }
        let mut walk = Walk::over(&self.mounts, if full { &Controller::ALL } else { ids });
        self.cut = walk.cut;
        let bits = ids
            .iter()
            .fold(0, |bits, controller| bits | controller.bit());
        for mut node in std::mem::take(&mut self.nodes) {
            match walk.found.remove(node.raw()) {
                Some(mut found) => {
                    if !full {
                        found.present |= node.present & !bits;
                    }
                    if node.is(found) {
                        node.learn(found);
                        self.nodes.push(node);
                    } else {
                        // The same path, made anew.
                        self.files.close(&mut node.files);
                        self.nodes
                            .push(Node::new(node.raw().to_vec(), found, self.walks));
                    }
                }
                None if !full && node.present & bits == 0 => self.nodes.push(node),
                None => self.files.close(&mut node.files),
            }
        }
        for (raw, mut found) in walk.found {
            if !full {
                for &controller in &Controller::ALL[3..] {
                    if self.files.exists(&self.mounts, &raw, controller) {
                        found.present |= controller.bit();
                    }
                }
            }
            let stagger = u32::try_from(self.nodes.len()).unwrap_or(0);
            self.nodes.push(Node::new(raw, found, stagger));
        }
        node::arrange(&mut self.nodes);
    }

    /// Finds the files that know a device. A booted machine has used a disk, so that files that
    /// know none count nothing: what they say is no zero.
    fn choose_io_files(&mut self) {
        let Some(hierarchy) = self.mounts.of(Controller::Blkio) else {
            return;
        };
        let top = hierarchy.prefix.clone();
        let chosen = IO_FILES.into_iter().find(|&(bytes, _)| {
            let text = self
                .files
                .read_once(&self.mounts, &top, Controller::Blkio, bytes);
            text.is_some_and(|text| !v1::blkio(text, b"").is_empty())
        });
        if chosen != self.io_files {
            self.io_files = chosen;
            self.nodes
                .iter_mut()
                .for_each(|node| self.files.close(&mut node.files));
        }
    }
}

#[cfg(test)]
mod tests;
