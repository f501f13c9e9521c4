//! From seconds by culprit to a verdict whose shares add up, the same for every resource.

use super::confidence::Grounds;
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::Nanos;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Cause, Culprit, Fact, Resource, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One victim, one resource, one cause, in seconds.
#[derive(Clone, Debug)]
pub(super) struct Accusation {
    /// Index of the party that lost.
    pub(super) victim: usize,
    /// What it lost.
    pub(super) resource: Resource,
    /// Whose doing.
    pub(super) cause: Cause,
    /// Seconds of the victim's loss by party. Several entries of one party are added.
    pub(super) culprits: Vec<(usize, f64)>,
    /// Seconds that nobody can be named for.
    pub(super) unexplained: f64,
    /// Seconds of the resource that the victim got.
    pub(super) got: f64,
    /// What makes it believable; the part that is unexplained is taken off.
    pub(super) grounds: Grounds,
    /// What it rests on.
    pub(super) facts: BTreeMap<&'static str, Fact>,
}

impl Accusation {
    /// All seconds lost.
    pub(super) fn harm(&self) -> f64 {
        self.culprits
            .iter()
            .map(|(_, seconds)| seconds)
            .sum::<f64>()
            + self.unexplained
    }

    /// The culprits worth naming once each, most harm first.
    pub(super) fn by_harm(&self) -> Vec<(usize, f64)> {
        let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
        for (party, seconds) in self.culprits.iter().filter(|(_, s)| *s > 0.0) {
            *sums.entry(*party).or_default() += seconds;
        }
        worth_naming(sums)
    }

    /// Whether `party` is named.
    pub(super) fn accuses(&self, party: usize) -> bool {
        self.by_harm().iter().any(|(culprit, _)| *culprit == party)
    }

    /// The verdict in these words. Shares and the unexplained add up to 1.
    pub(super) fn verdict(self, window: &WindowUse, evidence: String, advice: String) -> Verdict {
        let harm = self.harm().max(f64::MIN_POSITIVE);
        let culprits: Vec<Culprit> = self
            .by_harm()
            .into_iter()
            .filter_map(|(party, seconds)| {
                Some(Culprit {
                    party: party_at(window, party)?,
                    time: Nanos::from_seconds(seconds),
                    share: seconds / harm,
                })
            })
            .collect();
        let named: f64 = culprits.iter().map(|culprit| culprit.share).sum();
        let unexplained = (1.0 - named).max(0.0);
        Verdict {
            victim: party_at(window, self.victim).unwrap_or_else(|| Arc::new(Party::kernel())),
            resource: self.resource,
            cause: self.cause,
            harm: Nanos::from_seconds(harm),
            fraction: harm / (harm + self.got.max(0.0)),
            culprits,
            unexplained,
            confidence: self.grounds.confidence(unexplained),
            evidence,
            advice,
            facts: self.facts,
        }
    }
}

/// Who did less than this part of what the worst culprit did was in the way by chance: a time slice where
/// the other filled the window. Its share would be shown as nought.
const WORTH_NAMING: f64 = 0.01;

/// Those worth naming, most harm first. What the others did stays unexplained.
pub(super) fn worth_naming(seconds: BTreeMap<usize, f64>) -> Vec<(usize, f64)> {
    let mut culprits: Vec<(usize, f64)> = seconds.into_iter().collect();
    culprits.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most = culprits.first().map_or(0.0, |(_, seconds)| *seconds);
    culprits.retain(|(_, seconds)| *seconds >= WORTH_NAMING * most);
    culprits
}

fn party_at(window: &WindowUse, index: usize) -> Option<Arc<Party>> {
    window.parties.get(index).map(|user| user.party.clone())
}

/// The cause when a party of this kind does harm.
pub(super) fn cause_by(kind: PartyKind) -> Cause {
    match kind {
        PartyKind::Container => Cause::Neighbour,
        PartyKind::Service | PartyKind::Kernel => Cause::Host,
        PartyKind::Hypervisor => Cause::Hypervisor,
    }
}

/// Whether a party of this kind can be a victim.
pub(super) fn can_lose(kind: PartyKind) -> bool {
    matches!(kind, PartyKind::Container | PartyKind::Service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_in_the_way_for_a_moment_is_not_named() {
        let seconds = BTreeMap::from([(1, 0.0584), (2, 0.0002), (3, 0.006)]);
        assert_eq!(worth_naming(seconds), [(1, 0.0584), (3, 0.006)]);
    }

    #[test]
    fn many_who_each_did_little_are_all_named() {
        let seconds: BTreeMap<usize, f64> = (0..200).map(|party| (party, 0.001)).collect();
        assert_eq!(worth_naming(seconds).len(), 200);
        assert!(worth_naming(BTreeMap::new()).is_empty());
    }
}
