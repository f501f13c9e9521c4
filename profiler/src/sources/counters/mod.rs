//! Hardware counters by cgroup: cycles, instructions and misses of the last-level cache, from
//! cgroup events of perf_event_open(2).
//!
//! An event counts on one CPU while a task of the cgroup, or of one below it, runs there; so each
//! cgroup needs a descriptor a CPU and event, and only those that run most have any. Where a counter
//! has to share the hardware with others the kernel lets it run for part of the time, and what it
//! counted is scaled up. Where there are no counters, as in most virtual machines, nothing is opened.

use super::cgroup::Controller;
use super::resources::{Context, Source};
use super::sched::Names;
use crate::clock;
use dunnage_model::observation::{
    CounterWindow, Owner, OwnerCounters, ResourceWindows, SchedWindow,
};
use dunnage_model::units::Nanos;
use perf_event_open::config::{Cgroup, Cpu, Opts, StatFormat};
use perf_event_open::count::{Counter, Stat};
use perf_event_open::event::hw::Hardware;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Descriptors at most. Each counter costs a switch to or from its cgroup some 100 ns.
const MOST_DESCRIPTORS: usize = 1024;
/// Cgroups at most, however few CPUs there are.
const MOST_CGROUPS: usize = 64;
/// Windows after which a cgroup that did not run gives its descriptors back.
const IDLE_WINDOWS: u32 = 12;
/// A cgroup that ran less than this part of a CPU is not worth its descriptors: the judge looks at
/// none below a quarter.
const LEAST_CPUS: f64 = 0.1;

/// What is counted: cycles, instructions, misses.
const EVENTS: usize = 3;

/// The open counters.
pub(crate) struct Counters {
    /// The version 2 hierarchy, where there is something to count with.
    place: Option<PathBuf>,
    cpus: u32,
    events: [Option<Hardware>; EVENTS],
    open: BTreeMap<Owner, Counted>,
    /// When it last heard who ran.
    heard: Nanos,
    /// Who ran in the window that ends, most first.
    ran: Vec<Owner>,
}

/// One cgroup.
struct Counted {
    path: Arc<str>,
    /// Of each event, a counter a CPU.
    counters: [Vec<Counter>; EVENTS],
    last: [Option<u64>; EVENTS],
    idle: u32,
}

impl Counters {
    /// Looks what there is to count with. Never fails: `dunnage doctor` says what is missing.
    pub(crate) fn open(context: &Context<'_>) -> Counters {
        let place = context
            .mounts
            .of(Controller::Unified)
            .map(|unified| unified.dir.clone());
        let wanted = [Hardware::CpuCycle, Hardware::Instr, Hardware::CacheMiss];
        Counters::with(place, context.cpus, wanted)
    }

    fn with(place: Option<PathBuf>, cpus: u32, wanted: [Hardware; EVENTS]) -> Counters {
        let root = place.as_deref().and_then(|place| File::open(place).ok());
        let events = wanted.map(|event| {
            let works = counter(&event, root.as_ref()?, 0).is_ok();
            works.then_some(event)
        });
        let able = matches!(events, [Some(_), Some(_), _]);
        Counters {
            place: place.filter(|_| able),
            cpus,
            events,
            open: BTreeMap::new(),
            heard: clock::monotonic(),
            ran: Vec::new(),
        }
    }

    fn most_cgroups(&self) -> usize {
        let each = self.events.iter().flatten().count() * self.cpus.max(1) as usize;
        (MOST_DESCRIPTORS / each.max(1)).clamp(1, MOST_CGROUPS)
    }

    /// Opens counters for those who ran and have none, most first, as long as there is room.
    fn follow(&mut self, names: &dyn Names) {
        for counted in self.open.values_mut() {
            counted.idle += 1;
        }
        for owner in std::mem::take(&mut self.ran) {
            if let Some(counted) = self.open.get_mut(&owner) {
                counted.idle = 0;
            } else if self.open.len() < self.most_cgroups()
                && let Some(counted) = self.count(owner, names)
            {
                self.open.insert(owner, counted);
            }
        }
        self.open.retain(|_, counted| counted.idle <= IDLE_WINDOWS);
    }

    fn count(&self, owner: Owner, names: &dyn Names) -> Option<Counted> {
        let (Owner::V2(id), Some(place)) = (owner, &self.place) else {
            return None;
        };
        let path = names.path(owner)?;
        // A counter counts for all below: who is below one that is counted is counted already.
        let covered = self
            .open
            .values()
            .any(|counted| is_below(&path, &counted.path));
        if covered {
            return None;
        }
        let folder = place.join(path.trim_start_matches('/'));
        // A name is no identity: the folder must be the very cgroup that ran.
        let is_it = fs::metadata(&folder).is_ok_and(|folder| folder.ino() == id);
        if !is_it {
            return None;
        }
        let counters = self.counters(&folder).ok()?;
        let mut counted = Counted {
            path,
            counters,
            last: [None; EVENTS],
            idle: 0,
        };
        counted.last = counted.now();
        Some(counted)
    }

    fn counters(&self, folder: &Path) -> io::Result<[Vec<Counter>; EVENTS]> {
        let cgroup = File::open(folder)?;
        let mut counters: [Vec<Counter>; EVENTS] = Default::default();
        for (event, counters) in self.events.iter().zip(&mut counters) {
            let Some(event) = event else { continue };
            for cpu in 0..self.cpus {
                match counter(event, &cgroup, cpu) {
                    Ok(counter) => counters.push(counter),
                    // A CPU that is offline has nothing to count.
                    Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(counters)
    }
}

/// A counter of one cgroup on one CPU.
fn counter(event: &Hardware, cgroup: &File, cpu: u32) -> io::Result<Counter> {
    let options = Opts {
        enable: true,
        stat_format: StatFormat {
            time_enabled: true,
            time_running: true,
            ..StatFormat::default()
        },
        ..Opts::default()
    };
    Counter::new(event.clone(), (Cgroup(cgroup), Cpu(cpu)), options)
}

impl Counted {
    /// What was counted since the counters were opened; `None` for an event without counters.
    fn now(&self) -> [Option<u64>; EVENTS] {
        self.counters.each_ref().map(|counters| {
            let counts = counters
                .iter()
                .filter_map(|counter| Some(scaled(&counter.stat().ok()?)));
            (!counters.is_empty()).then(|| counts.sum())
        })
    }

    /// What was counted since the last call.
    fn take(&mut self) -> [Option<u64>; EVENTS] {
        let now = self.now();
        let mut since = [None; EVENTS];
        for ((since, now), last) in since.iter_mut().zip(now).zip(self.last) {
            *since = now.zip(last).map(|(now, last)| now.saturating_sub(last));
        }
        self.last = now;
        since
    }
}

/// The count as it would be had the counter run all the time that it was meant to.
fn scaled(stat: &Stat) -> u64 {
    scale(stat.count, stat.time_enabled, stat.time_running)
}

fn scale(count: u64, enabled: Option<u64>, running: Option<u64>) -> u64 {
    match (enabled, running) {
        (Some(enabled), Some(running)) if running > 0 && running < enabled => {
            let whole = u128::from(count) * u128::from(enabled) / u128::from(running);
            u64::try_from(whole).unwrap_or(u64::MAX)
        }
        _ => count,
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with('/'))
}

impl Source for Counters {
    fn heed(&mut self, sched: &SchedWindow) {
        if self.place.is_none() {
            return;
        }
        let now = clock::monotonic();
        let length = now.since(self.heard).seconds();
        self.heard = now;
        let mut ran: Vec<(Owner, Nanos)> = sched
            .owners
            .iter()
            .map(|owner| (owner.owner, owner.cpus.iter().map(|on| on.run).sum()))
            .collect();
        // The busiest first, so that they keep their place where there is little room.
        ran.sort_by_key(|(_, run)| Reverse(*run));
        self.ran = ran
            .into_iter()
            .filter(|(_, run)| run.seconds() >= length * LEAST_CPUS)
            .map(|(owner, _)| owner)
            .collect();
    }

    fn window(&mut self, names: &dyn Names, windows: &mut ResourceWindows) {
        if self.place.is_none() {
            return;
        }
        let mut window = CounterWindow::default();
        for (owner, counted) in &mut self.open {
            let [cycles, instructions, misses] = counted.take();
            if let (Some(cycles), Some(instructions)) = (cycles, instructions)
                && instructions > 0
            {
                window.owners.push(OwnerCounters {
                    owner: *owner,
                    cycles,
                    instructions,
                    cache_misses: misses,
                });
                window.names.push((*owner, counted.path.clone()));
            }
        }
        self.follow(names);
        windows.counters = Some(window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_shared_the_hardware_is_scaled_up() {
        assert_eq!(scale(10, Some(100), Some(100)), 10);
        assert_eq!(scale(10, Some(100), Some(25)), 40);
        assert_eq!(scale(10, Some(100), Some(0)), 10);
        assert_eq!(scale(10, None, None), 10);
        assert_eq!(scale(u64::MAX, Some(u64::MAX), Some(1)), u64::MAX);
    }

    #[test]
    fn who_is_below_is_told_from_who_is_beside() {
        assert!(is_below("/a/b", "/a"));
        assert!(!is_below("/a", "/a") && !is_below("/ab", "/a"));
    }

    #[test]
    fn descriptors_are_bounded_on_machines_of_any_size() {
        let wanted = || [Hardware::CpuCycle, Hardware::Instr, Hardware::CacheMiss];
        let mut counters = Counters::with(None, 2, wanted());
        assert!(counters.place.is_none());
        counters.events = wanted().map(Some);
        for (cpus, most) in [(2, MOST_CGROUPS), (128, 2), (4096, 1)] {
            counters.cpus = cpus;
            assert_eq!(counters.most_cgroups(), most);
        }
    }
}
