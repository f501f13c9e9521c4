//! What limits one party, resource by resource.

use crate::party::Party;
use crate::verdict::{Culprit, Fact, Resource};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What keeps a party from having more of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limiter {
    /// The hardware: nobody else is in the way, and no limit.
    Machine,
    /// A limit that an operator set for it, or for a parent that it has to itself.
    Cap,
    /// What others have of the same hardware, or of a parent's limit.
    Share,
    /// The hypervisor, which gave the machine's time to others.
    Hypervisor,
    /// Nothing: it has what it wants.
    Nothing,
    /// What was read does not tell.
    Unknown,
}

impl Limiter {
    /// The word in the document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Limiter::Machine => "machine",
            Limiter::Cap => "cap",
            Limiter::Share => "share",
            Limiter::Hypervisor => "hypervisor",
            Limiter::Nothing => "nothing",
            Limiter::Unknown => "unknown",
        }
    }
}

/// What limits one party in one window.
#[derive(Clone, Debug)]
pub struct Why {
    /// Who.
    pub party: Arc<Party>,
    /// One answer a resource, in the order in which they are told.
    pub answers: Vec<Answer>,
    /// Where the party's own look at the machine misleads it.
    pub view: Vec<Mismatch>,
}

/// What limits it on one resource.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The resource.
    pub resource: Resource,
    /// What limits it.
    pub limited_by: Limiter,
    /// What decided; `None` where nothing could be read.
    pub metric: Option<Metric>,
    /// One sentence.
    pub evidence: String,
    /// One sentence with the knob to turn; `None` where there is nothing to do.
    pub advice: Option<String>,
    /// With [`Limiter::Share`], those who had more than their share, largest part first. Empty where
    /// everybody kept within it.
    pub culprits: Vec<Culprit>,
    /// All the numbers that were looked at, by name.
    pub facts: BTreeMap<&'static str, Fact>,
}

/// The number that decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its value in the window.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The file, or the source, that told it.
    pub read_from: String,
}

/// Something that a container's own look at the machine gets wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// What: `cpus`, `memory`, `load average`.
    pub what: &'static str,
    /// What it sees.
    pub sees: f64,
    /// Where it sees it.
    pub seen_in: &'static str,
    /// What it may use; `None` where there is no such number.
    pub may_use: Option<f64>,
    /// The file that says so.
    pub told_by: Option<String>,
    /// The unit of both.
    pub unit: &'static str,
    /// One sentence.
    pub evidence: String,
}
