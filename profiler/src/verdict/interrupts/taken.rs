//! What interrupts and softirqs took from whom, for whom: the one place where somebody is accused of it.

use super::{thresholds, words};
use crate::verdict::accusation::{Accusation, can_lose, cause_by};
use crate::verdict::confidence::Grounds;
use crate::verdict::own_work;
use dunnage_model::observation::{Fidelity, InterruptKind};
use dunnage_model::party::PartyKind;
use dunnage_model::units::Nanos;
use dunnage_model::usage::{Interrupts, WindowUse};
use dunnage_model::verdict::{Cause, Cleared, Fact, Judgement, Resource};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// More would be noise.
const MOST_CLEARED: usize = 8;

/// What one party lost, by for whom it was, in seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss {
    /// For others, less what was taken from them for this one.
    pub(super) others: Vec<(usize, f64)>,
    /// For the kernel itself, and for whom nobody knows.
    pub(super) kernel: f64,
    /// For its own traffic and requests.
    pub(super) own: f64,
    /// All of it, before anything was set off.
    pub(super) all: f64,
}

/// Judges the kinds that `counts` lets through as losses of `resource`.
pub(super) fn judge(
    window: &WindowUse,
    resource: Resource,
    counts: &dyn Fn(InterruptKind) -> bool,
) -> Judgement {
    let Some(interrupts) = window
        .stalls
        .interrupts
        .as_ref()
        .filter(|_| window.length.0 > 0)
    else {
        return Judgement::default();
    };
    let losses = losses(window, interrupts, counts);
    let trust = trust(interrupts.fidelity);
    let mut judgement = Judgement::default();
    let mut accused = Vec::new();
    for (&victim, loss) in &losses {
        for case in cases(window, resource, trust, victim, loss) {
            if case.cause != Cause::Itself {
                accused.extend(case.by_harm().into_iter().map(|(party, _)| party));
            }
            let evidence = words::evidence(&case, loss, window);
            let advice = words::advice(&case, window);
            judgement
                .verdicts
                .push(case.verdict(window, evidence, advice));
        }
    }
    judgement.cleared = cleared(window, resource, (interrupts, counts), &losses, &accused);
    judgement
}

/// The losses of all who can lose.
fn losses(
    window: &WindowUse,
    interrupts: &Interrupts,
    counts: &dyn Fn(InterruptKind) -> bool,
) -> BTreeMap<usize, Loss> {
    let mut between: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    let mut losses: BTreeMap<usize, Loss> = BTreeMap::new();
    let kind = |party: usize| window.parties.get(party).map(|party| party.party.kind);
    for taken in interrupts.taken.iter().filter(|taken| counts(taken.kind)) {
        let victim = taken.blamed.party;
        if !kind(victim).is_some_and(can_lose) {
            continue;
        }
        let loss = losses.entry(victim).or_default();
        loss.all += taken.blamed.wait.seconds();
        loss.own += taken.blamed.own.seconds();
        loss.kernel += taken.blamed.unexplained.seconds();
        for (culprit, time) in &taken.blamed.blame {
            match kind(*culprit) {
                Some(PartyKind::Container | PartyKind::Service) => {
                    *between.entry((victim, *culprit)).or_default() += time.seconds();
                }
                _ => loss.kernel += time.seconds(),
            }
        }
    }
    for ((victim, culprit), seconds) in &between {
        let back = between.get(&(*culprit, *victim)).copied().unwrap_or(0.0);
        if *seconds > back
            && let Some(loss) = losses.get_mut(victim)
        {
            loss.others.push((*culprit, seconds - back));
        }
    }
    losses
}

fn trust(fidelity: Fidelity) -> f64 {
    match fidelity {
        Fidelity::Exact => thresholds::TRUST,
        Fidelity::Sampled(_) => thresholds::TRUST_SAMPLED,
    }
}

/// All that is to be said of one victim, one case for each cause.
fn cases(
    window: &WindowUse,
    resource: Resource,
    trust: f64,
    victim: usize,
    loss: &Loss,
) -> Vec<Accusation> {
    let seconds = window.length.seconds();
    let got = got(window, victim, loss);
    let case = |cause, culprits: Vec<(usize, f64)>, unexplained: f64| {
        let bar = if cause == Cause::Itself {
            thresholds::ITSELF
        } else {
            thresholds::OTHERS
        };
        let lost = unexplained + culprits.iter().map(|(_, seconds)| seconds).sum::<f64>();
        Accusation {
            victim,
            resource,
            cause,
            culprits,
            unexplained,
            got,
            grounds: Grounds::of(trust).margin(bar.margin(lost, got, seconds)),
            facts: facts(loss),
        }
    };
    let kind = |party: usize| window.parties[party].party.kind;
    let worth_naming = thresholds::WORTH_NAMING * loss.all;
    let mut cases = Vec::new();
    for cause in [Cause::Neighbour, Cause::Host] {
        let others = loss
            .others
            .iter()
            .filter(|(party, _)| cause_by(kind(*party)) == cause);
        let (mut culprits, few): (Vec<(usize, f64)>, Vec<_>) = others
            .copied()
            .partition(|(_, seconds)| *seconds >= worth_naming);
        let unexplained: f64 = few.iter().map(|(_, seconds)| seconds).sum();
        let kernel = loss.kernel;
        if cause == Cause::Host
            && thresholds::KERNEL.passed(kernel, got, seconds)
            && !own_work::goes_with(window, victim, kernel)
        {
            let own = window
                .parties
                .iter()
                .position(|p| p.party.kind == PartyKind::Kernel);
            culprits.extend(own.map(|own| (own, kernel)));
        }
        cases.push(case(cause, culprits, unexplained));
    }
    cases.retain(|case| {
        !case.culprits.is_empty() && thresholds::OTHERS.passed(case.harm(), got, seconds)
    });
    if cases.is_empty() && thresholds::ITSELF.passed(loss.own, got, seconds) {
        cases.push(case(Cause::Itself, vec![(victim, loss.own)], 0.0));
    }
    cases
}

/// What the victim got of the CPUs: its use holds what was taken from it, but for kernels that count
/// interrupts apart.
fn got(window: &WindowUse, victim: usize, loss: &Loss) -> f64 {
    let used = window.parties[victim].cpu.usage.seconds();
    (used - loss.all).max(0.0)
}

fn facts(loss: &Loss) -> BTreeMap<&'static str, Fact> {
    let others = loss.others.iter().map(|(_, seconds)| seconds).sum();
    [
        ("interrupted_seconds", loss.all),
        ("for_others_seconds", others),
        ("for_itself_seconds", loss.own),
        ("for_kernel_seconds", loss.kernel),
    ]
    .into_iter()
    .map(|(name, value)| (name, Fact::Number(value)))
    .collect()
}

/// Those for whom the kernel worked much, and who harmed nobody by it, most work first.
fn cleared(
    window: &WindowUse,
    resource: Resource,
    (interrupts, counts): (&Interrupts, &dyn Fn(InterruptKind) -> bool),
    losses: &BTreeMap<usize, Loss>,
    accused: &[usize],
) -> Vec<Cleared> {
    let mut worked: BTreeMap<usize, f64> = BTreeMap::new();
    for handled in interrupts
        .handled
        .iter()
        .filter(|handled| counts(handled.kind))
    {
        *worked.entry(handled.party).or_default() += handled.time.seconds();
    }
    let mut busy: Vec<(usize, f64)> = worked
        .into_iter()
        .filter(|(party, seconds)| {
            *seconds >= thresholds::LOOKS_GUILTY * window.length.seconds()
                && can_lose(window.parties[*party].party.kind)
                && !accused.contains(party)
        })
        .collect();
    busy.sort_by_key(|(party, seconds)| (Reverse(Nanos::from_seconds(*seconds)), *party));
    busy.truncate(MOST_CLEARED);
    busy.into_iter()
        .map(|(party, seconds)| {
            let taken = |loss: &Loss| {
                let from = loss.others.iter().find(|(culprit, _)| *culprit == party);
                from.map_or(0.0, |(_, seconds)| *seconds)
            };
            let taken = losses.values().map(taken).sum();
            Cleared {
                party: window.parties[party].party.clone(),
                of: resource,
                why: words::innocent(resource, seconds, taken),
            }
        })
        .collect()
}
