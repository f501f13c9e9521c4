//! What the hypervisor took from each party: the steal of each CPU, split by who ran on it.

use super::Books;
use dunnage_model::observation::{CpuTimes, Observation};
use dunnage_model::units::Nanos;
use dunnage_model::usage::Steal;
use std::collections::BTreeMap;

/// `None` where nothing tells who ran on which CPU.
pub(super) fn split(
    observation: &Observation,
    books: &Books<'_>,
    booked_as_use: bool,
) -> Option<Steal> {
    observation.sched.as_ref()?;
    let mut lost: BTreeMap<usize, Nanos> = BTreeMap::new();
    for (cpu, stolen) in stolen(observation) {
        let ran: Vec<(usize, Nanos)> = books
            .parties
            .iter()
            .enumerate()
            .filter_map(|(index, party)| {
                let on = party.cpu.cpus.iter().find(|on| on.cpu == cpu)?;
                (on.run > Nanos::ZERO).then_some((index, on.run))
            })
            .collect();
        let all: Nanos = ran.iter().map(|(_, run)| *run).sum();
        for (party, run) in ran {
            *lost.entry(party).or_default() += part(stolen, run, all);
        }
    }
    Some(Steal {
        parties: lost.into_iter().collect(),
        booked_as_use,
    })
}

/// Stolen in the window from each CPU from which anything was.
fn stolen(observation: &Observation) -> impl Iterator<Item = (u32, Nanos)> {
    let before: BTreeMap<u32, CpuTimes> = observation.before.machine.cpus.iter().copied().collect();
    let after = &observation.after.machine.cpus;
    after.iter().filter_map(move |(cpu, times)| {
        let stolen = times.steal.since(before.get(cpu)?.steal);
        (stolen > Nanos::ZERO).then_some((*cpu, stolen))
    })
}

/// `of` × `share` / `all`.
pub(super) fn part(of: Nanos, share: Nanos, all: Nanos) -> Nanos {
    let part = u128::from(of.0) * u128::from(share.0) / u128::from(all.0.max(1));
    Nanos(u64::try_from(part).unwrap_or(u64::MAX))
}
