//! What holds for every window, however odd.

use super::sim::{Does, Sim};
use super::world::World;
use crate::verdict::{coverage, judge};
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::Fidelity;
use dunnage_model::party::PartyKind;
use dunnage_model::units::Nanos;
use dunnage_model::usage::{LevelWeight, ParentQuota, WindowUse};
use dunnage_model::verdict::{Cause, Fact, Judgement};
use proptest::prelude::*;
use std::cmp::Reverse;

const KINDS: [PartyKind; 4] = [
    PartyKind::Container,
    PartyKind::Service,
    PartyKind::Kernel,
    PartyKind::Hypervisor,
];

/// Party, party, CPU, and seconds in 1/100.
type Amount = (usize, usize, u32, u32);

fn seconds(hundredths: u32) -> f64 {
    f64::from(hundredths) / 100.0
}

prop_compose! {
    fn windows()(
        length in prop_oneof![Just(0.0), Just(0.1), Just(10.0), Just(1e6)],
        cpus in 0u32..5,
        kinds in prop::collection::vec((0usize..6, prop_oneof![Just(100.0), Just(f64::NAN), Just(0.0), 1.0f64..10_000.0]), 0..8),
        runs in prop::collection::vec((0usize..8, 0usize..8, 0u32..6, 0u32..1500), 0..12),
        waits in prop::collection::vec((0usize..8, 0usize..8, 0u32..6, 0u32..1500), 0..24),
        limits in prop::collection::vec((0usize..8, 0usize..8, 0u32..6, 0u32..1500), 0..6),
        counts in prop::collection::vec(0u64..3000, 8),
        fidelity in prop_oneof![Just(Fidelity::Exact), (0.0f64..2.0).prop_map(Fidelity::Sampled)],
        exact in prop::bool::weighted(0.8),
        pressure in prop::option::of(prop_oneof![Just(f64::NAN), 0.0f64..2.0]),
    ) -> WindowUse {
        let mut world = World::new(cpus, length);
        for (i, (kind, weight)) in kinds.iter().enumerate() {
            match kind {
                4 => world.root_command(&format!("c{i}")),
                5 => world.at(PartyKind::Container, &format!("p{i}"), &format!("/top/p{i}"), &[*weight, 50.0]),
                kind => world.at(KINDS[*kind], &format!("p{i}"), &format!("/p{i}"), &[*weight]),
            };
        }
        let count = kinds.len();
        let valid = |(a, b, _, _): &&Amount| *a < count && *b < count;
        for (party, _, cpu, amount) in runs.iter().filter(valid) {
            world.ran(*party, *cpu, seconds(*amount));
        }
        for (i, (victim, culprit, cpu, amount)) in waits.iter().filter(valid).enumerate() {
            match i % 5 {
                4 => world.waited_unexplained(*victim, *cpu, seconds(*amount)),
                _ => world.waited(*victim, *culprit, *cpu, seconds(*amount)),
            }
        }
        for (i, (party, other, cpu, amount)) in limits.iter().filter(valid).enumerate() {
            match i % 3 {
                0 => world.held_by_quota(*party, seconds(*amount), seconds(*amount), u64::from(*cpu)),
                1 => world.held_by_parent(*party, "/top", seconds(*amount), seconds(*amount)),
                _ => world.claim(*party).cpuset = Some(CpuSet::first(*cpu)),
            }
            let path = format!("/p{other}");
            if *cpu == 0 {
                world.claim(*party).weights.push(LevelWeight { path: path.as_str().into(), weight: 3.0 });
                let quota = ParentQuota { path: path.as_str().into(), cpus: f64::NAN, throttled: Nanos(1) };
                world.claim(*party).parent_quotas.push(quota);
            }
        }
        for (party, waits) in (0..count).zip(counts) {
            world.row(party).waits = waits;
            world.window.parties[party].pressure.cpu_some = pressure;
        }
        world.window.fidelity = fidelity;
        if exact { world.exact() } else { world.without_waits() }
    }
}

fn in_unit(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

fn check(window: &WindowUse, judgement: &Judgement) -> Result<(), TestCaseError> {
    for verdict in &judgement.verdicts {
        let shares: f64 = verdict.culprits.iter().map(|culprit| culprit.share).sum();
        prop_assert!(
            (shares + verdict.unexplained - 1.0).abs() < 1e-9,
            "{verdict:?}"
        );
        for value in [verdict.fraction, verdict.confidence, verdict.unexplained] {
            prop_assert!(in_unit(value), "{verdict:?}");
        }
        prop_assert!(
            verdict
                .culprits
                .windows(2)
                .all(|pair| pair[0].share >= pair[1].share)
        );
        prop_assert!(!verdict.culprits.is_empty());
        let numbers = verdict.facts.values().filter_map(|fact| match fact {
            Fact::Number(number) => Some(*number),
            Fact::Text(_) => None,
        });
        prop_assert!(
            numbers
                .into_iter()
                .all(|number| number.is_finite() && number >= 0.0),
            "{verdict:?}"
        );
        let accuses_itself = verdict
            .culprits
            .iter()
            .any(|culprit| culprit.party.key == verdict.victim.key);
        prop_assert_eq!(accuses_itself, verdict.cause == Cause::Itself);
        prop_assert!(matches!(
            verdict.victim.kind,
            PartyKind::Container | PartyKind::Service
        ));
    }
    let Some(rows) = &window.waits else {
        return Ok(());
    };
    for row in rows {
        let victim = &window.parties[row.party];
        let said: f64 = judgement
            .verdicts
            .iter()
            .filter(|verdict| verdict.victim.key == victim.party.key)
            .map(|verdict| verdict.harm.seconds())
            .sum();
        let files = victim.cpu.throttled.map_or(0.0, Nanos::seconds);
        let throttled = if row.throttled.0 > 0 {
            row.throttled.seconds()
        } else {
            files
        };
        prop_assert!(
            said <= row.wait.seconds() + throttled + 1e-6,
            "{said} of {row:?}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_window_is_judged_and_the_sums_hold(window in windows()) {
        let judgement = judge(&window);
        check(&window, &judgement)?;
        prop_assert_eq!(coverage(&window).len(), 7);
        let rank = |at: usize| (judgement.verdicts[at].cause == Cause::Itself, Reverse(judgement.verdicts[at].harm));
        prop_assert!((1..judgement.verdicts.len()).all(|at| rank(at - 1) <= rank(at)));
        let culprit_of_others = |key: &str| judgement.verdicts.iter().any(|verdict| {
            verdict.cause != Cause::Itself && verdict.culprits.iter().any(|culprit| &*culprit.party.key == key)
        });
        for cleared in &judgement.cleared {
            prop_assert!(!culprit_of_others(&cleared.party.key));
        }
    }

    /// Spinners with any weights that have exactly their shares of one CPU.
    #[test]
    fn nobody_within_its_share_is_accused(weights in prop::collection::vec(20.0f64..500.0, 2..6)) {
        let total: f64 = weights.iter().sum();
        let mut world = World::new(1, 10.0);
        let parties: Vec<usize> = weights.iter().enumerate().map(|(i, weight)| {
            world.at(PartyKind::Container, &format!("p{i}"), &format!("/p{i}"), &[*weight])
        }).collect();
        for victim in &parties {
            world.ran(*victim, 0, 10.0 * weights[*victim] / total);
            for other in parties.iter().filter(|other| *other != victim) {
                world.waited(*victim, *other, 0, 10.0 * weights[*other] / total);
            }
        }
        let judgement = judge(&world.exact());
        prop_assert!(judgement.verdicts.iter().all(|verdict| verdict.cause == Cause::Itself), "{judgement:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Request-like parties that fill no more than six tenths of a CPU meet each other at random.
    #[test]
    fn light_parties_do_not_accuse_each_other(
        parties in prop::collection::vec((0.001f64..0.003, 5.0f64..20.0), 2..6),
    ) {
        let load: f64 = parties.iter().map(|(_, ratio)| 1.0 / ratio).sum();
        let stretch = (load / 0.6).max(1.0);
        let mut world = World::new(1, 4.0);
        let mut sim = Sim::new(1);
        for (i, (work, ratio)) in parties.iter().enumerate() {
            let party = world.container(&format!("p{i}"));
            sim.tasks(party, 0, 1, Does::Ticks(*work, work * ratio * stretch));
        }
        sim.run(&mut world, 4.0);
        let judgement = judge(&world.exact());
        prop_assert!(judgement.verdicts.iter().all(|verdict| verdict.cause == Cause::Itself), "{judgement:?}");
    }
}

#[test]
fn an_empty_window_has_no_verdicts() {
    for length in [0.0, 10.0] {
        let judgement = judge(&World::new(0, length).exact());
        assert!(judgement.verdicts.is_empty() && judgement.cleared.is_empty());
    }
}
