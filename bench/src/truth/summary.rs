//! Figures over many scenarios. Pure.

use super::document::{Bin, ExpectedOutcome, Figures, Outcome};
use crate::figures::median;
use std::collections::{BTreeMap, BTreeSet};

/// The name under which the figures over all resources stand.
pub(super) const ALL: &str = "all";

/// At least so much of what is said is right, and of what is to be said is said.
const PRECISION: f64 = 0.95;
const RECALL: f64 = 0.95;
/// Points by which a share may be wrong on average: the CPU, and the rest.
const SHARE_POINTS_CPU: f64 = 10.0;
const SHARE_POINTS: f64 = 20.0;
/// Seconds from the onset to the first right verdict.
const SECONDS_TO_RIGHT: f64 = 5.0;
/// The part of the scenarios that may be void.
const VOID: f64 = 0.1;

/// Bins of the calibration.
const BINS: usize = 5;

/// Which figures: of what was said by Dunnage or by one of the rules.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    Dunnage,
    Rule(&'a str),
}

/// The figures by resource, and over all.
pub(super) fn by_resource(outcomes: &[&Outcome], by: By<'_>) -> BTreeMap<String, Figures> {
    let resources: BTreeSet<&str> = outcomes.iter().map(|o| o.resource.as_str()).collect();
    let mut figures: BTreeMap<String, Figures> = resources
        .into_iter()
        .map(|resource| {
            let of_it: Vec<&Outcome> = outcomes
                .iter()
                .filter(|o| o.resource == resource)
                .copied()
                .collect();
            (resource.to_owned(), figures(&of_it, by))
        })
        .collect();
    figures.insert(ALL.to_owned(), self::figures(outcomes, by));
    figures
}

fn figures(outcomes: &[&Outcome], by: By<'_>) -> Figures {
    let (void, counted): (Vec<&Outcome>, Vec<&Outcome>) =
        outcomes.iter().partition(|outcome| outcome.void.is_some());
    let mut figures = Figures {
        scenarios: counted.len(),
        void: void.len(),
        ..Figures::default()
    };
    let (mut errors, mut times) = (Vec::new(), Vec::new());
    for outcome in counted {
        match by {
            By::Dunnage => {
                let found = outcome.expected.iter().filter(|e| e.found);
                figures.right += found.clone().count();
                figures.missed += outcome.expected.len() - found.clone().count();
                figures.wrong += outcome.wrong.len();
                figures.abstained += usize::from(outcome.abstained == Some(true));
                errors.extend(found.clone().filter_map(share_error));
                times.extend(found.filter_map(|e| e.seconds_to_right));
            }
            By::Rule(rule) => {
                let Some(said) = outcome.rules.get(rule) else {
                    continue;
                };
                figures.right += said.right;
                figures.missed += said.missed;
                figures.wrong += said.wrong;
            }
        }
    }
    let part = |right: usize, of: usize| (of > 0).then(|| right as f64 / of as f64);
    figures.precision = part(figures.right, figures.right + figures.wrong);
    figures.recall = part(figures.right, figures.right + figures.missed);
    let most = |values: &[f64]| values.iter().copied().reduce(f64::max);
    figures.share_error_mean =
        (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64);
    figures.share_error_most = most(&errors);
    figures.seconds_to_right_median = (!times.is_empty()).then(|| median(&times));
    figures.seconds_to_right_most = most(&times);
    figures
}

/// Points by which a share is wrong, where it is known.
pub(super) fn share_error(expected: &ExpectedOutcome) -> Option<f64> {
    Some((expected.share_said? - expected.share?).abs() * 100.0)
}

/// Which goals are missed, in words.
pub(super) fn missed_goals(resources: &BTreeMap<String, Figures>) -> Vec<String> {
    let mut missed = Vec::new();
    for (name, figures) in resources {
        let points = if name == "cpu" {
            SHARE_POINTS_CPU
        } else {
            SHARE_POINTS
        };
        let mut below = |what: &str, value: Option<f64>, goal: f64| {
            if let Some(value) = value.filter(|value| *value < goal) {
                missed.push(format!("{name}: {what} {value:.3}, the goal is {goal:.2}"));
            }
        };
        below("precision", figures.precision, PRECISION);
        below("recall", figures.recall, RECALL);
        let mut above = |what: &str, value: Option<f64>, goal: f64| {
            if let Some(value) = value.filter(|value| *value > goal) {
                missed.push(format!("{name}: {what} {value:.1}, the goal is {goal:.0}"));
            }
        };
        above(
            "points of error in the shares",
            figures.share_error_mean,
            points,
        );
        above(
            "seconds to the right verdict",
            figures.seconds_to_right_most,
            SECONDS_TO_RIGHT,
        );
        let all = figures.void + figures.scenarios;
        if name == ALL && figures.void as f64 > VOID * all as f64 {
            missed.push(format!("{} of {all} scenarios are void", figures.void));
        }
    }
    missed
}

/// Confidence against what was right, and the Brier score.
pub(super) fn calibration(outcomes: &[&Outcome]) -> (Vec<Bin>, Option<f64>) {
    let verdicts: Vec<(f64, bool)> = outcomes
        .iter()
        .filter(|outcome| outcome.void.is_none())
        .flat_map(|outcome| outcome.verdicts.iter().copied())
        .collect();
    let truth = |right: bool| if right { 1.0 } else { 0.0 };
    let bins = (0..BINS).filter_map(|bin| {
        let (from, to) = (bin as f64 / BINS as f64, (bin + 1) as f64 / BINS as f64);
        let inside: Vec<&(f64, bool)> = verdicts
            .iter()
            .filter(|(c, _)| *c >= from && (*c < to || bin + 1 == BINS))
            .collect();
        let count = inside.len();
        (count > 0).then(|| Bin {
            from,
            to,
            verdicts: count,
            said: inside.iter().map(|(c, _)| c).sum::<f64>() / count as f64,
            right: inside.iter().map(|(_, r)| truth(*r)).sum::<f64>() / count as f64,
        })
    });
    let squares = verdicts.iter().map(|(c, r)| (c - truth(*r)).powi(2));
    let brier = (!verdicts.is_empty()).then(|| squares.sum::<f64>() / verdicts.len() as f64);
    (bins.collect(), brier)
}
