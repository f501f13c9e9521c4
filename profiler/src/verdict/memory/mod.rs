//! Memory verdicts: who waits for memory, because of which limit, and whose doing it is.
//!
//! - [`losses`]: what each party lost, and to which limit;
//! - [`blame`]: who asked for more than its share of what ran out;
//! - [`words`]: evidence and advice; [`cleared`]: who looks guilty and is not.

mod blame;
mod cleared;
mod losses;
mod thresholds;
mod words;

use super::accusation::{Accusation, can_lose, worth_naming};
use super::confidence::Grounds;
use blame::{Guilt, guilty};
use dunnage_model::usage::{LimitKind, MemoryLimit, MemoryStalls, WindowUse};
use dunnage_model::verdict::{Cause, Coverage, Fact, Judgement, Resource, Verdict};
use losses::{Loss, losses};
use std::collections::BTreeMap;

/// Judges a window.
pub(super) fn judge(window: &WindowUse) -> Judgement {
    let Some(memory) = &window.stalls.memory else {
        return Judgement::default();
    };
    let cases = cases(window, memory);
    let cleared = cleared::cleared(window, memory, &cases);
    Judgement {
        verdicts: cases
            .into_iter()
            .map(|case| case.verdict(window, memory))
            .collect(),
        cleared,
    }
}

/// How well memory was watched: the events of reclaim are all accounted for; pressure and the
/// counters of files only rise and fall together.
pub(super) fn coverage(window: &WindowUse) -> Coverage {
    match &window.stalls.memory {
        Some(memory) if memory.events => Coverage::Exact,
        Some(_) => Coverage::Correlated,
        None => Coverage::None,
    }
}

/// A victim, a limit, a cause.
struct Case {
    /// What was lost.
    loss: Loss,
    /// Whose doing.
    cause: Cause,
    /// Seconds by party, those who are worth naming; the victim alone where it is its own doing.
    culprits: Vec<(usize, f64)>,
    /// Seconds that nobody can be named for.
    unexplained: f64,
    /// What makes it believable.
    grounds: Grounds,
}

fn cases(window: &WindowUse, memory: &MemoryStalls) -> Vec<Case> {
    let mut cases = Vec::new();
    for victim in 0..window.parties.len() {
        if can_lose(window.parties[victim].party.kind) {
            let got = window.parties[victim].cpu.usage.seconds();
            let seconds = window.length.seconds();
            let counts = |loss: &Loss| {
                loss.kills > 0 || thresholds::OTHERS.passed(loss.seconds(), got, seconds)
            };
            for loss in losses(window, memory, victim).into_iter().filter(counts) {
                cases.extend(accuse(window, memory, &loss));
            }
        }
    }
    cases
}

/// One case for each cause of one loss.
fn accuse(window: &WindowUse, memory: &MemoryStalls, loss: &Loss) -> Vec<Case> {
    let guilt = match memory.limits.get(loss.limit) {
        Some(limit) if loss.kills > 0 => blame::fillers(limit, loss.victim),
        Some(limit) => guilty(limit, loss.victim, memory.events),
        None => Guilt::unknown(),
    };
    let (trust, unexplained) = trust(memory, loss);
    let seconds = loss.seconds();
    let got = window.parties[loss.victim].cpu.usage.seconds();
    let mut by_cause: BTreeMap<Cause, Vec<(usize, f64)>> = BTreeMap::new();
    for (party, share) in &guilt.shares {
        let cause = if *party == loss.victim {
            Cause::Itself
        } else {
            super::accusation::cause_by(window.parties[*party].party.kind)
        };
        by_cause.entry(cause).or_default().push((*party, *share));
    }
    by_cause
        .into_iter()
        .filter_map(|(cause, shares)| {
            let part: f64 = shares.iter().map(|(_, share)| share).sum();
            let lost = seconds * part;
            let bar = if cause == Cause::Itself {
                thresholds::ITSELF
            } else {
                thresholds::OTHERS
            };
            let killed = loss.kills > 0 && part >= thresholds::PART_OF_A_KILL;
            let margin = bar.margin(lost, got, window.length.seconds());
            if !killed && margin < 1.0 {
                return None;
            }
            let grounds = Grounds::of(trust * guilt.trust);
            // What a party does to itself needs no other name: nothing of it is unexplained.
            let unexplained = if cause == Cause::Itself {
                0.0
            } else {
                unexplained
            };
            let culprits = shares
                .into_iter()
                .map(|(party, share)| (party, seconds * share * (1.0 - unexplained)));
            let culprits = worth_naming(culprits.collect());
            let named: f64 = culprits.iter().map(|(_, seconds)| seconds).sum();
            Some(Case {
                loss: loss.clone(),
                cause,
                culprits,
                unexplained: (lost - named).max(0.0),
                // That a process was killed is no matter of more or less.
                grounds: if killed {
                    grounds
                } else {
                    grounds.margin(margin)
                },
            })
        })
        .collect()
}

/// How far a loss is to be believed, and which part of it nobody can be named for.
fn trust(memory: &MemoryStalls, loss: &Loss) -> (f64, f64) {
    if !memory.events {
        return (thresholds::CORRELATED, thresholds::CORRELATED_UNEXPLAINED);
    }
    if loss.kills > 0 || loss.stall >= 0.5 * loss.seconds() {
        (thresholds::SEEN, 0.0)
    } else {
        (thresholds::BY_PRESSURE, 0.0)
    }
}

impl Case {
    /// Whether `party` is accused of harm to others.
    fn accuses(&self, party: usize) -> bool {
        self.culprits.iter().any(|(culprit, _)| *culprit == party)
    }

    fn verdict(self, window: &WindowUse, memory: &MemoryStalls) -> Verdict {
        let limit = memory.limits.get(self.loss.limit);
        let evidence = words::evidence(&self, window, limit);
        let advice = words::advice(&self, window, limit);
        let facts = self.facts(window, limit);
        Accusation {
            victim: self.loss.victim,
            resource: Resource::Memory,
            cause: self.cause,
            culprits: self.culprits,
            unexplained: self.unexplained,
            got: window.parties[self.loss.victim].cpu.usage.seconds(),
            grounds: self.grounds,
            facts,
        }
        .verdict(window, evidence, advice)
    }

    fn facts(
        &self,
        window: &WindowUse,
        limit: Option<&MemoryLimit>,
    ) -> BTreeMap<&'static str, Fact> {
        let mut facts = BTreeMap::new();
        let mut number = |name, value: f64| {
            facts.insert(name, Fact::Number(value));
        };
        number("reclaim_seconds", self.loss.stall);
        if let Some(pressure) = window.parties[self.loss.victim].pressure.memory_some {
            number("pressure_some", pressure);
        }
        if self.loss.kills > 0 {
            number("oom_kills", self.loss.kills as f64);
        }
        let Some(limit) = limit else {
            return facts;
        };
        if let Some(share) = limit.sharers.iter().find(|s| s.party == self.loss.victim) {
            number("used_bytes", share.used.0 as f64);
            number("refaulted_bytes", share.refaulted.0 as f64);
        }
        if let Some(bytes) = limit.bytes {
            number("limit_bytes", bytes.0 as f64);
        }
        if let Some(file) = words::file(limit) {
            facts.insert("limit", Fact::Text(file.to_owned()));
            if let (None, Some(path)) = (limit.own, &limit.path) {
                facts.insert("limit_cgroup", Fact::Text(path.to_string()));
            }
        }
        if let Some(command) = &self.loss.command {
            facts.insert("killed", Fact::Text(command.to_string()));
        }
        if limit.kind == LimitKind::Machine {
            facts.insert("limit_of", Fact::Text("machine".to_owned()));
        }
        facts
    }
}

#[cfg(test)]
mod tests;
