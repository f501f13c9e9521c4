//! One party in a window, and what several resources ask about it.

use dunnage_model::observation::{CloseReading, CloseUp, LevelReading, Sourced};
use dunnage_model::party::PartyKind;
use dunnage_model::usage::{PartyUse, PartyWait, WindowUse};
use dunnage_model::verdict::{Cause, Coverage, Fact, Judgement, Resource, Verdict};
use dunnage_model::why::{Answer, Limiter, Metric};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A party in its window.
pub(super) struct Scene<'a> {
    pub(super) window: &'a WindowUse,
    /// Its place in [`WindowUse::parties`].
    pub(super) party: usize,
    pub(super) close: &'a CloseUp,
    judgement: &'a Judgement,
    coverage: &'a BTreeMap<Resource, Coverage>,
    user: &'a PartyUse,
}

impl<'a> Scene<'a> {
    pub(super) fn of(
        window: &'a WindowUse,
        key: &str,
        judgement: &'a Judgement,
        coverage: &'a BTreeMap<Resource, Coverage>,
        close: &'a CloseUp,
    ) -> Option<Scene<'a>> {
        let found = |user: &&PartyUse| &*user.party.key == key;
        let party = window.parties.iter().position(|user| found(&user))?;
        Some(Scene {
            window,
            party,
            close,
            judgement,
            coverage,
            user: window.parties.get(party)?,
        })
    }

    /// The party's use.
    pub(super) fn user(&self) -> &'a PartyUse {
        self.user
    }

    /// The length of the window.
    pub(super) fn seconds(&self) -> f64 {
        self.window.length.seconds()
    }

    /// Its waits for CPUs, where they are counted.
    pub(super) fn waits(&self) -> Option<&'a PartyWait> {
        let mut rows = self.window.waits.as_ref()?.iter();
        rows.find(|row| row.party == self.party)
    }

    /// Whether somebody watched the events of `resource`, or its totals.
    pub(super) fn coverage(&self, resource: Resource) -> Coverage {
        self.coverage
            .get(&resource)
            .copied()
            .unwrap_or(Coverage::None)
    }

    /// The verdicts on it, most harm first.
    fn verdicts(&self, resource: Resource) -> impl Iterator<Item = &'a Verdict> {
        let mut all: Vec<&'a Verdict> = self
            .judgement
            .verdicts
            .iter()
            .filter(|v| v.resource == resource && v.victim.key == self.user.party.key)
            .collect();
        all.sort_by_key(|verdict| std::cmp::Reverse(verdict.harm));
        all.into_iter()
    }

    /// The verdict on it with most harm among those of `causes`.
    pub(super) fn verdict(&self, resource: Resource, causes: &[Cause]) -> Option<&'a Verdict> {
        self.verdicts(resource)
            .find(|verdict| causes.contains(&verdict.cause))
    }

    /// The verdict that names other parties.
    pub(super) fn accusing(&self, resource: Resource) -> Option<&'a Verdict> {
        self.verdict(resource, &[Cause::Neighbour, Cause::Host])
    }

    /// The verdict on CPU time that others' interrupts and softirqs took, which no run queue shows.
    pub(super) fn interrupted(&self) -> Option<&'a Verdict> {
        self.verdicts(Resource::Cpu)
            .find(|verdict| names_others(verdict) && is_interruption(verdict))
    }

    /// The verdict that names others who had a CPU while it waited.
    pub(super) fn outrun(&self) -> Option<&'a Verdict> {
        self.verdicts(Resource::Cpu)
            .find(|verdict| names_others(verdict) && !is_interruption(verdict))
    }

    /// The verdict that names a limit of its own, by the file of that limit.
    pub(super) fn own_limit(&self, resource: Resource, file: &str) -> Option<&'a Verdict> {
        self.verdicts(resource).find(|verdict| {
            verdict.cause == Cause::Itself
                && matches!(verdict.facts.get("limit"), Some(Fact::Text(limit)) if limit.starts_with(file))
        })
    }

    /// Other parties than the machine's own.
    pub(super) fn others(&self) -> impl Iterator<Item = &'a PartyUse> {
        let own = self.party;
        self.window
            .parties
            .iter()
            .enumerate()
            .filter(move |(i, user)| *i != own && user.party.kind != PartyKind::Hypervisor)
            .map(|(_, user)| user)
    }

    /// Its own cgroup, and each parent, before and after the window.
    pub(super) fn levels(&self) -> impl Iterator<Item = Level<'a>> {
        let before = &self.close.before;
        self.close.after.levels.iter().map(move |after| Level {
            before: level_at(before, &after.path),
            after,
        })
    }

    /// Its own cgroup.
    pub(super) fn own(&self) -> Option<Level<'a>> {
        self.levels().next()
    }

    /// The name of a source that counts events of this party's tasks.
    pub(super) fn events(&self, what: &str) -> String {
        let cgroup = self.user.party.cgroup.as_deref().unwrap_or("/");
        format!("{what} of the tasks in cgroup {cgroup}")
    }
}

fn names_others(verdict: &Verdict) -> bool {
    matches!(verdict.cause, Cause::Neighbour | Cause::Host)
}

/// Whether a verdict is about interrupts: it then tells for how long they lasted.
fn is_interruption(verdict: &Verdict) -> bool {
    verdict.facts.contains_key("interrupted_seconds")
}

fn level_at<'a>(reading: &'a CloseReading, path: &Arc<str>) -> Option<&'a LevelReading> {
    reading.levels.iter().find(|level| level.path == *path)
}

/// One cgroup at both ends of the window.
#[derive(Clone, Copy)]
pub(super) struct Level<'a> {
    before: Option<&'a LevelReading>,
    pub(super) after: &'a LevelReading,
}

impl<'a> Level<'a> {
    /// What a counter grew by; `None` where it was not there at both ends.
    pub(super) fn grew<T>(
        &self,
        counter: impl Fn(&'a LevelReading) -> Option<&'a Sourced<T>>,
        number: impl Fn(&T) -> u64,
    ) -> Option<u64>
    where
        T: 'a,
    {
        let after = number(&counter(self.after)?.value);
        let before = number(&counter(self.before?)?.value);
        Some(after.saturating_sub(before))
    }
}

/// A metric.
pub(super) fn metric(
    name: &'static str,
    value: f64,
    unit: &'static str,
    read_from: impl Into<String>,
) -> Metric {
    Metric {
        name,
        value: unsigned(value),
        unit,
        read_from: read_from.into(),
    }
}

/// Seconds that add up: the sum of none is -0.0 in this language, which nobody wants to read.
pub(super) fn sum(seconds: impl Iterator<Item = f64>) -> f64 {
    unsigned(seconds.sum())
}

/// Zero without a sign.
fn unsigned(value: f64) -> f64 {
    value + 0.0
}

/// The file of a value, or what its name would be.
pub(super) fn file<T>(value: Option<&Sourced<T>>, name: &str) -> String {
    value.map_or_else(|| name.to_owned(), |value| value.file.to_string())
}

/// Collects the numbers that were looked at.
#[derive(Default)]
pub(super) struct Facts(BTreeMap<&'static str, Fact>);

impl Facts {
    /// A number that is there.
    pub(super) fn number(&mut self, name: &'static str, value: Option<f64>) -> &mut Facts {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.0.insert(name, Fact::Number(unsigned(value)));
        }
        self
    }

    /// A word that is there.
    pub(super) fn text(&mut self, name: &'static str, value: Option<&str>) -> &mut Facts {
        if let Some(value) = value {
            self.0.insert(name, Fact::Text(value.to_owned()));
        }
        self
    }

    /// All of them.
    pub(super) fn take(&mut self) -> BTreeMap<&'static str, Fact> {
        std::mem::take(&mut self.0)
    }
}

/// An answer; the culprits come from the verdict where others are named.
pub(super) fn answer(
    resource: Resource,
    limited_by: Limiter,
    metric: Option<Metric>,
    (evidence, advice): (String, Option<String>),
    accusing: Option<&Verdict>,
    facts: BTreeMap<&'static str, Fact>,
) -> Answer {
    let culprits = match (limited_by, accusing) {
        (Limiter::Share, Some(verdict)) => verdict.culprits.clone(),
        _ => Vec::new(),
    };
    Answer {
        resource,
        limited_by,
        metric,
        evidence,
        advice,
        culprits,
        facts,
    }
}
