//! What Dunnage said while a scenario was played, in the words of its cast.

use super::clock;
use super::scenario::{Home, Scenario};
use super::stage::Played;
use super::watch::Window;
use dunnage_model::document::{FactValue, PartyDocument, VerdictDocument};

/// Who is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// One who takes part, by number.
    Actor(usize),
    /// Anybody else, by name.
    Outside(String),
}

/// One window, in seconds of the script.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    pub(super) from: f64,
    pub(super) to: f64,
    /// When it could be read.
    pub(super) arrived: f64,
    /// The resources with any coverage.
    pub(super) covered: Vec<String>,
    pub(super) verdicts: Vec<HeardVerdict>,
}

/// One verdict of a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeardVerdict {
    pub(super) victim: Who,
    pub(super) resource: String,
    pub(super) cause: String,
    /// Harm in seconds.
    pub(super) harm: f64,
    /// Culprit, seconds, share.
    pub(super) culprits: Vec<(Who, f64, f64)>,
    pub(super) confidence: f64,
    /// `facts.limit`.
    pub(super) limit: Option<String>,
    pub(super) evidence: String,
}

/// Puts a window into the words of the cast.
pub(super) fn heard(window: &Window, scenario: &Scenario, played: &Played) -> Heard {
    let who = |party: &PartyDocument| who(party, scenario, played);
    let script = |at: u64| clock::seconds(at) - clock::seconds(played.began);
    let verdict = |v: &VerdictDocument| HeardVerdict {
        victim: who(&v.victim),
        resource: v.resource.to_string(),
        cause: v.cause.to_string(),
        harm: v.harm.seconds,
        culprits: v
            .culprits
            .iter()
            .map(|c| (who(&c.party), c.seconds, c.share))
            .collect(),
        confidence: v.confidence,
        limit: match v.facts.get("limit") {
            Some(FactValue::Text(text)) => Some(text.clone()),
            _ => None,
        },
        evidence: v.evidence.clone(),
    };
    let coverage = window.document.coverage.iter();
    Heard {
        from: script(window.start),
        to: script(window.end),
        arrived: script(window.arrived),
        covered: coverage
            .filter(|(_, word)| *word != "none")
            .map(|(resource, _)| resource.to_string())
            .collect(),
        verdicts: window.document.verdicts.iter().map(verdict).collect(),
    }
}

/// A party is its cgroup; a container owns what is below its own.
fn who(party: &PartyDocument, scenario: &Scenario, played: &Played) -> Who {
    let path = party.cgroup.as_deref().unwrap_or_default();
    let kind = |home| match home {
        Home::Service => "service",
        Home::Container | Home::Runc => "container",
    };
    let mut actors = played.actors.iter().zip(&scenario.cast);
    let found = actors.position(|(actor, cast)| {
        party.kind == kind(cast.home)
            && path
                .strip_prefix(&*actor.cgroup)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    found.map_or_else(
        || Who::Outside(format!("{} {}", party.kind, party.name)),
        Who::Actor,
    )
}
