//! What was said, held against the label. Pure.

use super::document::{ExpectedOutcome, FeltOutcome, Outcome, WrongOutcome};
use super::heard::{Heard, HeardVerdict, Who};
use super::scenario::{Accusation, Cause, Felt, KERNEL, Scenario};
use dunnage_model::verdict::Resource;
use std::collections::BTreeMap;

/// A window is a culprit's where this part of it, or of the culprit's longest span, lies in both.
const INSIDE: f64 = 0.7;

/// Windows that begin this little before the script does are still its own.
const EARLY: f64 = 0.1;

/// Seconds at the end of the script whose windows also hold the workloads' ends.
const LATE: f64 = 0.1;

/// An outsider with less of the harm is not accused so much as counted.
const OUTSIDER_SHARE: f64 = 0.05;

/// CPUs used by outsiders from which on the host is not ours to measure the CPU on. Disks and links are
/// served by the kernel, whose work counts as an outsider's.
const OUTSIDERS_WORK: f64 = 0.2;

/// The machine's use is counted in ticks, and looked at twice a second: what an outsider is accused of
/// may lie this many seconds beside the window.
const ABOUT: f64 = 0.5;

/// Who was slower by less than this was not harmed, and whoever is accused of it is accused wrongly.
/// A loss of 2.5 % is worth a verdict.
const UNHARMED: f64 = 1.02;

/// Operations a phase from which on a workload's own measure says something.
const FEW_OPERATIONS: usize = 5;

/// What was measured without Dunnage.
pub(super) struct Truth {
    /// Each actor's own measure, calm and disturbed.
    pub(super) felt: Vec<FeltOutcome>,
    /// Seconds of CPU time that outsiders had used, and when, in seconds of the script.
    pub(super) outside: Vec<(f64, f64)>,
}

impl Truth {
    /// CPU time that outsiders used between two moments, as far as the looks tell.
    fn outside(&self, from: f64, to: f64) -> f64 {
        let before = self.outside.iter().rfind(|(at, _)| *at <= from);
        let after = self.outside.iter().find(|(at, _)| *at >= to);
        let before = before.or(self.outside.first());
        let after = after.or(self.outside.last());
        before
            .zip(after)
            .map_or(0.0, |((_, before), (_, after))| (after - before).max(0.0))
    }
}

/// Scores one scenario.
pub(super) fn score(scenario: &Scenario, heard: &[Heard], truth: &Truth) -> Outcome {
    let judge = Score {
        scenario,
        heard: heard
            .iter()
            .filter(|w| w.from >= -EARLY && w.to <= scenario.end() + LATE)
            .collect(),
        truth,
    };
    let victim = scenario.find(scenario.label.victim);
    let felt = victim.map_or_else(FeltOutcome::default, |at| truth.felt[at]);
    let abstained = scenario.label.abstain.then(|| judge.abstained());
    let outside_cpus = truth.outside(0.0, scenario.end()) / scenario.end();
    let void = if scenario.label.abstain && abstained == Some(false) {
        Some("this host covers the resource, so there is nothing to abstain from".to_owned())
    } else if scenario.resource == Resource::Cpu
        && outside_cpus > OUTSIDERS_WORK
        && !scenario.accuses_the_kernel()
    {
        Some(format!("others used {outside_cpus:.2} CPUs meanwhile"))
    } else if judge.heard.is_empty() {
        Some("no window lies inside the scenario".to_owned())
    } else {
        void(scenario, &felt)
    };
    Outcome {
        name: scenario.name.to_owned(),
        resource: scenario.resource.as_str().to_owned(),
        class: scenario.label.class().to_owned(),
        void,
        felt,
        outside_cpus,
        expected: judge.expected(),
        wrong: judge.wrong(),
        abstained,
        verdicts: judge.confidence(),
        rules: BTreeMap::new(),
    }
}

/// Why a scenario does not count: its victim did not feel what the label says.
fn void(scenario: &Scenario, felt: &FeltOutcome) -> Option<String> {
    let bound = match scenario.label.felt {
        Felt::Anything => return None,
        Felt::Slower(bound) | Felt::Same(bound) => bound,
    };
    let did_not = "the scenario did not do what it says";
    let few = FEW_OPERATIONS;
    if felt.calm_operations < few || felt.disturbed_operations == 0 {
        return Some(format!(
            "{did_not}: the victim ended {} operations while calm and {} while disturbed",
            felt.calm_operations, felt.disturbed_operations
        ));
    }
    let ratio = felt.ratio().unwrap_or(0.0);
    let (right, must) = match scenario.label.felt {
        Felt::Slower(_) => (ratio >= bound, "at least"),
        _ => (ratio <= bound, "at most"),
    };
    (!right).then(|| {
        format!("{did_not}: the victim was {ratio:.2} times as slow, not {must} {bound:.2}")
    })
}

struct Score<'a> {
    scenario: &'a Scenario,
    heard: Vec<&'a Heard>,
    truth: &'a Truth,
}

impl Score<'_> {
    fn name(&self, who: &Who) -> String {
        match who {
            Who::Actor(at) => self.scenario.cast[*at].name.clone(),
            Who::Outside(name) => name.clone(),
        }
    }

    /// Whether a verdict is about what an accusation says, whoever it names.
    fn about(&self, verdict: &HeardVerdict, accusation: &Accusation) -> bool {
        let limit = match accusation.cause {
            Cause::Limit(limit) => verdict.limit.as_deref() == Some(limit),
            Cause::Neighbour | Cause::Host => true,
        };
        limit
            && Some(&verdict.victim)
                == self
                    .scenario
                    .find(accusation.victim)
                    .map(Who::Actor)
                    .as_ref()
            && verdict.resource == accusation.resource.as_str()
            && verdict.cause == accusation.cause.word()
    }

    fn expected(&self) -> Vec<ExpectedOutcome> {
        let accusations = self.scenario.label.accusations.iter();
        accusations
            .flat_map(|accusation| {
                let culprits = accusation.culprits.iter();
                culprits.map(move |c| self.one_expected(accusation, c.name, c.share))
            })
            .collect()
    }

    fn one_expected(
        &self,
        accusation: &Accusation,
        culprit: &str,
        share: Option<f64>,
    ) -> ExpectedOutcome {
        let mut outcome = ExpectedOutcome {
            victim: accusation.victim.to_owned(),
            resource: accusation.resource.as_str().to_owned(),
            cause: accusation.cause.word().to_owned(),
            culprit: culprit.to_owned(),
            share,
            ..ExpectedOutcome::default()
        };
        let (who, spans) = match self.scenario.find(culprit) {
            Some(at) => (Who::Actor(at), self.scenario.spans(&self.scenario.cast[at])),
            None if culprit == KERNEL => (
                Who::Outside(format!("{KERNEL} {KERNEL}")),
                vec![(self.scenario.onset(), self.scenario.end())],
            ),
            None => return outcome,
        };
        let longest = spans.iter().map(|(a, b)| b - a).fold(0.0, f64::max);
        let first = spans.first().map_or(0.0, |(from, _)| *from);
        let (mut blamed, mut harm, mut touched) = (0.0, 0.0, false);
        for window in &self.heard {
            let inside: f64 = spans
                .iter()
                .map(|(from, to)| (window.to.min(*to) - window.from.max(*from)).max(0.0))
                .sum();
            let its = inside >= INSIDE * (window.to - window.from).min(longest);
            outcome.windows += usize::from(its);
            let said: Vec<&HeardVerdict> = window
                .verdicts
                .iter()
                .filter(|verdict| self.about(verdict, accusation))
                .collect();
            harm += said.iter().map(|verdict| verdict.harm).sum::<f64>();
            let naming = said.iter().flat_map(|verdict| &verdict.culprits);
            let named: Vec<f64> = naming
                .filter(|(culprit, _, _)| *culprit == who)
                .map(|(_, seconds, _)| *seconds)
                .collect();
            if named.is_empty() || inside <= 0.0 {
                continue;
            }
            blamed += named.iter().sum::<f64>();
            touched = true;
            outcome.named += usize::from(its);
            let took = (window.arrived - first.max(0.0)).max(0.0);
            outcome.seconds_to_right.get_or_insert(took);
        }
        outcome.share_said = (harm > 0.0).then(|| blamed / harm);
        // Where no window holds a span of the culprit's, the one that it touches must name it.
        outcome.found = if outcome.windows == 0 {
            touched
        } else {
            2 * outcome.named > outcome.windows
        };
        outcome
    }

    /// Whether naming `culprit` in this verdict is `Some(right)`, or nobody can tell.
    fn right(
        &self,
        window: &Heard,
        verdict: &HeardVerdict,
        (culprit, seconds, share): &(Who, f64, f64),
    ) -> Option<bool> {
        let Who::Actor(victim) = verdict.victim else {
            // Whom else somebody harms is another story: who fills a CPU delays daemons on it.
            return None;
        };
        match culprit {
            Who::Outside(_) if *share < OUTSIDER_SHARE => None,
            Who::Outside(_) => {
                let worked = self.truth.outside(window.from - ABOUT, window.to + ABOUT);
                (worked < *seconds).then_some(false)
            }
            Who::Actor(at) => self.right_actor(verdict, victim, *at),
        }
    }

    fn right_actor(&self, verdict: &HeardVerdict, victim: usize, culprit: usize) -> Option<bool> {
        let names = |accusation: &&Accusation| {
            let mut culprits = accusation.culprits.iter();
            culprits.any(|c| self.scenario.find(c.name) == Some(culprit))
                && verdict.resource == accusation.resource.as_str()
                && verdict.cause == accusation.cause.word()
        };
        let label = &self.scenario.label;
        let mut said = label.accusations.iter().filter(names);
        if said.any(|a| self.scenario.find(a.victim) == Some(victim)) {
            return Some(true);
        }
        let tolerated = label.tolerated.iter().filter(names);
        if tolerated
            .into_iter()
            .any(|a| self.scenario.find(a.victim) == Some(victim))
        {
            return None;
        }
        if !label.accusations.iter().any(|a| names(&a)) {
            return Some(false);
        }
        // A culprit is accused of harming one whom the label does not speak of: it says itself.
        let felt = &self.truth.felt[victim];
        let enough =
            felt.calm_operations >= FEW_OPERATIONS && felt.disturbed_operations >= FEW_OPERATIONS;
        let unharmed = enough && felt.ratio().is_some_and(|ratio| ratio < UNHARMED);
        unharmed.then_some(false)
    }

    /// Verdicts that accuse somebody else than the victim.
    fn accusing(&self) -> impl Iterator<Item = (&Heard, &HeardVerdict)> {
        self.heard.iter().flat_map(|window| {
            let verdicts = window.verdicts.iter();
            verdicts
                .filter(|v| matches!(v.cause.as_str(), "neighbour" | "host"))
                .map(|verdict| (*window, verdict))
        })
    }

    fn wrong(&self) -> Vec<WrongOutcome> {
        let mut wrong: BTreeMap<(Who, String, String, Who), WrongOutcome> = BTreeMap::new();
        for (window, verdict) in self.accusing() {
            for named in &verdict.culprits {
                if self.right(window, verdict, named) != Some(false) {
                    continue;
                }
                let (culprit, seconds, _) = named;
                let key = (
                    verdict.victim.clone(),
                    verdict.resource.clone(),
                    verdict.cause.clone(),
                    culprit.clone(),
                );
                let entry = wrong.entry(key).or_insert_with(|| WrongOutcome {
                    victim: self.name(&verdict.victim),
                    resource: verdict.resource.clone(),
                    cause: verdict.cause.clone(),
                    culprit: self.name(culprit),
                    at: window.from - self.scenario.onset(),
                    evidence: verdict.evidence.clone(),
                    ..WrongOutcome::default()
                });
                entry.windows += 1;
                entry.seconds += seconds;
            }
        }
        wrong.into_values().collect()
    }

    /// Each verdict's confidence, and whether all that it names are right; those of which nobody can
    /// tell are left out.
    fn confidence(&self) -> Vec<(f64, bool)> {
        let told = self.accusing().filter_map(|(window, verdict)| {
            let mut all = verdict
                .culprits
                .iter()
                .filter_map(|named| self.right(window, verdict, named));
            let first = all.next()?;
            Some((verdict.confidence, first && all.all(|right| right)))
        });
        told.collect()
    }

    fn abstained(&self) -> bool {
        let resource = self.scenario.resource.as_str();
        !self
            .heard
            .iter()
            .any(|window| window.covered.iter().any(|covered| covered == resource))
    }
}

#[cfg(test)]
mod tests;
