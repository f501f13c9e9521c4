//! Takes one window after another from all sources.

use super::cgroup::{CgroupError, CgroupReader, Controller, IO_LOST, Want};
use super::lifecycle::{self, Lifecycle, Registry, V1Hierarchy};
use super::machine::MachineReader;
use super::parallel::{Job, in_parallel};
use super::process::RootProcesses;
use super::resources::{Context, Means, Opening, Resources};
use super::sched::{self, Budget, Names, Probe, SchedOptions};
use super::sockets::{self, Sockets};
use crate::causes::chain;
use crate::clock;
use crate::host::{self, HostRoot};
use crate::stop::Stop;
use crate::sys;
use aya::Btf;
use dunnage_model::cpuset::CpuSet;
use dunnage_model::gap::Gap;
use dunnage_model::observation::{
    CgroupLayout, CgroupReading, Fidelity, Host, MachineReading, Observation, Owner,
    ResourceWindows, SchedWindow, Snapshot, SocketTraffic,
};
use dunnage_model::units::Nanos;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Two windows share a snapshot where the second begins at most this long after the first ended.
const SHARED: Nanos = Nanos(50_000_000);

/// Why nothing can be observed at all.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// No cgroups: nobody to charge.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// Which sources to open.
#[derive(Clone, Copy, Debug)]
pub struct CollectorOptions {
    /// Which files of the cgroups to read besides those for CPU time.
    pub want: Want,
    /// Load the eBPF sources.
    pub ebpf: bool,
    /// Watch the resources other than run queues too: what `blame` judges and `ps` does not show.
    /// Without it, block devices alone are watched where `want` asks for their use.
    pub resources: bool,
    /// What the exact accounting may cost: a share of the machine's CPU time, 0 to 1.
    pub cpu_budget: f64,
}

/// The open sources.
pub struct Collector {
    host: Host,
    want: Want,
    cgroups: CgroupReader,
    machine: MachineReader,
    processes: RootProcesses,
    sched: Option<Probe>,
    lifecycle: Option<Lifecycle>,
    sockets: Option<Sockets>,
    resources: Resources,
    registry: Registry,
    notices: Vec<Gap>,
    /// Cgroups were made or removed in the last window.
    changed: bool,
    /// The machine's memory pressure at the last boundary.
    stalled: Option<Nanos>,
    last: Option<Arc<Snapshot>>,
}

/// What one boundary between two windows gives.
struct Boundary {
    snapshot: Arc<Snapshot>,
    sched: Option<SchedWindow>,
    sockets: Option<Vec<SocketTraffic>>,
    resources: ResourceWindows,
}

impl Collector {
    /// Opens the sources that `options` ask for. What cannot be opened is in [`Collector::notices`].
    ///
    /// # Errors
    /// Where the host shows no cgroups.
    pub fn open(root: &HostRoot, options: &CollectorOptions) -> Result<Collector, CollectorError> {
        let cgroups = CgroupReader::open(root)?;
        let host = host::describe(root, cgroups.layout());
        let processes = RootProcesses::open(root, cgroups.mounts());
        let v1_cpu = cgroups.mounts().of(Controller::Cpu).is_some();
        let mut collector = Collector {
            host,
            want: options.want,
            machine: MachineReader::open(root),
            processes,
            sched: None,
            lifecycle: None,
            sockets: None,
            resources: Resources::default(),
            registry: Registry::new(v1_hierarchies(root, &cgroups)),
            notices: Vec::new(),
            changed: true,
            stalled: None,
            last: None,
            cgroups,
        };
        if options.ebpf {
            if is_this_kernel(root) {
                collector.load(root, options, v1_cpu);
                sys::trim();
            } else {
                let why = "--host-root shows the files of another machine; this kernel's events are not its";
                collector.notices.push(Gap::new("eBPF", why));
            }
        }
        Ok(collector)
    }

    fn load(&mut self, root: &HostRoot, options: &CollectorOptions, v1_cpu: bool) {
        let scheduling = SchedOptions {
            cpus: possible_cpus(root).unwrap_or(self.host.cpus),
            v1_cpu,
            v2_absent: self.cgroups.layout() == CgroupLayout::V1,
            budget: Budget(options.cpu_budget),
        };
        let btf = match Btf::from_sys_fs() {
            Ok(btf) => btf,
            Err(error) => {
                let why = format!(
                    "reading the kernel's types from {BTF} failed: {}; {REMEDY}",
                    chain(&error)
                );
                self.notices.push(Gap::new("exact run-queue blame", why));
                return;
            }
        };
        let context = Context {
            root,
            mounts: self.cgroups.mounts(),
            btf: &btf,
            cpus: scheduling.cpus,
            v1_cpu: u32::from(v1_cpu),
            v2_absent: u32::from(scheduling.v2_absent),
        };
        let (mut probe, mut lifecycle, mut sockets) = (None, None, None);
        let mut opening = match (options.resources, options.want.io) {
            (true, _) => Opening::of_all(),
            (false, true) => Opening::of_use(),
            (false, false) => Opening::default(),
        };
        let unified = self.cgroups.mounts().of(Controller::Unified);
        let mut jobs: Vec<Job<'_>> = vec![
            Job::new(sched::OBJECT, || {
                probe = Some(Probe::load(&scheduling, &btf))
            }),
            Job::new(lifecycle::OBJECT, || {
                lifecycle = Some(Lifecycle::load(&btf))
            }),
        ];
        jobs.extend(opening.jobs(&context));
        if let Some(unified) = unified.filter(|_| options.want.network) {
            jobs.push(Job::new(sockets::OBJECT, || {
                sockets = Some(Sockets::load(&unified.dir, &btf));
            }));
        }
        in_parallel(jobs);
        match probe.transpose() {
            Ok(probe) => self.sched = probe,
            Err(error) => {
                let why = format!("{}; {}", chain(&error), REMEDY);
                self.notices.push(Gap::new("exact run-queue blame", why));
                // Whoever lacks this is told how to get all of it, and not each part again.
                return;
            }
        }
        match lifecycle.transpose() {
            Ok(lifecycle) => {
                self.cgroups.trust_events(lifecycle.is_some());
                self.lifecycle = lifecycle;
            }
            Err(error) => self
                .notices
                .push(Gap::new("names of short-lived cgroups", chain(&error))),
        }
        self.resources = Resources::opened(opening, &mut self.notices);
        match sockets.transpose() {
            Ok(sockets) => self.sockets = sockets,
            Err(error) => {
                let why = format!("{}; it needs CAP_BPF and CAP_NET_ADMIN", chain(&error));
                self.notices
                    .push(Gap::new("traffic of containers on the host's network", why));
            }
        }
    }

    /// What is missing on this host, to be said once.
    #[must_use]
    pub fn notices(&self) -> &[Gap] {
        &self.notices
    }

    /// By which of the kernel's events is seen what not all kernels show in the same way.
    #[must_use]
    pub fn means(&self) -> Vec<Means> {
        self.resources.means()
    }

    /// Whether the scheduler's events are accounted for, so that pressure is not needed for blame.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.sched.is_some()
    }

    /// Reads these files from now on.
    pub fn narrow(&mut self, want: Want) {
        self.want = want;
    }

    /// Whether cgroups were made or removed in the last window, as far as can be told.
    #[must_use]
    pub fn saw_changes(&self) -> bool {
        self.changed
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Lets the first window begin now, where the next call of [`Collector::observe`] is at hand.
    pub fn begin(&mut self) {
        self.last = Some(self.boundary().snapshot);
    }

    /// Takes the window that begins now and is `length` long, less where `stop` is raised. A call
    /// right after another continues where that one ended, so that nothing falls in between.
    pub fn observe(&mut self, length: Duration, stop: &Stop) -> Observation {
        // Before the first window everything is new.
        self.changed = self.last.is_none();
        let before = match self.last.take() {
            Some(last)
                if clock::monotonic().since(last.monotonic) <= SHARED + last_sweep(&last) =>
            {
                last
            }
            _ => self.boundary().snapshot,
        };
        let elapsed = Duration::from_nanos(clock::monotonic().since(before.monotonic).0);
        let _ = stop.wait(length.saturating_sub(elapsed));
        let Boundary {
            snapshot: after,
            sched,
            sockets,
            resources,
        } = self.boundary();
        self.last = Some(Arc::clone(&after));
        let mut gaps = after.gaps.clone();
        gaps.extend(self.lost_events());
        Observation {
            host: self.host.clone(),
            before,
            after,
            sched,
            sockets,
            resources,
            gaps,
        }
    }

    fn boundary(&mut self) -> Boundary {
        self.learn_events();
        let (monotonic, unix) = (clock::monotonic(), clock::realtime());
        let mut sched = self
            .sched
            .as_mut()
            .map(|probe| probe.window(&self.registry));
        let sockets = self.sockets.as_mut().map(Sockets::window);
        let resources = self.resources.window(&self.registry, sched.as_ref());
        let (machine, mut gaps) = self.machine.read(self.want);
        self.note_shortages(&resources, &machine);
        let (cgroups, cgroup_gaps) = self.read_cgroups(sched.as_ref());
        gaps.extend(cgroup_gaps);
        if resources.disk.is_some() {
            // The block layer's events tell it.
            gaps.retain(|gap| gap.what != IO_LOST);
        }
        self.registry
            .learn(&cgroups, self.lifecycle.is_none(), monotonic);
        if let Some(sched) = &mut sched {
            // Made since the events were read, and found by the walk.
            for owner in sched.owners.iter_mut().filter(|o| o.path.is_none()) {
                owner.path = self.registry.path(owner.owner);
            }
        }
        let root_processes = if self.sched.is_some() {
            Vec::new()
        } else {
            self.processes.read()
        };
        let snapshot = Arc::new(Snapshot {
            monotonic,
            unix,
            machine,
            cgroups,
            root_processes,
            gaps,
        });
        Boundary {
            snapshot,
            sched,
            sockets,
            resources,
        }
    }

    fn learn_events(&mut self) {
        let Some(lifecycle) = &mut self.lifecycle else {
            self.changed = true;
            return;
        };
        let events = lifecycle.drain();
        self.changed |= !events.is_empty();
        if !events.is_empty() {
            self.cgroups.mark_changed();
        }
        let now = clock::monotonic();
        for event in &events {
            self.registry.apply(event, now);
        }
    }

    /// Tells the reader of cgroups where memory is short: by the events of reclaim where they are
    /// accounted for, by the machine's pressure else.
    fn note_shortages(&mut self, resources: &ResourceWindows, machine: &MachineReading) {
        let Some(memory) = &resources.memory else {
            let stalled = machine.pressure.memory.map(|pressure| pressure.some);
            if stalled > self.stalled {
                self.cgroups.note_shortage(None);
            }
            self.stalled = stalled;
            return;
        };
        if memory.machine_is_short() {
            self.cgroups.note_shortage(None);
        }
        let limits = memory.reclaims.iter().filter_map(|r| r.limit.owner());
        for path in limits.filter_map(|owner| self.registry.path(owner)) {
            self.cgroups.note_shortage(Some(path));
        }
    }

    fn read_cgroups(&mut self, sched: Option<&SchedWindow>) -> (Vec<CgroupReading>, Vec<Gap>) {
        // Where the scheduler's events were seen for a part of the time, others may have run too.
        let Some(sched) = sched.filter(|sched| sched.fidelity == Fidelity::Exact) else {
            return self.cgroups.read(self.want);
        };
        let ran: HashSet<Owner> = sched.owners.iter().map(|o| o.owner).collect();
        self.cgroups.read_active(self.want, &|v2, v1| {
            [v2.map(Owner::V2), v1.map(Owner::V1)]
                .into_iter()
                .flatten()
                .any(|owner| ran.contains(&owner))
        })
    }

    fn lost_events(&self) -> Option<Gap> {
        let lost = self.lifecycle.as_ref()?.lost();
        (lost > 0).then(|| {
            Gap::new(
                "cgroup events",
                format!("{lost} were lost since the start: some short-lived cgroups have no name"),
            )
        })
    }
}

/// Where the kernel shows its types.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// What helps where the scheduling program was refused.
const REMEDY: &str = "it needs CAP_BPF and CAP_PERFMON and a kernel with BTF (`dunnage doctor` says more); without it, blame is only correlated";

/// How long the sweep that ended a window may itself have taken.
fn last_sweep(last: &Snapshot) -> Nanos {
    // Some 20 us a cgroup on a slow machine, several times over.
    Nanos(last.cgroups.len() as u64 * 100_000)
}

/// Whether the files below `root` are those of the kernel this program runs on.
fn is_this_kernel(root: &HostRoot) -> bool {
    const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
    root.is_own() || {
        let theirs = root.read(BOOT_ID, 128).ok();
        theirs.is_some() && theirs == HostRoot::default().read(BOOT_ID, 128).ok()
    }
}

/// One more than the highest possible CPU number (`Documentation/admin-guide/cputopology.rst`).
pub(super) fn possible_cpus(root: &HostRoot) -> Option<u32> {
    let text = root.read("/sys/devices/system/cpu/possible", 4096).ok()?;
    CpuSet::parse(&String::from_utf8_lossy(&text))?
        .iter()
        .last()
        .map(|cpu| cpu + 1)
}

/// The hierarchies of version 1 whose ids name owners, with their numbers in `/proc/cgroups`
/// (cgroups(7)).
fn v1_hierarchies(root: &HostRoot, cgroups: &CgroupReader) -> Vec<V1Hierarchy> {
    let Ok(text) = root.read("/proc/cgroups", 65_536) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&text);
    let number = |name: &str| -> Option<u32> {
        let mut words = text.lines().map(str::split_whitespace);
        words.find_map(|mut words| (words.next()? == name).then(|| words.next()?.parse().ok())?)
    };
    type OfId = fn(u64) -> Owner;
    let named: [(Controller, &str, OfId); 3] = [
        (Controller::Cpu, "cpu", Owner::V1),
        (Controller::Blkio, "blkio", Owner::V1Blkio),
        (Controller::Memory, "memory", Owner::V1Memory),
    ];
    named
        .into_iter()
        .filter(|(controller, ..)| cgroups.mounts().of(*controller).is_some())
        .filter_map(|(_, name, owner)| {
            let number = number(name).filter(|number| *number != 0)?;
            Some(V1Hierarchy { number, owner })
        })
        .collect()
}
