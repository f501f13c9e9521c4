//! CPU verdicts without the kernel-side part: pressure says that somebody waits, use says who is
//! above its share. Nobody sees who ran while whom waited, and the verdicts say so.

use super::blame::Facts;
use super::case::{Case, Limit};
use super::quota::throttling;
use super::scene::Scene;
use super::thresholds::Loss;
use super::{can_lose, cleared, thresholds};
use crate::verdict::accusation::cause_by;
use dunnage_model::units::Nanos;
use dunnage_model::usage::{PartyWait, WindowUse};
use dunnage_model::verdict::{Cause, Judgement};

/// At least this part of a loss that is only correlated is nobody's.
const UNEXPLAINED: f64 = 0.3;

/// Nobody counted the waits: they are as many as make no difference.
const UNCOUNTED: u64 = 1_000;

/// Confidence of a correlation without anything unexplained.
const TRUST: f64 = 0.5;

/// Judges by cgroup files and pressure.
pub(super) fn judge(window: &WindowUse) -> Judgement {
    let waits = stalls(window);
    let scene = Scene::new(window, &waits);
    let full = is_full(&scene);
    let mut cases = Vec::new();
    for victim in (0..window.parties.len()).filter(|i| can_lose(window.parties[*i].party.kind)) {
        let throttled = throttling(&scene, victim);
        if throttled.own > 0.0 {
            cases.extend(by_quota(
                &scene,
                victim,
                throttled.own,
                throttled.trust,
                throttled.own_at,
            ));
        } else if full && scene.row(victim).is_some() {
            cases.extend(by_others(&scene, victim));
        }
    }
    // Without a victim nothing can be said about those who were busy.
    let cleared = if cases.iter().any(|case| case.cause != Cause::Itself) {
        let unseen = cleared::cleared(&scene, &cases).into_iter();
        unseen
            .map(|c| dunnage_model::verdict::Cleared {
                why: "stayed within its share".to_owned(),
                ..c
            })
            .collect()
    } else {
        Vec::new()
    };
    Judgement {
        verdicts: cases.into_iter().map(|case| case.verdict(&scene)).collect(),
        cleared,
    }
}

/// Pressure in the form of waits that nobody is blamed for.
fn stalls(window: &WindowUse) -> Vec<PartyWait> {
    let seconds = window.length.seconds();
    let stalled = window.parties.iter().enumerate().filter_map(|(party, of)| {
        let pressure = of
            .pressure
            .cpu_some
            .filter(|p| p.is_finite() && *p >= thresholds::PRESSURE)?
            .min(1.0);
        let wait = Nanos::from_seconds(pressure * seconds);
        Some(PartyWait {
            party,
            wait,
            throttled: Nanos::ZERO,
            blame: Vec::new(),
            unexplained: wait,
            apportioned: Nanos::ZERO,
            waking: Nanos::ZERO,
            waits: UNCOUNTED,
            wakes: 0,
            p99: None,
        })
    });
    stalled.collect()
}

/// Whether the machine's CPUs were in use all the time, by us or by the hypervisor's other guests.
fn is_full(scene: &Scene<'_>) -> bool {
    let machine = scene.window.machine;
    let used = (machine.busy() + machine.steal).seconds();
    used >= thresholds::FULL * f64::from(scene.window.host.cpus.max(1)) * scene.seconds
}

fn by_quota(
    scene: &Scene<'_>,
    victim: usize,
    seconds: f64,
    trust: f64,
    at: Option<std::sync::Arc<str>>,
) -> Option<Case> {
    let mut case = Case::new(victim, Cause::Itself);
    case.add(victim, seconds);
    case.limit = at.map_or(Limit::Quota, Limit::ParentQuota);
    case.trust = trust;
    case.split = Facts {
        throttled: seconds,
        ..Facts::default()
    };
    thresholds::ITSELF
        .passed(
            seconds,
            Loss {
                waited: seconds,
                ..scene.loss(victim, 0.0)
            },
        )
        .then_some(case)
}

/// One case for each cause, the loss split by what each took above its share.
fn by_others(scene: &Scene<'_>, victim: usize) -> Vec<Case> {
    let lost = scene.row(victim).map_or(0.0, |row| row.wait.seconds());
    let at_stake = scene.at_stake(victim);
    let above: Vec<(usize, f64)> = (0..scene.window.parties.len())
        .filter(|other| *other != victim && scene.took_from(victim, *other, &at_stake))
        .map(|other| {
            (
                other,
                (scene.ran(other) - scene.fair(other).unwrap_or(0.0)).max(thresholds::SLICES),
            )
        })
        .collect();
    let total: f64 = above.iter().map(|(_, seconds)| seconds).sum();
    let mut cases = Vec::new();
    for cause in [Cause::Neighbour, Cause::Host] {
        let mut case = Case::new(victim, cause);
        case.trust = TRUST;
        let kind = |party: usize| scene.window.parties[party].party.kind;
        for (party, seconds) in above
            .iter()
            .filter(|(party, _)| cause_by(kind(*party)) == cause)
        {
            case.add(*party, (1.0 - UNEXPLAINED) * lost * seconds / total);
        }
        case.unexplained = case.known() * UNEXPLAINED / (1.0 - UNEXPLAINED);
        if thresholds::OTHERS.passed(case.harm(), scene.loss(victim, 0.0)) {
            cases.push(case);
        }
    }
    cases
}
