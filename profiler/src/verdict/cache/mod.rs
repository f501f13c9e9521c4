//! Cache and memory bandwidth, after CPI² (EuroSys 2013): a party that needs more cycles for an
//! instruction than it ever did, and neighbours whose activity rises and falls with that.
//!
//! Needs hardware counters and a history, which the session holds; there is no clock in it. Without
//! counters nothing is said. A correlation is no proof, and the confidence says so.

mod history;
#[cfg(test)]
mod tests;
mod thresholds;

pub use history::CacheHistory;

use super::accusation::{Accusation, can_lose, cause_by};
use super::confidence::Grounds;
use super::words::{called, duration};
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Cause, Cleared, Coverage, Fact, Judgement, Resource};
use history::{Remembered, Sample, correlation};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How well it was watched.
pub(super) fn coverage(window: &WindowUse) -> Coverage {
    match &window.stalls.counters {
        Some(counters) if !counters.is_empty() => Coverage::Correlated,
        _ => Coverage::None,
    }
}

impl CacheHistory {
    /// Judges a window by what was before, and remembers it.
    pub fn judge(&mut self, window: &WindowUse) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(now) = samples(window) else {
            return judgement;
        };
        self.remember(now);
        for victim in 0..window.parties.len() {
            self.judge_party(window, victim, &mut judgement);
        }
        judgement
    }

    fn judge_party(&self, window: &WindowUse, victim: usize, judgement: &mut Judgement) {
        let party = &window.parties[victim].party;
        let found = can_lose(party.kind)
            .then(|| self.anomaly(&party.key))
            .flatten();
        let Some(anomaly) = found else {
            return;
        };
        let mut suspects: Vec<(usize, f64)> = (0..window.parties.len())
            .filter(|other| *other != victim && can_lose(window.parties[*other].party.kind))
            .map(|other| {
                let key = &window.parties[other].party.key;
                (other, self.goes_with(&party.key, key, anomaly.bound))
            })
            .collect();
        suspects.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (guilty, innocent): (Vec<_>, Vec<_>) = suspects
            .into_iter()
            .partition(|(_, correlation)| *correlation >= thresholds::SUSPECT);
        if guilty.is_empty() {
            return;
        }
        let biggest = innocent
            .iter()
            .max_by_key(|(other, _)| window.parties[*other].cpu.usage);
        if let Some((other, correlation)) = biggest {
            judgement.cleared.push(Cleared {
                party: window.parties[*other].party.clone(),
                of: Resource::Cache,
                why: format!(
                    "its activity does not go with the cycles of {} (correlation {correlation:.2})",
                    called(party)
                ),
            });
        }
        judgement
            .verdicts
            .extend(verdict(window, victim, &anomaly, &guilty));
    }

    /// The newest window of a party, where it is the last of enough outliers.
    fn anomaly(&self, key: &str) -> Option<Anomaly> {
        let ordinary = self.ordinary(key)?;
        let (mean, bound) = (ordinary.mean()?, ordinary.bound()?);
        let is_outlier =
            |sample: &Sample| sample.cpus >= thresholds::LEAST_CPUS && sample.cpi > bound;
        let newest = *self.last(f64::MIN_POSITIVE).next()?.parties.get(key)?;
        let outliers = self
            .last(thresholds::WITHIN_SECONDS)
            .filter_map(|window| window.parties.get(key))
            .filter(|sample| is_outlier(sample))
            .count();
        (is_outlier(&newest) && outliers >= thresholds::OUTLIERS).then_some(Anomaly {
            mean,
            bound,
            newest,
            outliers,
        })
    }

    /// How the activity of `suspect` goes with the cycles of `victim`.
    fn goes_with(&self, victim: &str, suspect: &str, bound: f64) -> f64 {
        let pairs: Vec<(f64, f64)> = self
            .last(thresholds::CORRELATED_SECONDS)
            .filter_map(|window| {
                let victim = window.parties.get(victim)?;
                let activity = window.parties.get(suspect).map_or(0.0, |s| s.activity);
                (victim.cpus >= thresholds::LEAST_CPUS).then_some((victim.cpi, activity))
            })
            .collect();
        correlation(bound, &pairs)
    }
}

/// A party that needs more cycles than it did.
struct Anomaly {
    mean: f64,
    bound: f64,
    newest: Sample,
    outliers: usize,
}

/// What the counters say of a window; `None` where there are none.
fn samples(window: &WindowUse) -> Option<Remembered> {
    let seconds = window.length.seconds();
    let counters = window.stalls.counters.as_ref()?;
    if seconds <= 0.0 || counters.is_empty() {
        return None;
    }
    let misses_counted = counters.iter().all(|row| row.cache_misses.is_some());
    let mut parties: BTreeMap<Arc<str>, Sample> = BTreeMap::new();
    for row in counters.iter().take(thresholds::MOST_PARTIES) {
        let Some(party) = window.parties.get(row.party) else {
            continue;
        };
        if row.instructions == 0 {
            continue;
        }
        let cpus = party.cpu.usage.seconds() / seconds;
        let activity = match row.cache_misses {
            Some(misses) if misses_counted => misses as f64 / seconds,
            _ => cpus,
        };
        let sample = Sample {
            cpi: row.cycles as f64 / row.instructions as f64,
            cpus,
            activity,
        };
        parties.insert(party.party.key.clone(), sample);
    }
    Some(Remembered { seconds, parties })
}

fn verdict(
    window: &WindowUse,
    victim: usize,
    anomaly: &Anomaly,
    guilty: &[(usize, f64)],
) -> Option<dunnage_model::verdict::Verdict> {
    let seconds = window.length.seconds();
    let ran = anomaly.newest.cpus * seconds;
    // What the same instructions would have taken in its ordinary life.
    let needed = ran * anomaly.mean / anomaly.newest.cpi;
    let lost = ran - needed;
    let all: f64 = guilty.iter().map(|(_, correlation)| correlation).sum();
    // What goes with a suspect is at most its correlation; the rest nobody can be named for.
    let share = |correlation: f64| correlation / all.max(1.0);
    let (first, strongest) = *guilty.first()?;
    let cause = cause_by(window.parties.get(first)?.party.kind);
    let same = |other: &usize| {
        let party = window.parties.get(*other);
        party.is_some_and(|user| cause_by(user.party.kind) == cause)
    };
    let culprits: Vec<(usize, f64)> = guilty
        .iter()
        .filter(|(other, _)| same(other))
        .map(|(other, correlation)| (*other, lost * share(*correlation)))
        .collect();
    let named: f64 = culprits.iter().map(|(_, seconds)| seconds).sum();
    let victim_name = called(&window.parties.get(victim)?.party);
    let culprit_name = called(&window.parties.get(first)?.party);
    let evidence = format!(
        "{victim_name} needed {:.2} cycles an instruction in {}, where {:.2} is ordinary for it, for the {}th time within 5 minutes; the activity of {culprit_name} goes with that (correlation {strongest:.2})",
        anomaly.newest.cpi,
        duration(seconds),
        anomaly.mean,
        anomaly.outliers,
    );
    let remedy = match cause {
        Cause::Neighbour | Cause::Host => format!(
            "move {culprit_name} to CPUs with another last-level cache (cpuset.cpus), or give it a part of the cache by resctrl, and see whether that helps: a correlation is no proof"
        ),
        Cause::Itself | Cause::Hypervisor => String::new(),
    };
    let accusation = Accusation {
        victim,
        resource: Resource::Cache,
        cause,
        culprits,
        unexplained: lost - named,
        got: needed,
        grounds: Grounds::of(thresholds::TRUST),
        facts: BTreeMap::from([
            ("cycles_per_instruction", Fact::Number(anomaly.newest.cpi)),
            (
                "ordinary_cycles_per_instruction",
                Fact::Number(anomaly.mean),
            ),
            ("correlation", Fact::Number(strongest)),
        ]),
    };
    Some(accusation.verdict(window, evidence, remedy))
}
