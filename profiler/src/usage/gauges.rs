//! Memory, pressure, processes and threads.

use super::tree::{Place, Tree, parents};
use super::{Books, length};
use dunnage_model::observation::{CgroupMemory, Observation, Pressure, PressureTotals};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{MemoryUse, PressureUse};

pub(super) fn fill(observation: &Observation, tree: &Tree<'_>, books: &mut Books<'_>) {
    memory(tree, books);
    let length = length(observation);
    for party in &mut books.parties {
        let Some(place) = party.party.cgroup.as_deref().and_then(|root| tree.at(root)) else {
            continue;
        };
        let before = place.before.map(|before| &before.pressure);
        party.pressure = pressure(before, &place.after.pressure, length);
    }
    let threads = tree.exclusive(books.parties.len(), |place| place.after.threads);
    for (party, threads) in books.parties.iter_mut().zip(threads) {
        party.threads = party.threads.or(threads);
    }
    for place in tree.places() {
        if let (Some(party), Some(count)) = (books.party_mut(place.party), place.after.processes) {
            let sum = party.processes.get_or_insert_default();
            *sum = sum.saturating_add(count);
        }
    }
}

fn memory(tree: &Tree<'_>, books: &mut Books<'_>) {
    let count = books.parties.len();
    let bytes = |of: fn(&CgroupMemory) -> Option<Bytes>| {
        tree.exclusive(count, move |place| {
            of(place.after.memory.as_ref()?).map(|bytes| bytes.0)
        })
    };
    let used = bytes(|memory| Some(memory.used));
    let anon = bytes(|memory| memory.anon);
    let file = bytes(|memory| memory.file);
    let faults = tree.exclusive(count, major_faults);
    let values = used.into_iter().zip(anon).zip(file).zip(faults);
    for (party, (((used, anon), file), major_faults)) in books.parties.iter_mut().zip(values) {
        let Some(used) = used else { continue };
        party.memory = Some(MemoryUse {
            used: Bytes(used),
            anon: anon.map(Bytes),
            file: file.map(Bytes),
            limit: party
                .party
                .cgroup
                .as_deref()
                .and_then(|root| memory_limit(tree, root)),
            major_faults,
        });
    }
}

/// The tightest limit of a cgroup and its parents.
fn memory_limit(tree: &Tree<'_>, root: &str) -> Option<Bytes> {
    std::iter::once(root)
        .chain(parents(root))
        .filter_map(|path| tree.at(path)?.after.memory?.limit)
        .min()
}

fn major_faults(place: &Place<'_>) -> Option<u64> {
    let now = place.after.memory?.major_faults?;
    let then = place.before.and_then(|before| before.memory?.major_faults);
    Some(now.saturating_sub(then.unwrap_or(0)))
}

/// The shares of a window that pressure totals grew by; from zero where there is no `before`.
pub(super) fn pressure(before: Option<&Pressure>, after: &Pressure, length: Nanos) -> PressureUse {
    let share = |now: Option<PressureTotals>, of: fn(&Pressure) -> Option<PressureTotals>| {
        // A file that was silent before gives no difference; a cgroup that was not there does.
        let then = match before {
            Some(before) => of(before)?,
            None => PressureTotals {
                some: Nanos::ZERO,
                full: Some(Nanos::ZERO),
            },
        };
        Some((now?, then))
    };
    let ratio = |now: Nanos, then: Nanos| {
        let length = length.0.max(1) as f64;
        (now.since(then).0 as f64 / length).clamp(0.0, 1.0)
    };
    let some = |totals: Option<(PressureTotals, PressureTotals)>| {
        totals.map(|(now, then)| ratio(now.some, then.some))
    };
    let full = |totals: Option<(PressureTotals, PressureTotals)>| {
        totals.and_then(|(now, then)| Some(ratio(now.full?, then.full?)))
    };
    let cpu = share(after.cpu, |pressure| pressure.cpu);
    let memory = share(after.memory, |pressure| pressure.memory);
    let io = share(after.io, |pressure| pressure.io);
    PressureUse {
        cpu_some: some(cpu),
        cpu_full: full(cpu),
        memory_some: some(memory),
        memory_full: full(memory),
        io_some: some(io),
        io_full: full(io),
    }
}
