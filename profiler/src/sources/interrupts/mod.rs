//! What interrupts and softirqs take from running tasks, and for whom kernel threads work, accounted in
//! the kernel at each of them.
//!
//! `interrupts.bpf.c` keeps flat tables; [`Interrupts`] loads it, maps the tables and takes the
//! differences of one window as an
//! [`InterruptWindow`](dunnage_model::observation::InterruptWindow). Without the events of packets,
//! block requests or workers it goes on, and what they would have named stays the kernel's. Where all of
//! it would cost too much it is attached for slots of time ([`slots`]), and what was seen is scaled up.

mod slots;
mod tables;

use super::network::Namespaces;
use super::owner::owner_of_key;
use super::resources::{Context, Source};
use super::sched::Names;
use super::slots::{Slots, SlotsError};
use super::switched::Switched;
use super::tracepoint::{AttachError, load};
use crate::causes::chain;
use crate::sources::table::{TableError, mapped};
use crate::sys::MappedArray;
use aya::EbpfError;
use dunnage_model::gap::Gap;
use dunnage_model::observation::{
    Fidelity, InterruptTime, InterruptWindow, KernelWork, Owner, ResourceWindows,
};
use dunnage_model::units::Nanos;
use std::collections::BTreeMap;
use std::sync::Arc;
use tables::{Cells, Taken, Worked, cpu};

/// The compiled program; `build-ebpf.sh` makes it, a test compares it.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!("interrupts.bpf.o");

/// Why interrupts are not accounted for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterruptsError {
    /// The kernel refused the maps or the object does not fit it.
    #[error("loading the interrupt program failed: {0}")]
    Load(#[source] Box<EbpfError>),
    /// The kernel refused a program without which the others are useless.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// They do not run.
    #[error(transparent)]
    Slots(#[from] SlotsError),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Programs without which there is nothing to tell, by tracepoint.
const NEEDED: &[(&str, &str)] = &[
    ("on_irq_entry", "irq_handler_entry"),
    ("on_irq_exit", "irq_handler_exit"),
    ("on_softirq_entry", "softirq_entry"),
    ("on_softirq_exit", "softirq_exit"),
];

/// Programs that say for whom it was, by tracepoint, each with what is lost without it.
const NAMING: &[(&str, &str, &str)] = &[
    (
        "on_receive",
        "netif_receive_skb",
        "for whom packets are received",
    ),
    ("on_send", "net_dev_start_xmit", "for whom packets are sent"),
    (
        "on_complete",
        "block_rq_complete",
        "for whom block requests end",
    ),
    (
        "on_queue",
        "block_bio_queue",
        "for whom kernel workers write",
    ),
    (
        "on_work",
        "workqueue_execute_start",
        "where one piece of a kernel worker's work begins",
    ),
];

/// A window of which less was watched, as a part of it, is too short for its slots: a single softirq would
/// stand for a hundred.
const LEAST_SHARE: f64 = 0.01;

fn fidelity(share: f64) -> Fidelity {
    if share < 1.0 {
        Fidelity::Sampled(share)
    } else {
        Fidelity::Exact
    }
}

/// What was seen in the part `share` of a window, as of the whole.
fn scaled(nanos: u64, share: f64) -> Nanos {
    if share < 1.0 {
        Nanos::from_seconds(Nanos(nanos).seconds() / share.max(LEAST_SHARE))
    } else {
        Nanos(nanos)
    }
}

/// The loaded programs with the values of the last read.
pub(crate) struct Interrupts {
    cpus: Arc<MappedArray>,
    keys: MappedArray,
    names: MappedArray,
    taken: Cells,
    worked: Cells,
    lost: u64,
    notices: Vec<Gap>,
    /// Dropping it detaches the programs, so it goes last.
    slots: Slots,
}

impl Interrupts {
    /// Loads and attaches the programs; accounting begins at once.
    ///
    /// # Errors
    /// Where the kernel refuses those that measure (CAP_BPF and CAP_PERFMON are needed).
    pub(crate) fn open(context: &Context<'_>) -> Result<Interrupts, InterruptsError> {
        let host_space = Namespaces::open(context.root).host();
        let host_space = host_space
            .and_then(|inode| u32::try_from(inode).ok())
            .unwrap_or(0);
        let cells = tables::taken_cells(context.cpus);
        let mut ebpf = context
            .loader()
            .override_global("host_space", &host_space, true)
            .override_global("taken_mask", &(cells - 1), true)
            .map_max_entries("cpus", context.cpus)
            .map_max_entries("taken", cells)
            .load(OBJECT)
            .map_err(|e| InterruptsError::Load(Box::new(e)))?;
        let cpus = Arc::new(mapped(&ebpf, "cpus", context.cpus as usize, cpu::WORDS)?);
        let keys = mapped(&ebpf, "keys", tables::OWNERS, 1)?;
        let names = mapped(&ebpf, "names", tables::OWNERS, tables::NAME_WORDS)?;
        let taken = mapped(&ebpf, "taken", cells as usize, tables::CELL_WORDS)?;
        let worked = mapped(&ebpf, "worked", tables::WORKED, tables::CELL_WORDS)?;
        let (mut programs, mut notices) = (Vec::new(), Vec::new());
        // Those that name come first, so that what is measured has a name from the first one on.
        for &(program, tracepoint, lost) in NAMING {
            match load(&mut ebpf, context.btf, program, tracepoint) {
                Ok(_) => programs.push(program),
                Err(error) => notices.push(Gap::new(lost, chain(&error))),
            }
        }
        for &(program, tracepoint) in NEEDED {
            load(&mut ebpf, context.btf, program, tracepoint)?;
            programs.push(program);
        }
        let slots = Slots::start(
            "interrupts",
            slots::TERMS,
            Switched::new(ebpf, programs),
            slots::Slots::new(Arc::clone(&cpus)),
        )?;
        Ok(Interrupts {
            cpus,
            keys,
            names,
            taken: Cells::new(taken),
            worked: Cells::new(worked),
            lost: 0,
            notices,
            slots,
        })
    }

    fn owner(&self, index: u32) -> Option<Owner> {
        match index {
            tables::IDLE => None,
            tables::UNKNOWN => Some(Owner::Unknown),
            tables::KERNEL => Some(Owner::Kernel),
            // A key is taken away only where nothing was charged to it, so this is no one's loss.
            _ => Some(owner_of_key(self.keys.load(index as usize, 0)).unwrap_or(Owner::Unknown)),
        }
    }

    fn command(&self, index: u32) -> Arc<str> {
        let mut bytes = Vec::with_capacity(tables::NAME_WORDS * 8);
        for word in 0..tables::NAME_WORDS {
            bytes.extend_from_slice(&self.names.load(index as usize, word).to_le_bytes());
        }
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into()
    }

    /// Names of those who are told of; the places of cgroups that are gone and were not are given away.
    fn name(&self, named: &BTreeMap<u32, Owner>, names: &dyn Names) -> Vec<(Owner, Arc<str>)> {
        let mut all = Vec::with_capacity(named.len());
        for (&index, &owner) in named {
            let name = match owner {
                Owner::RootCommand(_) => Some(self.command(index)),
                _ => names.path(owner),
            };
            all.extend(name.map(|name| (owner, name)));
        }
        for (place, index) in (0..tables::OWNERS).zip(0_u32..) {
            if index < tables::RESERVED {
                continue;
            }
            let key = self.keys.load(place, 0);
            if let Some(owner) = owner_of_key(key)
                && !named.contains_key(&index)
                && names.is_gone(owner)
            {
                self.keys.store(place, 0, 0);
            }
        }
        all
    }
}

impl Source for Interrupts {
    fn window(&mut self, names: &dyn Names, windows: &mut ResourceWindows) {
        let share = self.slots.share();
        let mut window = InterruptWindow {
            fidelity: fidelity(share),
            ..InterruptWindow::default()
        };
        let mut named = BTreeMap::new();
        for (key, time) in self.taken.take() {
            let Taken {
                kind,
                victim,
                culprit,
            } = Taken::of_key(key);
            let owner = self.owner(victim);
            let worked_for = self.owner(culprit).unwrap_or(Owner::Kernel);
            named.extend(owner.map(|owner| (victim, owner)));
            named.insert(culprit, worked_for);
            window.taken.push(InterruptTime {
                victim: owner,
                culprit: worked_for,
                kind,
                time: scaled(time, share),
            });
        }
        for (key, time) in self.worked.take() {
            let Worked { index, cpu } = Worked::of_key(key);
            if let Some(owner) = self.owner(index) {
                named.insert(index, owner);
                window.worked.push(KernelWork {
                    owner,
                    cpu,
                    time: scaled(time, share),
                });
            }
        }
        window.names = self.name(&named, names);
        let lost: u64 = (0..self.cpus.len())
            .map(|at| self.cpus.load(at, cpu::LOST))
            .sum();
        window.lost = lost.saturating_sub(self.lost);
        self.lost = lost;
        // A window between two slots knows nothing.
        windows.interrupts = (share >= LEAST_SHARE).then_some(window);
    }

    fn notices(&self) -> Vec<Gap> {
        self.notices.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_watched_as_a_whole_is_not_scaled() {
        assert_eq!(
            scaled(12_345_678_901_234_567, 1.0),
            Nanos(12_345_678_901_234_567)
        );
        assert_eq!(fidelity(1.0), Fidelity::Exact);
        assert_eq!(scaled(1_000, 0.1), Nanos(10_000));
        assert_eq!(scaled(1_000, 0.0), Nanos(100_000));
        assert_eq!(fidelity(0.1), Fidelity::Sampled(0.1));
    }
}
