//! One cgroup over time: what is kept of it, and which of its files are worth reading again.

use super::files::{FileReader, Files, Silence, Slot};
use super::layout::{Controller, Mounts};
use super::numbers::{lines, pairs, single};
use super::shortage::Least;
use super::v2::MemoryStat;
use super::walk::Found;
use super::{STALE, Want, limits, v1, v2};
use crate::sources::network::Namespaces;
use dunnage_model::observation::{
    CgroupCpu, CgroupMemory, CgroupPids, CgroupReading, DeviceIo, MemoryShortage, Pressure,
    PressureTotals,
};
use dunnage_model::units::{Bytes, Nanos};
use std::sync::Arc;

/// Limits of a cgroup that runs are read again after this many sweeps.
const LIMITS_STALE: u32 = STALE;

/// Limits of a cgroup that does not run are read again after this many sweeps.
const IDLE_LIMITS_STALE: u32 = 3 * STALE;

/// CPU time since the limits were read that makes a cgroup one that runs.
const RAN: Nanos = Nanos(1_000_000);

/// What the nodes share while one sweep runs.
pub(super) struct Sweep<'a> {
    pub(super) mounts: &'a Mounts,
    pub(super) files: &'a mut FileReader,
    pub(super) namespaces: &'a mut Namespaces,
    pub(super) want: Want,
    /// The files of version 1 that count block I/O, if any do.
    pub(super) io_files: Option<(&'static str, &'static str)>,
    /// Its number.
    pub(super) number: u32,
    /// Memory, I/O and tasks of a cgroup that runs are read in each sweep of this many.
    pub(super) pace: u32,
    /// The size of a page.
    pub(super) page: Bytes,
    /// A file that this user may not read.
    pub(super) denied: Option<&'static str>,
    /// A cgroup went away while the sweep ran.
    pub(super) vanished: bool,
}

/// One cgroup.
#[derive(Debug)]
pub(super) struct Node {
    raw: Vec<u8>,
    /// Bits of the controllers in whose hierarchy it has a directory.
    pub(super) present: u8,
    pub(super) files: Files,
    /// Index of the nearest ancestor that is known.
    pub(super) parent: Option<usize>,
    reading: CgroupReading,
    /// What the reading holds; `None` before the first.
    holds: Option<Want>,
    /// Spreads what is not read in every sweep.
    stagger: u32,
    /// It ran since memory and tasks were read.
    stirred: bool,
    /// Sweeps since everything was read.
    age: u32,
    limits_age: u32,
    limits_usage: Nanos,
    memory_limit: Option<Bytes>,
    /// `pids.max`.
    tasks_limit: Option<u64>,
    least: Least,
}

impl Node {
    /// A cgroup that was just found. `stagger` spreads the full readings of many over the sweeps.
    pub(super) fn new(raw: Vec<u8>, found: Found, stagger: u32) -> Node {
        let reading = CgroupReading {
            path: Arc::from(format!("/{}", String::from_utf8_lossy(&raw))),
            v2_id: found.v2_id,
            v1_id: found.v1_id,
            blkio_id: found.blkio_id,
            memory_id: found.memory_id,
            ..CgroupReading::default()
        };
        Node {
            raw,
            present: found.present,
            files: Files::default(),
            parent: None,
            reading,
            holds: None,
            stagger,
            stirred: false,
            age: stagger % STALE,
            limits_age: 0,
            limits_usage: Nanos::ZERO,
            memory_limit: None,
            tasks_limit: None,
            least: Least::default(),
        }
    }

    /// Its path in bytes, without leading slash.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Whether what was found at its path is this very cgroup.
    pub(super) fn is(&self, found: Found) -> bool {
        (self.reading.v2_id, self.reading.v1_id) == (found.v2_id, found.v1_id)
    }

    /// Learns the ids of hierarchies that are not walked each time.
    pub(super) fn learn(&mut self, found: Found) {
        self.present = found.present;
        self.reading.blkio_id = found.blkio_id.or(self.reading.blkio_id);
        self.reading.memory_id = found.memory_id.or(self.reading.memory_id);
    }

    /// The last reading.
    pub(super) fn reading(&self) -> &CgroupReading {
        &self.reading
    }

    /// Reads what may have changed; `moved` tells whether it may have run since the last sweep.
    /// False where the cgroup is gone.
    /// `short` whether memory is short for it.
    pub(super) fn read(&mut self, sweep: &mut Sweep<'_>, moved: bool, short: bool) -> bool {
        self.age += 1;
        self.limits_age += 1;
        let due = self.age >= STALE || self.holds != Some(sweep.want);
        // Whose requests are held back does not run.
        if !moved && !due && self.reading.io_limits.is_empty() {
            return true;
        }
        if due {
            self.files.look_again();
        }
        let before = self.reading.cpu.map(|cpu| cpu.usage);
        match self.read_cpu(sweep, due) {
            Ok(()) => {}
            Err(Silence::Gone) => return self.vanish(sweep),
            Err(Silence::Absent | Silence::Denied) => self.reading.cpu = None,
        }
        let usage = self.reading.cpu.map(|cpu| cpu.usage);
        // Where nothing accounts for CPU time nothing tells that it stands still.
        let ran = usage != before || usage.is_none();
        if usage.is_none() && !self.exists(sweep) {
            return self.vanish(sweep);
        }
        self.read_limits(sweep, usage.unwrap_or(Nanos::ZERO));
        let Want {
            pressure,
            io,
            memory,
            ..
        } = sweep.want;
        let short = short && sweep.want.shortage;
        self.reading.pressure = if pressure {
            self.pressure(sweep)
        } else {
            self.pressure_where_needed(sweep, short)
        };
        self.stirred |= ran;
        let turn = due
            || sweep
                .number
                .wrapping_add(self.stagger)
                .is_multiple_of(sweep.pace);
        if turn {
            // Pages are written back also while their owner sleeps.
            self.reading.io = if io { self.io(sweep) } else { None };
        }
        if due || (turn && self.stirred) {
            self.reading.memory = if memory || sweep.want.shortage {
                self.memory(sweep, short, due)
            } else {
                None
            };
            self.reading.pids = self.pids(sweep);
            self.read_tasks(sweep, due);
            self.stirred = false;
        } else if !ran && sweep.files.is_short() {
            sweep.files.close(&mut self.files);
        }
        if due {
            self.age = if self.holds.is_none() {
                self.age % STALE
            } else {
                0
            };
            self.holds = Some(sweep.want);
        }
        true
    }

    fn has(&self, controller: Controller) -> bool {
        self.present & controller.bit() != 0
    }

    fn exists(&self, sweep: &mut Sweep<'_>) -> bool {
        let mut present = Controller::ALL
            .into_iter()
            .filter(|&controller| self.has(controller));
        present.any(|controller| sweep.files.exists(sweep.mounts, &self.raw, controller))
    }

    fn vanish(&mut self, sweep: &mut Sweep<'_>) -> bool {
        sweep.files.close(&mut self.files);
        sweep.vanished = true;
        self.holds = None;
        false
    }

    fn slot<'s>(
        &mut self,
        sweep: &'s mut Sweep<'_>,
        slot: Slot,
        controller: Controller,
        name: &'static str,
    ) -> Result<&'s [u8], Silence> {
        let place = (controller, name);
        let outcome = sweep
            .files
            .read(sweep.mounts, &self.raw, place, &mut self.files, slot);
        if outcome == Err(Silence::Denied) {
            sweep.denied = Some(name);
        }
        outcome
    }

    fn once<'s>(
        &self,
        sweep: &'s mut Sweep<'_>,
        controller: Controller,
        name: &str,
    ) -> Option<&'s [u8]> {
        sweep
            .files
            .read_once(sweep.mounts, &self.raw, controller, name)
    }

    /// Version 1 where the cgroup has a directory there; version 2 else, which knows the CPU time
    /// of every cgroup, controller or not.
    fn read_cpu(&mut self, sweep: &mut Sweep<'_>, due: bool) -> Result<(), Silence> {
        if !self.has(Controller::Cpuacct) {
            let text = self.slot(sweep, Slot::CpuStat, Controller::Unified, "cpu.stat")?;
            self.reading.cpu = v2::cpu_stat(text);
            return Ok(());
        }
        let account = Controller::Cpuacct;
        let usage = single(self.slot(sweep, Slot::CpuUsage, account, "cpuacct.usage")?).map(Nanos);
        let Some(usage) = usage else {
            self.reading.cpu = None;
            return Ok(());
        };
        if !due && self.reading.cpu.is_some_and(|cpu| cpu.usage == usage) {
            return Ok(());
        }
        let quota = self.reading.cpu_limits.quota_cpus.is_some();
        let last = self.reading.cpu.unwrap_or_default();
        let system = if sweep.want.cpu_modes {
            self.slot(sweep, Slot::CpuSystem, account, "cpuacct.usage_sys")
                .ok()
                .and_then(single)
        } else {
            None
        };
        // The kernel counts the two by ticks and the sum exactly: the rest is taken as user time.
        let system = system.map(|nanos| Nanos(nanos).min(usage));
        let user = system.map(|system| usage.since(system));
        let mut cpu = CgroupCpu {
            usage,
            user,
            system,
            ..last
        };
        // Without a quota nothing is throttled.
        if (due || quota)
            && let Ok(text) = self.slot(sweep, Slot::CpuThrottle, Controller::Cpu, "cpu.stat")
        {
            v1::cpu_stat(text, &mut cpu);
        }
        self.reading.cpu = Some(cpu);
        Ok(())
    }

    fn read_limits(&mut self, sweep: &mut Sweep<'_>, usage: Nanos) {
        let runs = usage.since(self.limits_usage) > RAN;
        let stale = self.limits_age
            >= if runs {
                LIMITS_STALE
            } else {
                IDLE_LIMITS_STALE
            };
        if self.holds.is_some() && !stale {
            return;
        }
        self.limits_age = 0;
        self.limits_usage = usage;
        self.reading.cpu_limits = limits::read(&self.raw, self.present, sweep);
        self.reading.io_limits = if sweep.want.io_limits {
            limits::io(&self.raw, self.present, sweep)
        } else {
            Vec::new()
        };
        let unified = Controller::Unified;
        self.tasks_limit = if sweep.want.forks {
            self.once(sweep, self.pids_home(), "pids.max")
                .and_then(single)
        } else {
            None
        };
        self.memory_limit = if sweep.want.memory && !self.has(Controller::Memory) {
            self.once(sweep, unified, "memory.max")
                .and_then(single)
                .map(Bytes)
        } else {
            None
        };
    }

    /// The hierarchy that counts tasks.
    fn pids_home(&self) -> Controller {
        if self.has(Controller::Pids) {
            Controller::Pids
        } else {
            Controller::Unified
        }
    }

    /// What the limit on tasks refused, where there is one.
    fn pids(&mut self, sweep: &mut Sweep<'_>) -> Option<CgroupPids> {
        let limit = self.tasks_limit.filter(|_| sweep.want.forks)?;
        let home = self.pids_home();
        let text = self.slot(sweep, Slot::ForksRefused, home, "pids.events");
        let refused = pairs(text.ok()?).find_map(|(key, n)| (key == b"max").then_some(n))?;
        Some(CgroupPids { limit, refused })
    }

    fn pressure(&mut self, sweep: &mut Sweep<'_>) -> Pressure {
        Pressure {
            cpu: self.pressure_of(sweep, Slot::PressureCpu, "cpu.pressure"),
            memory: self.pressure_of(sweep, Slot::PressureMemory, "memory.pressure"),
            io: self.pressure_of(sweep, Slot::PressureIo, "io.pressure"),
        }
    }

    /// Of memory where that is short, and of I/O where that is limited.
    fn pressure_where_needed(&mut self, sweep: &mut Sweep<'_>, short: bool) -> Pressure {
        let mut pressure = Pressure::default();
        if short {
            pressure.memory = self.pressure_of(sweep, Slot::PressureMemory, "memory.pressure");
        }
        if !self.reading.io_limits.is_empty() {
            pressure.io = self.pressure_of(sweep, Slot::PressureIo, "io.pressure");
        }
        pressure
    }

    fn pressure_of(
        &mut self,
        sweep: &mut Sweep<'_>,
        slot: Slot,
        name: &'static str,
    ) -> Option<PressureTotals> {
        self.slot(sweep, slot, Controller::Unified, name)
            .ok()
            .and_then(v2::pressure)
    }

    fn io(&mut self, sweep: &mut Sweep<'_>) -> Option<Vec<DeviceIo>> {
        if !self.has(Controller::Blkio) {
            let text = self
                .slot(sweep, Slot::IoBytes, Controller::Unified, "io.stat")
                .ok()?;
            return Some(v2::io_stat(text));
        }
        let (bytes, operations) = sweep.io_files?;
        let bytes = self
            .slot(sweep, Slot::IoBytes, Controller::Blkio, bytes)
            .ok()?
            .to_vec();
        let operations = self
            .slot(sweep, Slot::IoOperations, Controller::Blkio, operations)
            .ok()?;
        Some(v1::blkio(&bytes, operations))
    }

    fn memory(&mut self, sweep: &mut Sweep<'_>, short: bool, due: bool) -> Option<CgroupMemory> {
        let old = self.has(Controller::Memory);
        let (controller, used) = if old {
            (Controller::Memory, "memory.usage_in_bytes")
        } else {
            (Controller::Unified, "memory.current")
        };
        let used = Bytes(single(
            self.slot(sweep, Slot::MemoryUsed, controller, used).ok()?,
        )?);
        let least = self.least.of(used, sweep.number);
        if !short && !sweep.want.memory {
            return Some(CgroupMemory {
                used,
                least,
                ..CgroupMemory::default()
            });
        }
        let parse = if old {
            v1::memory_stat
        } else {
            v2::memory_stat
        };
        let text = self.slot(sweep, Slot::MemoryStat, controller, "memory.stat");
        let stat = text.map(parse).unwrap_or_default();
        let shortage = short.then(|| self.shortage(sweep, &stat, due));
        Some(CgroupMemory {
            used,
            least,
            anon: stat.anon,
            file: stat.file,
            limit: stat
                .limit
                .or(self.memory_limit)
                .or(shortage.and_then(|shortage| shortage.max)),
            major_faults: stat.major_faults,
            shortage,
        })
    }

    /// What only a shortage makes worth reading. Limits change seldom: they are read where they were
    /// met, and with everything else.
    fn shortage(&mut self, sweep: &mut Sweep<'_>, stat: &MemoryStat, due: bool) -> MemoryShortage {
        let page = sweep.page.0;
        let bytes = |pages: u64| Bytes(pages.saturating_mul(page));
        let mut shortage = MemoryShortage {
            refaulted: stat.refaults.map(bytes),
            charged: stat.pages_in.map(bytes),
            stolen: stat.pages_stolen.map(bytes),
            swap: stat.swap,
            ..MemoryShortage::default()
        };
        if self.has(Controller::Memory) {
            let old = Controller::Memory;
            shortage.max_met = self
                .slot(sweep, Slot::MemoryEvents, old, "memory.failcnt")
                .ok()
                .and_then(single);
            let text = self.slot(sweep, Slot::MemoryKills, old, "memory.oom_control");
            shortage.kills = text.ok().and_then(v1::oom_kills);
        } else {
            let unified = Controller::Unified;
            let name = "memory.events.local";
            let text = self.slot(sweep, Slot::MemoryEvents, unified, name);
            v2::memory_events(text.unwrap_or_default(), &mut shortage);
        }
        let last = self.reading.memory.and_then(|memory| memory.shortage);
        let met = |shortage: &MemoryShortage| (shortage.max_met, shortage.high_met);
        let limits = match last.filter(|last| !due && met(last) == met(&shortage)) {
            Some(last) => last,
            None => limits::memory(&self.raw, self.present, sweep),
        };
        shortage.max = limits.max;
        shortage.high = limits.high;
        shortage.protected = limits.protected;
        shortage
    }

    /// Threads, processes, and the network namespace of the first of them.
    fn read_tasks(&mut self, sweep: &mut Sweep<'_>, due: bool) {
        let Want {
            processes, network, ..
        } = sweep.want;
        let pids = self.pids_home();
        self.reading.threads = if processes {
            self.slot(sweep, Slot::Threads, pids, "pids.current")
                .ok()
                .and_then(single)
        } else {
            None
        };
        // The root's list holds every kernel thread; it is long and seldom asked for.
        if self.raw.is_empty() && !due {
            return;
        }
        let tasks = if processes || network {
            self.tasks(sweep)
        } else {
            None
        };
        self.reading.processes = tasks.map(|(count, _)| count).filter(|_| processes);
        let first = tasks
            .and_then(|(_, first)| first)
            .filter(|_| network && !self.raw.is_empty());
        self.reading.network = first.and_then(|pid| sweep.namespaces.of_process(pid));
    }

    /// How many processes sit in this cgroup itself, and the first that is visible from here.
    /// Engines on hybrid hosts may fill the directory of one hierarchy and not of the other.
    fn tasks(&mut self, sweep: &mut Sweep<'_>) -> Option<(u64, Option<u32>)> {
        let order = [
            Controller::Cpu,
            Controller::Cpuacct,
            Controller::Memory,
            Controller::Pids,
        ];
        let old = order.into_iter().find(|&controller| self.has(controller));
        let first = if self.has(Controller::Unified) {
            Some(Controller::Unified)
        } else {
            old
        };
        let text = self.slot(sweep, Slot::Processes, first?, "cgroup.procs");
        match (text.map(count), old) {
            (Ok((0, _)) | Err(_), Some(old)) if first != Some(old) => {
                self.once(sweep, old, "cgroup.procs").map(count)
            }
            (counted, _) => counted.ok(),
        }
    }
}

fn count(text: &[u8]) -> (u64, Option<u32>) {
    let mut first = None;
    let mut processes = 0;
    for line in lines(text) {
        processes += 1;
        if first.is_none() {
            // A process outside of the reader's pid namespace reads as 0.
            first = single(line)
                .and_then(|pid| u32::try_from(pid).ok())
                .filter(|&pid| pid > 0);
        }
    }
    (processes, first)
}

/// Sorts the cgroups, links each with its parent, and tells apart two whose names look alike once
/// decoded.
pub(super) fn arrange(nodes: &mut [Node]) {
    nodes.sort_by(|a, b| a.raw.cmp(&b.raw));
    let mut parents = Vec::with_capacity(nodes.len());
    for node in nodes.iter() {
        parents.push(parent(nodes, &node.raw));
    }
    let mut seen = std::collections::HashSet::with_capacity(nodes.len());
    for (node, parent) in nodes.iter_mut().zip(parents) {
        node.parent = parent;
        if !seen.insert(node.reading.path.clone()) {
            let id = node
                .reading
                .v2_id
                .or(node.reading.v1_id)
                .unwrap_or_default();
            let path: Arc<str> = Arc::from(format!("{}#{id}", node.reading.path));
            node.reading.path = path.clone();
            seen.insert(path);
        }
    }
}

fn parent(nodes: &[Node], raw: &[u8]) -> Option<usize> {
    let mut rest = raw;
    while !rest.is_empty() {
        let cut = rest.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        rest = rest.get(..cut).unwrap_or_default();
        if let Ok(index) = nodes.binary_search_by(|node| node.raw.as_slice().cmp(rest)) {
            return Some(index);
        }
    }
    None
}
