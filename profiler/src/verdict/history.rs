//! In how many of the last windows a verdict held: one window out of many is a moment, many in a row
//! are a state. Pure: it knows windows, no clock.

use super::confidence;
use dunnage_model::verdict::{Cause, Fact, Judgement, Resource, Verdict};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Windows that are remembered: a bit each.
const WINDOWS: u32 = u64::BITS;

/// From so many windows on it is worth saying that a verdict held in few of them.
const ENOUGH: u32 = 4;

/// A verdict held in few windows when it held in at most this part of them.
const FEW: f64 = 0.25;

/// What makes two verdicts of two windows the same. Keys come from cgroup paths, which containers
/// choose, so that the hash must not be guessable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Same {
    victim: Arc<str>,
    resource: Resource,
    cause: Cause,
    culprits: BTreeSet<Arc<str>>,
}

impl Same {
    fn of(verdict: &Verdict) -> Same {
        let culprits = verdict.culprits.iter();
        Same {
            victim: verdict.victim.key.clone(),
            resource: verdict.resource,
            cause: verdict.cause,
            culprits: culprits.map(|culprit| culprit.party.key.clone()).collect(),
        }
    }
}

/// The verdicts of the last windows.
#[derive(Debug, Default)]
pub struct History {
    /// For each the windows in which it held, the last one in the lowest bit. What held in none of
    /// those that are remembered is forgotten.
    held: HashMap<Same, u64>,
    seen: u32,
}

impl History {
    /// Remembers the verdicts of the next window, and writes into each in how many of the last
    /// windows it held: as `windows_held` and `windows_seen`, in its confidence, and in the evidence
    /// where those were few of many.
    pub fn note(&mut self, judgement: &mut Judgement) {
        self.seen = (self.seen + 1).min(WINDOWS);
        self.held.retain(|_, bits| {
            *bits <<= 1;
            *bits != 0
        });
        for verdict in &mut judgement.verdicts {
            let bits = self.held.entry(Same::of(verdict)).or_default();
            *bits |= 1;
            tell(verdict, bits.count_ones(), self.seen);
        }
    }
}

fn tell(verdict: &mut Verdict, held: u32, seen: u32) {
    let number = |count: u32| Fact::Number(f64::from(count));
    verdict.facts.insert("windows_held", number(held));
    verdict.facts.insert("windows_seen", number(seen));
    verdict.confidence = confidence::agreed(verdict.confidence, held, seen);
    if seen >= ENOUGH && f64::from(held) <= FEW * f64::from(seen) {
        let windows = format!("; so in {held} of the last {seen} windows");
        verdict.evidence.push_str(&windows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage_model::party::{Party, PartyKind};
    use dunnage_model::units::Nanos;
    use dunnage_model::verdict::Culprit;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn verdict(victim: &str, culprits: &[&str]) -> Verdict {
        let party = |name: &str| Arc::new(Party::new(name, PartyKind::Container, name));
        let culprit = |name: &&str| Culprit {
            party: party(name),
            time: Nanos(1),
            share: 1.0 / culprits.len() as f64,
        };
        Verdict {
            victim: party(victim),
            resource: Resource::Cpu,
            cause: Cause::Neighbour,
            harm: Nanos(1),
            fraction: 0.5,
            culprits: culprits.iter().map(culprit).collect(),
            unexplained: 0.0,
            confidence: 0.9,
            evidence: "e".into(),
            advice: "a".into(),
            facts: BTreeMap::new(),
        }
    }

    /// Held and seen, and the evidence, of the only verdict of a window.
    fn noted(history: &mut History, verdicts: Vec<Verdict>) -> (f64, f64, String) {
        let mut judgement = Judgement {
            verdicts,
            cleared: Vec::new(),
        };
        history.note(&mut judgement);
        let verdict = &judgement.verdicts[0];
        let fact = |name| match verdict.facts[name] {
            Fact::Number(number) => number,
            Fact::Text(_) => f64::NAN,
        };
        (
            fact("windows_held"),
            fact("windows_seen"),
            verdict.evidence.clone(),
        )
    }

    #[test]
    fn a_verdict_that_always_holds_says_no_more_than_that() {
        let mut history = History::default();
        for window in 1..=70_u32 {
            let (held, seen, evidence) = noted(&mut history, vec![verdict("web", &["batch"])]);
            let known = f64::from(window.min(64));
            assert_eq!((held, seen, evidence.as_str()), (known, known, "e"));
        }
    }

    #[test]
    fn one_window_out_of_many_says_so() {
        let mut history = History::default();
        for _ in 0..11 {
            history.note(&mut Judgement::default());
        }
        let (held, seen, evidence) = noted(&mut history, vec![verdict("web", &["batch"])]);
        assert_eq!((held, seen), (1.0, 12.0));
        assert_eq!(evidence, "e; so in 1 of the last 12 windows");
    }

    #[test]
    fn the_first_windows_are_too_few_to_call_any_rare() {
        let mut history = History::default();
        history.note(&mut Judgement::default());
        let (_, seen, evidence) = noted(&mut history, vec![verdict("web", &["batch"])]);
        assert_eq!((seen, evidence.as_str()), (2.0, "e"));
    }

    #[test]
    fn other_culprits_make_another_verdict_and_their_order_does_not() {
        let mut history = History::default();
        let held = |history: &mut History, culprits: &[&str]| {
            noted(history, vec![verdict("web", culprits)]).0
        };
        assert_eq!(held(&mut history, &["a", "b"]), 1.0);
        assert_eq!(held(&mut history, &["b", "a"]), 2.0);
        assert_eq!(held(&mut history, &["a"]), 1.0);
        assert_eq!(held(&mut history, &["a", "b"]), 3.0);
    }

    #[test]
    fn what_held_long_ago_is_forgotten() {
        let mut history = History::default();
        noted(&mut history, vec![verdict("web", &["batch"])]);
        for _ in 0..64 {
            history.note(&mut Judgement::default());
        }
        assert!(history.held.is_empty());
        assert_eq!(noted(&mut history, vec![verdict("web", &["batch"])]).0, 1.0);
    }

    proptest! {
        #[test]
        fn nothing_holds_more_often_than_was_looked(windows: Vec<bool>) {
            let mut history = History::default();
            let mut all: Vec<bool> = Vec::new();
            for held in windows {
                all.push(held);
                if !held {
                    history.note(&mut Judgement::default());
                    continue;
                }
                let last = &all[all.len().saturating_sub(64)..];
                let expected = last.iter().filter(|held| **held).count() as f64;
                let told = noted(&mut history, vec![verdict("web", &["batch"])]);
                prop_assert_eq!((told.0, told.1), (expected, last.len() as f64));
            }
        }
    }
}
