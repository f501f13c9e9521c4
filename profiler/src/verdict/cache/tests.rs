//! The judge on a recording of counters and on single windows; first the cases that accuse nobody.

use super::history::{Ordinary, correlation};
use super::*;
use crate::tests_support;
use dunnage_model::observation::Host;
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{PartyCounters, Stalls};
use dunnage_model::verdict::Verdict;
use proptest::prelude::*;

/// `tests/fixtures/counters`; its head says how it reads and where it comes from.
const RECORDING: &str = include_str!("../../../../tests/fixtures/counters/neighbour-scans-memory");

/// Name, CPU seconds, cycles, instructions, misses.
type Row<'a> = (&'a str, f64, u64, u64, Option<u64>);

fn window(rows: &[Row<'_>]) -> WindowUse {
    let parties = rows.iter().map(|(name, cpu, ..)| {
        tests_support::party_use(
            Party::new(format!("/{name}"), PartyKind::Container, *name),
            *cpu,
        )
    });
    let counters = rows.iter().enumerate();
    let counters = counters.map(
        |(party, (_, _, cycles, instructions, misses))| PartyCounters {
            party,
            cycles: *cycles,
            instructions: *instructions,
            cache_misses: *misses,
        },
    );
    WindowUse {
        host: Host {
            cpus: 8,
            ..tests_support::window(Vec::new()).host
        },
        length: Nanos::from_seconds(5.0),
        stalls: Stalls {
            counters: Some(counters.collect()),
            ..Stalls::default()
        },
        ..tests_support::window(parties.collect())
    }
}

fn recorded(text: &str) -> Vec<WindowUse> {
    let mut blocks: Vec<Vec<Row<'_>>> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["window", seconds] => {
                assert_eq!(seconds, "5");
                blocks.push(Vec::new());
            }
            [name, cpu, cycles, instructions, misses] => {
                let number = |word: &str| word.parse().unwrap();
                let row = (
                    name,
                    cpu.parse().unwrap(),
                    number(cycles),
                    number(instructions),
                    misses.parse().ok(),
                );
                blocks.last_mut().unwrap().push(row);
            }
            _ => panic!("{line:?}"),
        }
    }
    blocks.iter().map(|rows| window(rows)).collect()
}

/// The verdicts of each window.
fn judged(windows: &[WindowUse]) -> Vec<Judgement> {
    let mut history = CacheHistory::default();
    windows.iter().map(|window| history.judge(window)).collect()
}

/// A steady victim beside `other`, and then `bad` windows at twice its cycles.
fn steady_then(bad: usize, cpu: f64, other: impl Fn(bool) -> f64) -> Vec<Judgement> {
    let at = |harmed: bool| {
        let cycles = if harmed { 4_000 } else { 2_000 };
        let beside = other(harmed);
        window(&[
            ("web", cpu, cycles, 1_000, None),
            ("other", beside, 1_000, 1_000, None),
        ])
    };
    let mut windows: Vec<WindowUse> = (0..30).map(|_| at(false)).collect();
    windows.extend((0..bad).map(|_| at(true)));
    judged(&windows)
}

fn verdicts(all: &[Judgement]) -> Vec<&Verdict> {
    all.iter()
        .flat_map(|judgement| &judgement.verdicts)
        .collect()
}

#[test]
fn without_counters_nothing_is_said_and_the_coverage_says_so() {
    let mut blind = window(&[("web", 5.0, 1, 1, None)]);
    blind.stalls.counters = None;
    assert_eq!(coverage(&blind), Coverage::None);
    assert!(judged(&[blind])[0].verdicts.is_empty());
}

#[test]
fn two_outliers_are_no_anomaly_and_three_are() {
    assert!(
        verdicts(&steady_then(2, 2.0, |harmed| if harmed {
            3.0
        } else {
            0.0
        }))
        .is_empty()
    );
    let three = steady_then(3, 2.0, |harmed| if harmed { 3.0 } else { 0.0 });
    assert_eq!(verdicts(&three).len(), 1);
}

#[test]
fn who_uses_too_little_of_a_cpu_is_not_judged() {
    let quiet = steady_then(9, 1.0, |harmed| if harmed { 3.0 } else { 0.0 });
    assert!(verdicts(&quiet).is_empty());
}

#[test]
fn a_neighbour_that_is_always_there_is_not_accused_of_a_new_phase() {
    assert!(verdicts(&steady_then(9, 2.0, |_| 4.0)).is_empty());
}

#[test]
fn one_that_lives_differently_from_now_on_is_not_harmed_for_ever() {
    let all = steady_then(thresholds::NEW_LIFE + 10, 2.0, |harmed| {
        if harmed { 3.0 } else { 0.0 }
    });
    assert!(all.last().unwrap().verdicts.is_empty());
}

#[test]
fn the_recorded_scan_is_named_and_the_biggest_user_is_cleared() {
    let all = judged(&recorded(RECORDING));
    for (at, judgement) in all.iter().enumerate() {
        // The third window of the scan is the first in which three outliers were seen.
        let harmed = (42..46).contains(&at) || (54..57).contains(&at);
        assert_eq!(!judgement.verdicts.is_empty(), harmed, "window {}", at + 1);
        for verdict in &judgement.verdicts {
            assert_eq!(verdict.victim.name, "web");
            assert_eq!(verdict.cause, Cause::Neighbour);
            assert_eq!(verdict.culprits.len(), 1);
            assert_eq!(verdict.culprits[0].party.name, "scan");
            let shares = verdict.culprits[0].share + verdict.unexplained;
            assert!((shares - 1.0).abs() < 1e-9);
            assert!(verdict.confidence <= thresholds::TRUST);
            // 1.6 of 2.9 cycles were its own.
            assert!(
                (verdict.fraction - 0.45).abs() < 0.05,
                "{}",
                verdict.fraction
            );
            assert_eq!(judgement.cleared[0].party.name, "batch");
        }
    }
}

#[test]
fn the_correlation_is_that_of_the_paper() {
    // Half of the suspect's activity at twice the bound, half at half of it: 0.25 - 0.25.
    assert!(correlation(2.0, &[(4.0, 1.0), (1.0, 1.0)]).abs() < 1e-9);
    assert!((correlation(2.0, &[(4.0, 3.0), (1.0, 0.0)]) - 0.5).abs() < 1e-9);
    assert!((correlation(2.0, &[(4.0, 0.0), (1.0, 3.0)]) + 0.5).abs() < 1e-9);
    assert_eq!(correlation(2.0, &[(4.0, 0.0)]), 0.0);
}

#[test]
fn ordinary_is_learnt_without_the_outliers() {
    let mut ordinary = Ordinary::default();
    for at in 0..30 {
        ordinary.learn(if at % 2 == 0 { 1.9 } else { 2.1 });
    }
    ordinary.learn(9.0);
    let (mean, bound) = (ordinary.mean().unwrap(), ordinary.bound().unwrap());
    assert!(
        (mean - 2.0).abs() < 1e-9 && (2.15..2.25).contains(&bound),
        "{mean} {bound}"
    );
}

proptest! {
    #[test]
    fn no_counters_whatever_make_it_panic_or_leave_its_bounds(
        rows in prop::collection::vec((0.0..100.0f64, any::<u64>(), any::<u64>()), 1..60),
    ) {
        let windows: Vec<WindowUse> = rows
            .iter()
            .map(|(cpu, cycles, instructions)| {
                window(&[
                    ("web", *cpu, *cycles, *instructions, Some(*cycles)),
                    ("other", 1.0, *instructions, *cycles, Some(*instructions)),
                ])
            })
            .collect();
        for verdict in verdicts(&judged(&windows)) {
            prop_assert!((0.0..=1.0).contains(&verdict.fraction));
            let shares: f64 = verdict.culprits.iter().map(|culprit| culprit.share).sum();
            prop_assert!((shares + verdict.unexplained - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_correlation_lies_between_minus_one_and_one(
        bound in 0.1..10.0f64,
        pairs in prop::collection::vec((0.01..10.0f64, 0.0..10.0f64), 0..50),
    ) {
        let correlation = correlation(bound, &pairs);
        prop_assert!((-1.0..=1.0).contains(&correlation));
    }
}
