//! What simpler rules say of the same scenarios.
//!
//! Each of them is told for nothing what it could not find out: that the victim is slower, by the
//! victim's own latencies. It is asked only then, and only whom it accuses.

mod correlation;
mod largest;
pub(super) mod last;

use super::document::{Outcome, RuleOutcome};
use super::scenario::{Cause, Scenario};
use super::stage::Played;
use last::LastRunners;
use std::collections::BTreeMap;

/// The mean latency from which on somebody would ask what is wrong.
const SYMPTOM: f64 = 1.15;

/// What the rules say.
pub(super) fn said(
    scenario: &Scenario,
    played: &Played,
    outcome: &Outcome,
    last: Option<&LastRunners>,
) -> BTreeMap<String, RuleOutcome> {
    let Some(victim) = scenario.find(scenario.label.victim) else {
        return BTreeMap::new();
    };
    let symptom = outcome.felt.ratio().is_some_and(|ratio| ratio >= SYMPTOM);
    let asked = |rule: &dyn Fn() -> Vec<usize>| if symptom { rule() } else { Vec::new() };
    let mut said = BTreeMap::new();
    let mut add = |name: &str, named: Vec<usize>| {
        said.insert(name.to_owned(), against_label(scenario, &named));
    };
    add(
        "sort by use",
        asked(&|| largest::named(scenario, played, victim)),
    );
    if let Some(last) = last {
        add("ran last", asked(&|| last::named(last, victim)));
    }
    add(
        "correlation (CPI2)",
        asked(&|| correlation::named(scenario, played, victim)),
    );
    said
}

/// Counts against the label. The rules know no causes, so a culprit counts whatever its kind; what
/// the victim's own limit does they cannot say.
fn against_label(scenario: &Scenario, named: &[usize]) -> RuleOutcome {
    let accusations = &scenario.label.accusations;
    let others = accusations
        .iter()
        .filter(|a| !matches!(a.cause, Cause::Limit(_)) && a.victim == scenario.label.victim);
    let culprits: Vec<usize> = others
        .flat_map(|a| a.culprits.iter().filter_map(|c| scenario.find(c.name)))
        .collect();
    let expected: usize = accusations.iter().map(|a| a.culprits.len()).sum();
    let right = named.iter().filter(|at| culprits.contains(at)).count();
    RuleOutcome {
        named: named
            .iter()
            .map(|at| scenario.cast[*at].name.clone())
            .collect(),
        right,
        missed: expected - right,
        wrong: named.len() - right,
    }
}
