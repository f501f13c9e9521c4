//! Which scenarios went worst in a session, and why.

use super::{Outcome, Scenario, Session};
use std::collections::BTreeMap;

/// So many are explained.
const MOST: usize = 12;

/// A right answer with an error of the shares above this, or later than this, is told as well: the
/// bench's own goals.
const SHARE_ERROR_POINTS: f64 = 20.0;
const SECONDS: f64 = 5.0;

/// A scenario over all runs of a session.
pub(super) struct Told<'a> {
    pub(super) worst: &'a Scenario,
    /// In how many runs it came out badly.
    pub(super) bad: usize,
    /// Of how many in which it counts.
    pub(super) runs: usize,
}

/// The worst first; none where everything went as labelled.
pub(super) fn worst(session: &Session) -> Vec<Told<'_>> {
    let mut by_name: BTreeMap<&str, Vec<&Scenario>> = BTreeMap::new();
    for scenario in &session.scenarios {
        by_name.entry(&scenario.name).or_default().push(scenario);
    }
    let mut told: Vec<Told<'_>> = by_name
        .into_values()
        .filter_map(|runs| {
            let counted = runs.iter().filter(|s| s.outcome != Outcome::Void).count();
            let bad: Vec<&Scenario> = runs.into_iter().filter(|s| is_bad(s)).collect();
            let worst = bad.iter().copied().min_by_key(|s| s.outcome)?;
            Some(Told {
                worst,
                bad: bad.len(),
                runs: counted,
            })
        })
        .collect();
    told.sort_by(|a, b| {
        let error = |told: &Told<'_>| told.worst.share_error_points.unwrap_or(0.0);
        (a.worst.outcome.cmp(&b.worst.outcome))
            .then_with(|| b.bad.cmp(&a.bad))
            .then_with(|| error(b).total_cmp(&error(a)))
    });
    told.truncate(MOST);
    told
}

fn is_bad(scenario: &Scenario) -> bool {
    let above = |value: Option<f64>, bound: f64| value.is_some_and(|value| value > bound);
    match scenario.outcome {
        Outcome::Wrong | Outcome::Missed => true,
        Outcome::Right => {
            above(scenario.share_error_points, SHARE_ERROR_POINTS)
                || above(scenario.seconds_to_right, SECONDS)
        }
        Outcome::Abstained | Outcome::Void => false,
    }
}
