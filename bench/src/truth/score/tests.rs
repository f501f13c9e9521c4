//! Windows by hand, held against labels by hand.

use super::super::document::FeltOutcome;
use super::super::heard::{Heard, HeardVerdict, Who};
use super::super::scenario::{Actor, Cause, Label, Scenario};
use super::{Truth, score};
use dunnage_model::verdict::Resource;

/// `web` is harmed by `batch`, `cache` is innocent.
fn scenario(label: Label) -> Scenario {
    Scenario::new("test", Resource::Cpu, label)
        .with(Actor::new("web", "spin"))
        .with(Actor::new("cache", "spin"))
        .with(Actor::new("batch", "spin").disturbing())
}

fn by_batch() -> Label {
    let culprits = [("batch", Some(1.0))];
    Label::harmed("web", Resource::Cpu, Cause::Neighbour, &culprits)
}

fn actor(scenario: &Scenario, name: &str) -> Who {
    scenario
        .find(name)
        .map_or_else(|| Who::Outside(name.to_owned()), Who::Actor)
}

/// A verdict of one second's harm with equal shares.
fn verdict(scenario: &Scenario, victim: &str, cause: &str, culprits: &[&str]) -> HeardVerdict {
    let share = 1.0 / culprits.len() as f64;
    HeardVerdict {
        victim: actor(scenario, victim),
        resource: "cpu".to_owned(),
        cause: cause.to_owned(),
        harm: 1.0,
        culprits: culprits
            .iter()
            .map(|name| (actor(scenario, name), share, share))
            .collect(),
        confidence: 0.9,
        limit: (cause == "self").then(|| "cpu.max".to_owned()),
        evidence: String::new(),
    }
}

/// One window a second over the whole script; `say` gives the verdicts of those that lie in the
/// disturbed phase.
fn windows(scenario: &Scenario, say: impl Fn(usize) -> Vec<HeardVerdict>) -> Vec<Heard> {
    let mut windows = Vec::new();
    let mut from = 0.0;
    while from + 1.0 <= scenario.end() {
        let inside = from >= scenario.onset();
        windows.push(Heard {
            from,
            to: from + 1.0,
            arrived: from + 1.1,
            covered: vec!["cpu".to_owned()],
            verdicts: if inside {
                say(windows.len())
            } else {
                Vec::new()
            },
        });
        from += 1.0;
    }
    windows
}

/// Everybody's mean latency was so many times the calm one.
fn slower(ratio: f64) -> Truth {
    let felt = FeltOutcome {
        calm_operations: 50,
        calm_seconds: 0.01,
        disturbed_operations: 50,
        disturbed_seconds: 0.01 * ratio,
        ..FeltOutcome::default()
    };
    Truth {
        felt: vec![felt; 3],
        outside: vec![(0.0, 0.0), (100.0, 0.0)],
    }
}

#[test]
fn the_right_verdict_in_every_window_is_found_in_time_with_its_share() {
    let scenario = scenario(by_batch());
    let heard = windows(&scenario, |_| {
        vec![verdict(&scenario, "web", "neighbour", &["batch"])]
    });
    let outcome = score(&scenario, &heard, &slower(2.0));
    assert_eq!(outcome.void, None);
    assert!(outcome.wrong.is_empty());
    let expected = &outcome.expected[0];
    assert!(expected.found, "{expected:?}");
    assert_eq!(expected.share_said, Some(1.0));
    assert!(expected.seconds_to_right.unwrap() < 2.0);
    assert!(outcome.verdicts.iter().all(|(_, right)| *right));
}

#[test]
fn one_window_of_many_is_not_enough() {
    let scenario = scenario(by_batch());
    let heard = windows(&scenario, |window| {
        if window == 4 {
            vec![verdict(&scenario, "web", "neighbour", &["batch"])]
        } else {
            Vec::new()
        }
    });
    assert!(!score(&scenario, &heard, &slower(2.0)).expected[0].found);
}

#[test]
fn an_innocent_named_once_is_wrong_and_halves_the_share() {
    let scenario = scenario(by_batch());
    let heard = windows(&scenario, |_| {
        vec![verdict(&scenario, "web", "neighbour", &["batch", "cache"])]
    });
    let outcome = score(&scenario, &heard, &slower(2.0));
    assert_eq!(outcome.wrong.len(), 1);
    assert_eq!(outcome.wrong[0].culprit, "cache");
    assert_eq!(outcome.expected[0].share_said, Some(0.5));
    assert!(outcome.verdicts.iter().all(|(_, right)| !*right));
}

#[test]
fn the_wrong_cause_is_both_missed_and_wrong() {
    let scenario = scenario(by_batch());
    let heard = windows(&scenario, |_| {
        vec![verdict(&scenario, "web", "host", &["batch"])]
    });
    let outcome = score(&scenario, &heard, &slower(2.0));
    assert!(!outcome.expected[0].found);
    assert_eq!(outcome.wrong.len(), 1);
}

#[test]
fn a_victim_that_felt_nothing_makes_the_scenario_void() {
    let quiet = windows(&scenario(by_batch()), |_| Vec::new());
    let harmed = score(&scenario(by_batch()), &quiet, &slower(1.0));
    assert!(harmed.void.unwrap().contains("did not do what it says"));
    let nobody = score(&scenario(Label::nobody("web")), &quiet, &slower(3.0));
    assert!(nobody.void.is_some());
}

#[test]
fn whom_else_a_culprit_harms_is_asked_of_that_one() {
    let scenario = scenario(by_batch());
    let heard = windows(&scenario, |_| {
        vec![verdict(&scenario, "cache", "neighbour", &["batch"])]
    });
    let harmed = score(&scenario, &heard, &slower(2.0));
    assert!(harmed.wrong.is_empty());
    let mut truth = slower(2.0);
    truth.felt[1].disturbed_seconds = 0.01;
    let unharmed = score(&scenario, &heard, &truth);
    assert_eq!(unharmed.wrong.len(), 1);
}

#[test]
fn outsiders_are_wrongly_accused_where_they_did_not_work() {
    let scenario = scenario(by_batch());
    let heard = windows(&scenario, |_| {
        vec![verdict(&scenario, "web", "host", &["cron"])]
    });
    assert_eq!(score(&scenario, &heard, &slower(2.0)).wrong.len(), 1);
    let mut truth = slower(2.0);
    truth.outside = (0..100)
        .map(|s| (f64::from(s), f64::from(s) * 0.9))
        .collect();
    let outcome = score(&scenario, &heard, &truth);
    assert!(outcome.wrong.is_empty());
    assert!(outcome.void.unwrap().contains("others used"));
}

#[test]
fn a_limit_is_found_by_its_name() {
    let label = || Label::limited("web", Resource::Cpu, "cpu.max");
    let scenario = scenario(label());
    let heard = windows(&scenario, |_| {
        vec![verdict(&scenario, "web", "self", &["web"])]
    });
    assert!(score(&scenario, &heard, &slower(1.0)).expected[0].found);
    let other = self::scenario(Label::limited("web", Resource::Cpu, "cpuset.cpus"));
    assert!(!score(&other, &heard, &slower(1.0)).expected[0].found);
}

#[test]
fn abstaining_is_right_where_nothing_is_covered() {
    let mut scenario = scenario(Label::abstain("web"));
    scenario.resource = Resource::Cache;
    let quiet = windows(&scenario, |_| Vec::new());
    assert_eq!(score(&scenario, &quiet, &slower(2.0)).abstained, Some(true));
    scenario.resource = Resource::Cpu;
    let covered = score(&scenario, &quiet, &slower(2.0));
    assert_eq!(covered.abstained, Some(false));
    assert!(covered.void.is_some());
}
