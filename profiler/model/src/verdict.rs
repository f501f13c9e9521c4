//! Who harms whom, and who is cleared.

use crate::party::Party;
use crate::units::Nanos;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was wanted and not had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// CPU time.
    Cpu,
    /// Cache and memory bandwidth.
    Cache,
    /// Block devices.
    Disk,
    /// Memory.
    Memory,
    /// Network.
    Network,
    /// GPU.
    Gpu,
    /// FPGA.
    Fpga,
}

impl Resource {
    /// What every view of the coverage lists, whether it is watched here or not.
    pub const LISTED: [Resource; 6] = [
        Resource::Cpu,
        Resource::Cache,
        Resource::Disk,
        Resource::Memory,
        Resource::Network,
        Resource::Gpu,
    ];

    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu",
            Resource::Cache => "cache",
            Resource::Disk => "disk",
            Resource::Memory => "memory",
            Resource::Network => "network",
            Resource::Gpu => "gpu",
            Resource::Fpga => "fpga",
        }
    }
}

/// Whose doing it is, seen from the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Another container.
    Neighbour,
    /// A service of the host, or the kernel.
    Host,
    /// The victim's own threads, or its own limit.
    Itself,
    /// Steal.
    Hypervisor,
}

impl Cause {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Neighbour => "neighbour",
            Cause::Host => "host",
            Cause::Itself => "self",
            Cause::Hypervisor => "hypervisor",
        }
    }
}

/// How well a resource was watched in the window, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// Every event was accounted for.
    Exact,
    /// A known fraction of the events was.
    Sampled,
    /// Only totals that rise and fall together.
    Correlated,
    /// Not at all.
    None,
}

impl Coverage {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Coverage::Exact => "exact",
            Coverage::Sampled => "sampled",
            Coverage::Correlated => "correlated",
            Coverage::None => "none",
        }
    }
}

/// A party that caused harm, and how much of it.
#[derive(Clone, Debug)]
pub struct Culprit {
    /// Who.
    pub party: Arc<Party>,
    /// Task-seconds of the victim's loss that it caused.
    pub time: Nanos,
    /// Its share of the harm, 0 to 1.
    pub share: f64,
}

/// A number or a word that a verdict rests on.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A number, in the unit its name says.
    Number(f64),
    /// A word, such as the name of a limit.
    Text(String),
}

/// One verdict: a victim, a resource, a cause.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Who lost.
    pub victim: Arc<Party>,
    /// What it lost.
    pub resource: Resource,
    /// Whose doing.
    pub cause: Cause,
    /// Task-time lost in the window by this cause.
    pub harm: Nanos,
    /// Lost / (lost + got), 0 to 1.
    pub fraction: f64,
    /// Largest share first. Shares and `unexplained` add up to 1.
    pub culprits: Vec<Culprit>,
    /// The share of the harm that nobody can be named for.
    pub unexplained: f64,
    /// 0 to 1.
    pub confidence: f64,
    /// One sentence.
    pub evidence: String,
    /// One sentence with the knob to turn.
    pub advice: String,
    /// What it rests on, by name.
    pub facts: BTreeMap<&'static str, Fact>,
}

/// A party that looks guilty and is not.
#[derive(Clone, Debug)]
pub struct Cleared {
    /// Who.
    pub party: Arc<Party>,
    /// Of what.
    pub of: Resource,
    /// Why.
    pub why: String,
}

/// All that was judged in one window.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// What others did first, then what parties do to themselves; most harm first in each.
    pub verdicts: Vec<Verdict>,
    /// Most use first.
    pub cleared: Vec<Cleared>,
}
