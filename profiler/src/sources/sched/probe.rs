//! Loads the program, and reads one window after another.

use super::OBJECT;
use super::governor::{Budget, Governor, duty_for};
use super::layout::{self, Geometry, cpu, pair, total};
use super::pairs::Pairs;
use super::sums::{apportion, balance, scale};
use super::totals::{OwnerDelta, Totals};
use crate::sources::loader::loader;
use crate::sources::owner::owner_of_key;
use crate::sources::slots::SlotsError;
use crate::sources::switched::Switched;
use crate::sources::table::{TableError, mapped};
use crate::sources::tracepoint::{AttachError, attach, load};
use crate::sys::MappedArray;
use aya::{Btf, Ebpf, EbpfError};
use dunnage_model::observation::{BlamePair, Fidelity, Owner, OwnerWindow, SchedWindow};
use dunnage_model::units::Nanos;
use rustc_hash::{FxHashMap, FxHashSet};

use std::sync::Arc;
use std::time::Instant;

/// Why the scheduling source is not there.
#[derive(Debug, thiserror::Error)]
pub enum SchedError {
    /// The kernel refused the maps or the object does not fit it.
    #[error("loading the scheduling program failed: {0}")]
    Load(#[source] Box<EbpfError>),
    /// The kernel refused the program at its tracepoint.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// It does not run.
    #[error(transparent)]
    Slots(#[from] SlotsError),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// More CPUs than the tables have room for.
    #[error("{0} CPUs are more than the tables of 32 MiB have room for")]
    TooManyCpus(u32),
}

/// How the program is loaded.
#[derive(Clone, Copy, Debug)]
pub struct SchedOptions {
    /// Possible CPUs (`/sys/devices/system/cpu/possible`).
    pub cpus: u32,
    /// The cpu controller is in a version 1 hierarchy.
    pub v1_cpu: bool,
    /// There is no version 2 hierarchy in which containers have folders of their own.
    pub v2_absent: bool,
    /// What it may cost.
    pub budget: Budget,
}

/// What the reader must know of cgroups to name owners and to forget them.
pub trait Names {
    /// The path of an owner's cgroup, also where it is gone.
    fn path(&self, owner: Owner) -> Option<Arc<str>>;
    /// Whether the owner's cgroup or process is known to be gone.
    fn is_gone(&self, owner: Owner) -> bool;
}

/// The loaded program and its tables.
pub struct Probe {
    cpus: Arc<MappedArray>,
    keys: MappedArray,
    names: MappedArray,
    totals: Totals,
    pairs: Pairs,
    geometry: Geometry,
    budget: Budget,
    last: Counts,
    last_read: Instant,
    /// Dropping it detaches the programs, so it goes last.
    governor: Governor,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    events: u64,
    cost_ns: u64,
    cost_events: u64,
}

impl Probe {
    /// Loads and attaches the program; accounting begins at once. `btf` are the kernel's types.
    ///
    /// # Errors
    /// Where the kernel refuses the program (CAP_BPF and CAP_PERFMON are needed), or has
    /// more CPUs than there is room for.
    pub fn load(options: &SchedOptions, btf: &Btf) -> Result<Probe, SchedError> {
        let geometry =
            Geometry::for_cpus(options.cpus).ok_or(SchedError::TooManyCpus(options.cpus))?;
        let mut ebpf = load_object(btf, options, geometry)?;
        let cpus = Arc::new(mapped(&ebpf, "cpus", geometry.cpus as usize, cpu::WORDS)?);
        let owners = geometry.owners as usize;
        let keys = mapped(&ebpf, "keys", owners, 1)?;
        let names = mapped(&ebpf, "names", owners, layout::NAME_WORDS)?;
        let totals = mapped(
            &ebpf,
            "totals",
            geometry.cpus as usize * owners,
            total::WORDS,
        )?;
        let pairs = mapped(
            &ebpf,
            "pairs",
            geometry.cpus as usize * 2 * geometry.pairs as usize,
            pair::WORDS,
        )?;
        // So rare that it stays: it rests by what the table of CPUs says.
        attach(&mut ebpf, btf, "on_migrate", "sched_migrate_task")?;
        load(&mut ebpf, btf, "on_switch", "sched_switch")?;
        let programs = Switched::new(ebpf, vec!["on_switch"]);
        let governor = Governor::start(programs, Arc::clone(&cpus))?;
        Ok(Probe {
            totals: Totals::new(totals, geometry),
            pairs: Pairs::new(pairs, geometry),
            cpus,
            keys,
            names,
            geometry,
            budget: options.budget,
            last: Counts::default(),
            last_read: Instant::now(),
            governor,
        })
    }

    /// Everything since the last call (or since loading).
    pub fn window(&mut self, names: &dyn Names) -> SchedWindow {
        let running = self.running();
        let mut found = Found::default();
        let mut quiet = Vec::new();
        for index in (0..self.geometry.owners).filter(|i| *i != layout::IDLE) {
            let Some(owner) = self.owner(index) else {
                continue;
            };
            let delta = self.totals.take(index, &running);
            if delta.is_empty() {
                quiet.push((index, owner));
            } else {
                found.add_idle(owner, delta.idle);
                found.add(
                    delta.spilled.clone(),
                    self.owner_window(index, owner, delta, names),
                );
            }
        }
        self.totals.close(&running);
        let mut cells = FxHashMap::default();
        self.pairs.take(&self.cpus, &mut cells);
        for (&(victim, culprit), &time) in &cells {
            if let (Some(victim), Some(culprit)) = (self.owner(victim), self.owner(culprit)) {
                let time = Nanos(time);
                found.pairs.push(BlamePair {
                    victim,
                    culprit,
                    time,
                });
            }
        }
        // Whoever is named in a pair is described, also where it did nothing else in this window.
        let named: FxHashSet<u32> = cells
            .keys()
            .flat_map(|(victim, culprit)| [*victim, *culprit])
            .collect();
        for &(index, owner) in &quiet {
            if named.contains(&index) {
                let window = self.owner_window(index, owner, OwnerDelta::default(), names);
                found.add(Vec::new(), window);
            } else if index >= layout::RESERVED && names.is_gone(owner) {
                self.keys.store(index as usize, 0, 0);
                self.totals.clear(index);
            }
        }
        apportion(&mut found.owners, &found.spills, &mut found.pairs);
        let mut window = self.close(found.owners, found.pairs);
        balance(&mut window.owners, &window.pairs, |owner| names.path(owner));
        window
    }

    /// Tells what the window cost and how much of it was watched, and scales it up accordingly.
    fn close(&mut self, mut owners: Vec<OwnerWindow>, mut pairs: Vec<BlamePair>) -> SchedWindow {
        let now = self.counts();
        let events = now.events - self.last.events;
        let measured = now.cost_events - self.last.cost_events;
        let event_cost = (now.cost_ns - self.last.cost_ns)
            .checked_div(measured)
            .unwrap_or(0);
        self.last = now;
        let elapsed = self.last_read.elapsed().as_secs_f64().max(1e-3);
        self.last_read = Instant::now();
        let available = elapsed * f64::from(self.geometry.cpus);
        let on = self.governor.share();
        let cost_if_always_on = events as f64 / on * event_cost as f64 / 1e9 / available;
        self.governor
            .limit(duty_for(self.budget, cost_if_always_on));
        let fidelity = if on < 1.0 {
            Fidelity::Sampled(on)
        } else {
            Fidelity::Exact
        };
        if on < 1.0 {
            scale(&mut owners, &mut pairs, 1.0 / on);
        }
        SchedWindow {
            fidelity,
            owners,
            pairs,
            events,
            event_cost: Nanos(event_cost),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for at in 0..self.cpus.len() {
            counts.events +=
                self.cpus.load(at, cpu::SWITCHES) + self.cpus.load(at, cpu::MIGRATIONS);
            counts.cost_ns += self.cpus.load(at, cpu::COST_NS);
            counts.cost_events += self.cpus.load(at, cpu::COST_EVENTS);
        }
        counts
    }

    /// Who runs on each CPU now, and for how long since its last switch-in.
    fn running(&self) -> Vec<(u32, u64)> {
        let now = crate::clock::monotonic().0;
        (0..self.cpus.len())
            .map(|at| {
                let load = |word| self.cpus.load(at, word);
                let owner =
                    u32::try_from(load(cpu::CURRENT_OWNER) & 0xffff_ffff).unwrap_or(layout::IDLE);
                let enabled = load(cpu::CONTROL) & 1 == 1;
                let since_clock = now.saturating_sub(load(cpu::CLOCK_MONO));
                let rq_now = load(cpu::CLOCK_RQ).saturating_add(since_clock);
                let ran = rq_now.saturating_sub(load(cpu::LAST));
                if owner == layout::IDLE || !enabled || load(cpu::CLOCK_MONO) == 0 {
                    (layout::IDLE, 0)
                } else {
                    (owner, ran)
                }
            })
            .collect()
    }

    fn owner(&self, index: u32) -> Option<Owner> {
        match index {
            layout::IDLE | layout::KERNEL => Some(Owner::Kernel),
            layout::UNKNOWN => Some(Owner::Unknown),
            _ => owner_of_key(self.keys.load(index as usize, 0)),
        }
    }

    fn owner_window(
        &self,
        index: u32,
        owner: Owner,
        delta: OwnerDelta,
        names: &dyn Names,
    ) -> OwnerWindow {
        let command = matches!(owner, Owner::RootCommand(_)).then(|| self.command(index));
        OwnerWindow {
            owner,
            path: names.path(owner),
            command,
            waits: delta.histogram.iter().sum(),
            wakes: delta.wakes,
            cpus: delta.cpus,
            throttled: delta.throttled,
            unexplained: delta.unexplained,
            apportioned: Nanos::ZERO,
            waking: delta.idle,
            histogram: delta.histogram,
        }
    }

    fn command(&self, index: u32) -> Arc<str> {
        let mut bytes = Vec::with_capacity(16);
        for word in 0..layout::NAME_WORDS {
            bytes.extend_from_slice(&self.names.load(index as usize, word).to_le_bytes());
        }
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into()
    }
}

/// What one read of the tables gives.
#[derive(Default)]
struct Found {
    owners: Vec<OwnerWindow>,
    pairs: Vec<BlamePair>,
    /// By place in `owners`: waits per CPU that found no place in the table of pairs.
    spills: Vec<(usize, Vec<Nanos>)>,
}

impl Found {
    fn add(&mut self, spilled: Vec<Nanos>, window: OwnerWindow) {
        if spilled.iter().any(|s| *s > Nanos::ZERO) {
            self.spills.push((self.owners.len(), spilled));
        }
        self.owners.push(window);
    }

    /// While a CPU wakes up from idle, it is the kernel that is waited for.
    fn add_idle(&mut self, victim: Owner, time: Nanos) {
        if time > Nanos::ZERO {
            self.pairs.push(BlamePair {
                victim,
                culprit: Owner::Kernel,
                time,
            });
        }
    }
}

fn load_object(btf: &Btf, options: &SchedOptions, geometry: Geometry) -> Result<Ebpf, SchedError> {
    let owner_mask = geometry.owners - 1;
    let owner_shift = 32 - geometry.owners.trailing_zeros();
    let pair_mask = geometry.pairs - 1;
    let pair_shift = 32 - geometry.pairs.trailing_zeros();
    let (v1_cpu, v2_absent) = (u32::from(options.v1_cpu), u32::from(options.v2_absent));
    loader(btf)
        .override_global("owner_mask", &owner_mask, true)
        .override_global("owner_shift", &owner_shift, true)
        .override_global("pair_mask", &pair_mask, true)
        .override_global("pair_shift", &pair_shift, true)
        .override_global("v1_cpu", &v1_cpu, true)
        .override_global("v2_absent", &v2_absent, true)
        .map_max_entries("cpus", geometry.cpus)
        .map_max_entries("keys", geometry.owners)
        .map_max_entries("names", geometry.owners)
        .map_max_entries("totals", geometry.cpus * geometry.owners)
        .map_max_entries("throttles", geometry.cpus * geometry.owners)
        .map_max_entries("pairs", geometry.cpus * 2 * geometry.pairs)
        .load(OBJECT)
        .map_err(|e| SchedError::Load(Box::new(e)))
}
