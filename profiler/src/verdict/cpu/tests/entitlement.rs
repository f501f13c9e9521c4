//! The settlement of contests against results worked out by hand and by brute force.

use crate::verdict::cpu::entitlement::Contest;
use dunnage_model::usage::{CpuClaim, LevelWeight, ParentQuota};
use proptest::prelude::*;

fn claim(levels: &[(&str, f64)]) -> CpuClaim {
    let weights = levels.iter().map(|(path, weight)| LevelWeight {
        path: (*path).into(),
        weight: *weight,
    });
    CpuClaim {
        weights: weights.collect(),
        ..CpuClaim::default()
    }
}

fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    let close = found
        .iter()
        .zip(expected)
        .all(|(a, b)| (a - b).abs() <= tolerance);
    assert!(
        close && found.len() == expected.len(),
        "{found:?} is not {expected:?}"
    );
}

#[test]
fn what_one_does_not_want_goes_to_the_rest() {
    let mut contest = Contest::new(vec![10.0], 10.0);
    for (path, want) in [("/a", 1.0), ("/b", 10.0), ("/c", 10.0)] {
        contest.enter(&claim(&[(path, 100.0)]), want, 1.0, None);
    }
    near(&contest.settle().fair, &[1.0, 4.5, 4.5], 0.05);
}

#[test]
fn weights_count_level_by_level() {
    let mut contest = Contest::new(vec![9.0], 9.0);
    // kubepods has twice the weight of system.slice, whatever stands below them.
    for pod in ["/kubepods/a", "/kubepods/b", "/kubepods/c"] {
        contest.enter(
            &claim(&[("/kubepods", 200.0), (pod, 1000.0)]),
            9.0,
            1.0,
            None,
        );
    }
    contest.enter(
        &claim(&[("/system.slice", 100.0), ("/system.slice/x", 1.0)]),
        9.0,
        1.0,
        None,
    );
    near(&contest.settle().fair, &[2.0, 2.0, 2.0, 3.0], 0.05);
}

#[test]
fn quotas_of_its_own_and_of_parents_cap_the_share() {
    let mut contest = Contest::new(vec![10.0, 10.0], 10.0);
    let quota = |cpus| {
        vec![ParentQuota {
            path: "/pod".into(),
            cpus,
            throttled: Default::default(),
        }]
    };
    for path in ["/pod/a", "/pod/b"] {
        let of = CpuClaim {
            parent_quotas: quota(0.4),
            ..claim(&[("/pod", 100.0), (path, 100.0)])
        };
        contest.enter(&of, 10.0, 1.0, None);
    }
    let own = CpuClaim {
        quota_cpus: Some(0.3),
        ..claim(&[("/c", 100.0)])
    };
    contest.enter(&own, 10.0, 1.0, None);
    contest.enter(&claim(&[("/d", 100.0)]), 20.0, 2.0, None);
    near(&contest.settle().fair, &[2.0, 2.0, 3.0, 13.0], 0.1);
}

#[test]
fn cpusets_confine() {
    let mut contest = Contest::new(vec![10.0, 10.0], 10.0);
    contest.enter(&claim(&[("/a", 100.0)]), 10.0, 1.0, Some(vec![true, false]));
    contest.enter(&claim(&[("/b", 100.0)]), 10.0, 1.0, Some(vec![true, false]));
    contest.enter(&claim(&[("/c", 100.0)]), 10.0, 1.0, None);
    near(&contest.settle().fair, &[5.0, 5.0, 10.0], 0.1);
}

#[test]
fn the_processes_of_the_root_compete_one_by_one() {
    let mut contest = Contest::new(vec![10.0], 10.0);
    contest.enter(&CpuClaim::default(), 30.0, 3.0, None);
    contest.enter(&claim(&[("/a", 100.0)]), 10.0, 1.0, None);
    near(&contest.settle().fair, &[7.5, 2.5], 0.05);
}

/// The water level by bisection: the flat case, in which max-min fairness is a formula.
fn by_bisection(wants: &[f64], weights: &[f64], capacity: f64) -> Vec<f64> {
    let at = |level: f64| -> Vec<f64> {
        wants
            .iter()
            .zip(weights)
            .map(|(want, w)| want.min(level * w))
            .collect()
    };
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if at(middle).iter().sum::<f64>() > capacity {
            high = middle
        } else {
            low = middle
        }
    }
    at(low)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flat_contest_finds_the_water_level(parties in prop::collection::vec((0.0f64..15.0, 10.0f64..500.0), 1..8)) {
        let mut contest = Contest::new(vec![10.0], 10.0);
        for (i, (want, weight)) in parties.iter().enumerate() {
            contest.enter(&claim(&[(&format!("/{i}"), *weight)]), *want, 1.0, None);
        }
        let (wants, weights): (Vec<f64>, Vec<f64>) = parties.into_iter().unzip();
        near(&contest.settle().fair, &by_bisection(&wants, &weights, 10.0), 0.1);
    }

    #[test]
    fn nobody_gets_more_than_it_wants_and_nothing_wanted_is_left(
        parties in prop::collection::vec((0.0f64..30.0, 1u8..8), 1..10),
    ) {
        let mut contest = Contest::new(vec![10.0; 3], 10.0);
        for (i, (want, mask)) in parties.iter().enumerate() {
            let cpus = (0..3).map(|cpu| mask & (1 << cpu) != 0).collect();
            contest.enter(&claim(&[(&format!("/{i}"), 100.0)]), *want, 1.0, Some(cpus));
        }
        let fair = contest.settle().fair;
        for (i, (want, _)) in parties.iter().enumerate() {
            prop_assert!(fair[i] <= want + 1e-6);
        }
        let everywhere: f64 = parties.iter().filter(|(_, mask)| *mask == 7).map(|(want, _)| want).sum();
        prop_assert!(fair.iter().sum::<f64>() + 1e-6 >= everywhere.min(30.0) - 1e-6);
    }
}
