//! What kernel threads ran for parties: use of those parties, and theirs to be blamed for.
//!
//! The scheduler charges softirq threads and workers to the kernel. On each CPU, the part of the
//! kernel's run that was for a party becomes that party's run, and of each wait behind the kernel the
//! same part is blamed on it. Nothing is made and nothing lost: what moves, moves from the kernel.

use super::Books;
use super::steal::part;
use super::tree::Tree;
use dunnage_model::observation::{InterruptWindow, OwnerCpu};
use dunnage_model::party::PartyKind;
use dunnage_model::units::Nanos;
use dunnage_model::usage::{CpuUse, PartyWait};
use std::collections::BTreeMap;

/// What moves is at least this part of the wait: by less nobody is worth naming, and the part is known
/// by proportion alone.
const WORTH_NAMING: f64 = 0.01;

/// Time by CPU and party.
type Work = BTreeMap<u32, BTreeMap<usize, Nanos>>;

/// Moves run time and blame from the kernel to those whom it worked for.
pub(super) fn charge(
    window: &InterruptWindow,
    tree: &Tree<'_>,
    books: &mut Books<'_>,
    waits: &mut [PartyWait],
) {
    let Some(kernel) = books.parties.get(books.kernel) else {
        return;
    };
    let ran: BTreeMap<u32, Nanos> = kernel.cpu.cpus.iter().map(|on| (on.cpu, on.run)).collect();
    let work = work(window, &ran, tree, books);
    for row in waits.iter_mut() {
        let waited = books.parties.get(row.party).map(|party| &party.cpu);
        if let Some(waited) = waited {
            blame(row, books.kernel, waited, &ran, &work);
        }
    }
    for (cpu, parties) in work {
        for (party, time) in parties {
            if let Some(party) = books.party_mut(party) {
                on(&mut party.cpu, cpu).run += time;
            }
            if let Some(kernel) = books.party_mut(books.kernel) {
                let on = on(&mut kernel.cpu, cpu);
                on.run = on.run.since(time);
            }
        }
    }
}

/// The work for parties, never more than the kernel ran on a CPU: the two are counted by different
/// clocks.
fn work(
    window: &InterruptWindow,
    ran: &BTreeMap<u32, Nanos>,
    tree: &Tree<'_>,
    books: &mut Books<'_>,
) -> Work {
    let names: BTreeMap<_, _> = window
        .names
        .iter()
        .map(|(owner, name)| (*owner, name))
        .collect();
    let mut work = Work::new();
    for piece in &window.worked {
        let name = names.get(&piece.owner).map(|name| &***name);
        let party = books.account_of(piece.owner, name, tree);
        let kind = books.parties.get(party).map(|party| party.party.kind);
        if kind == Some(PartyKind::Container) || kind == Some(PartyKind::Service) {
            *work.entry(piece.cpu).or_default().entry(party).or_default() += piece.time;
        }
    }
    for (cpu, parties) in &mut work {
        let most = ran.get(cpu).copied().unwrap_or_default();
        let sum: Nanos = parties.values().copied().sum();
        if sum > most {
            parties
                .values_mut()
                .for_each(|time| *time = part(most, *time, sum));
        }
        parties.retain(|_, time| *time > Nanos::ZERO);
    }
    work
}

/// Splits what `row` waited behind the kernel. On which CPU it did is not told: as it waited there and
/// as the kernel ran there. A party is not blamed for more than was done for it.
fn blame(
    row: &mut PartyWait,
    kernel: usize,
    victim: &CpuUse,
    ran: &BTreeMap<u32, Nanos>,
    work: &Work,
) {
    let Some(behind) = row.blame.iter().find(|(culprit, _)| *culprit == kernel) else {
        return;
    };
    // Nobody worked for anybody while a CPU woke up.
    let whole = behind.1;
    let behind = whole.since(row.waking);
    let weight = |on: &OwnerCpu| {
        let ran = ran.get(&on.cpu).map_or(0.0, |run| run.seconds());
        on.wait.seconds() * ran
    };
    let all: f64 = victim.cpus.iter().map(weight).sum();
    if all <= 0.0 {
        return;
    }
    let mut moved: BTreeMap<usize, Nanos> = BTreeMap::new();
    for on in &victim.cpus {
        let here = Nanos::from_seconds(behind.seconds() * weight(on) / all);
        let run = ran.get(&on.cpu).copied().unwrap_or_default();
        for (party, time) in work.get(&on.cpu).into_iter().flatten() {
            *moved.entry(*party).or_default() += part(here, *time, run).min(*time);
        }
    }
    let mut left = behind;
    let least = row.wait.seconds() * WORTH_NAMING;
    for (party, time) in moved
        .into_iter()
        .filter(|(_, time)| time.seconds() >= least)
    {
        let time = time.min(left);
        left = left.since(time);
        if time > Nanos::ZERO {
            match row.blame.iter_mut().find(|(culprit, _)| *culprit == party) {
                Some((_, blamed)) => *blamed += time,
                None => row.blame.push((party, time)),
            }
        }
    }
    row.blame.retain_mut(|(culprit, blamed)| {
        if *culprit == kernel {
            *blamed = left + whole.since(behind);
        }
        *blamed > Nanos::ZERO
    });
}

/// The entry of a CPU, made where there is none.
fn on(cpu: &mut CpuUse, number: u32) -> &mut OwnerCpu {
    let place = match cpu.cpus.binary_search_by_key(&number, |on| on.cpu) {
        Ok(place) => place,
        Err(place) => {
            let none = OwnerCpu {
                cpu: number,
                ..OwnerCpu::default()
            };
            cpu.cpus.insert(place, none);
            place
        }
    };
    &mut cpu.cpus[place]
}
