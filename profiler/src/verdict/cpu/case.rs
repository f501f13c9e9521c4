//! A case against somebody, and how it becomes a verdict: shares, confidence, facts.

use super::blame::Facts;
use super::scene::Scene;
use super::{thresholds, words};
use crate::verdict::accusation::worth_naming;
use crate::verdict::confidence::Grounds;
use dunnage_model::observation::Fidelity;
use dunnage_model::units::Nanos;
use dunnage_model::verdict::{Cause, Culprit, Fact, Resource, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a party ran into, where it is a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// No limit plays a part: others took the CPU.
    None,
    /// Its own threads, on all CPUs of the machine.
    Threads,
    /// Its own threads, on the CPUs of its cpuset.
    Cpuset,
    /// Its own quota.
    Quota,
    /// The quota of the parent at this path.
    ParentQuota(Arc<str>),
    /// Its weight: it has its share of full CPUs.
    Weight,
}

impl Limit {
    /// `facts.limit`, by the name of the cgroup file; `None` where it is no limit that somebody set.
    fn file(&self) -> Option<&'static str> {
        match self {
            Limit::None | Limit::Threads => None,
            Limit::Cpuset => Some("cpuset.cpus"),
            Limit::Quota | Limit::ParentQuota(_) => Some("cpu.max"),
            Limit::Weight => Some("cpu.weight"),
        }
    }
}

/// One victim, one cause, before it is put into words.
#[derive(Debug)]
pub(super) struct Case {
    /// Index of the party that lost.
    pub(super) victim: usize,
    /// Whose doing.
    pub(super) cause: Cause,
    /// Seconds by culprit.
    culprits: BTreeMap<usize, f64>,
    /// Seconds that nobody can be named for.
    pub(super) unexplained: f64,
    /// The part of the harm that was waited on run queues, in seconds; the rest was throttled.
    pub(super) queued: f64,
    /// The limit that counts most.
    pub(super) limit: Limit,
    /// What a party's own limits cost it, in seconds, each by itself; empty where others are accused.
    pub(super) parts: Vec<(Limit, f64)>,
    /// Trust in the source of the larger part, 0 to 1.
    pub(super) trust: f64,
    /// What the whole wait consists of.
    pub(super) split: Facts,
}

impl Case {
    /// A case without any harm yet.
    pub(super) fn new(victim: usize, cause: Cause) -> Case {
        Case {
            victim,
            cause,
            culprits: BTreeMap::new(),
            unexplained: 0.0,
            queued: 0.0,
            limit: Limit::None,
            parts: Vec::new(),
            trust: 1.0,
            split: Facts::default(),
        }
    }

    /// Charges `seconds` to a culprit.
    pub(super) fn add(&mut self, culprit: usize, seconds: f64) {
        if seconds > 0.0 {
            *self.culprits.entry(culprit).or_default() += seconds;
        }
    }

    /// Seconds that somebody is named for.
    pub(super) fn known(&self) -> f64 {
        self.culprits.values().sum()
    }

    /// All seconds lost.
    pub(super) fn harm(&self) -> f64 {
        self.known() + self.unexplained
    }

    /// The culprits worth naming, most harm first.
    pub(super) fn by_harm(&self) -> Vec<(usize, f64)> {
        worth_naming(self.culprits.clone())
    }

    /// Whether `party` is a culprit here.
    pub(super) fn accuses(&self, party: usize) -> bool {
        let culprits = self.by_harm();
        self.cause != Cause::Itself && culprits.iter().any(|(culprit, _)| *culprit == party)
    }

    /// The verdict. Shares and the unexplained add up to 1.
    pub(super) fn verdict(&self, scene: &Scene<'_>) -> Verdict {
        let harm = self.harm().max(f64::MIN_POSITIVE);
        let culprits: Vec<Culprit> = self
            .by_harm()
            .into_iter()
            .map(|(party, seconds)| Culprit {
                party: scene.window.parties[party].party.clone(),
                time: Nanos::from_seconds(seconds),
                share: seconds / harm,
            })
            .collect();
        let named: f64 = culprits.iter().map(|culprit| culprit.share).sum();
        let unexplained = (1.0 - named).max(0.0);
        Verdict {
            victim: scene.window.parties[self.victim].party.clone(),
            resource: Resource::Cpu,
            cause: self.cause,
            harm: Nanos::from_seconds(harm),
            fraction: harm / (harm + scene.got(self.victim)),
            culprits,
            unexplained,
            confidence: self.confidence(scene, unexplained),
            evidence: words::evidence(self, scene),
            advice: words::advice(self, scene),
            facts: self.facts(scene),
        }
    }

    /// Less for samples, for what was apportioned and not seen, for a loss near the bar and for a handful
    /// of waits; the part that is unexplained is taken off.
    fn confidence(&self, scene: &Scene<'_>, unexplained: f64) -> f64 {
        let sampled = match scene.window.fidelity {
            Fidelity::Exact => 1.0,
            Fidelity::Sampled(part) => part.clamp(0.0, 1.0).sqrt(),
        };
        let bar = if self.cause == Cause::Itself {
            thresholds::ITSELF
        } else {
            thresholds::OTHERS
        };
        let loss = scene.loss(self.victim, self.split.throttled);
        let mut grounds = Grounds::of(self.trust * sampled).margin(bar.margin(self.harm(), loss));
        // Throttled time is counted apart, and not in waits.
        if let Some(row) = scene.row(self.victim).filter(|_| self.queued > 0.0) {
            let queued = self.queued / self.harm();
            let apportioned = (row.apportioned.seconds() / row.wait.seconds().max(1e-9)).min(1.0);
            grounds = grounds.apportioned(queued * apportioned);
            if queued > 0.5 {
                grounds = grounds.events(row.waits);
            }
        }
        grounds.confidence(unexplained)
    }

    fn facts(&self, scene: &Scene<'_>) -> BTreeMap<&'static str, Fact> {
        let mut facts = BTreeMap::new();
        let mut number = |name, value: f64| {
            if value.is_finite() {
                facts.insert(name, Fact::Number(value));
            }
        };
        let party = &scene.window.parties[self.victim];
        number("used_seconds", scene.got(self.victim));
        number("throttled_seconds", self.split.throttled);
        number("self_seconds", self.split.own);
        number("within_share_seconds", self.split.within);
        if self.split.kernel > 0.0 {
            number("kernel_seconds", self.split.kernel);
        }
        let exact = scene.window.waits.is_some();
        if let Some(pressure) = party.pressure.cpu_some {
            number("pressure_some", pressure);
        }
        if let Some(row) = scene.row(self.victim).filter(|_| exact) {
            number("runqueue_wait_seconds", row.wait.seconds());
            if let Some(p99) = row.p99 {
                number("p99_wait_seconds", p99.seconds());
            }
            if row.apportioned.0 > 0 {
                number("apportioned_seconds", row.apportioned.seconds());
            }
        }
        if let Some(fair) = scene.fair(self.victim) {
            number("entitled_seconds", fair);
        }
        if let (Limit::Quota, Some(quota)) = (&self.limit, party.claim.quota_cpus) {
            number("quota_cpus", quota);
        }
        if let Limit::ParentQuota(path) = &self.limit {
            if let Some(quota) = party
                .claim
                .parent_quotas
                .iter()
                .find(|quota| quota.path == *path)
            {
                number("quota_cpus", quota.cpus);
            }
            facts.insert("limit_cgroup", Fact::Text(path.to_string()));
        }
        if let Some(file) = self.limit.file() {
            facts.insert("limit", Fact::Text(file.to_owned()));
        }
        facts
    }
}
