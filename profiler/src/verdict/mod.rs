//! 4. Use and blame -> who harms whom, and who is cleared. Pure, one file a resource.
//!
//! Each resource has a judge, or several. A new verdict is a file (or a folder) and a line in
//! [`JUDGES`].

mod accusation;
mod bar;
mod cache;
mod confidence;
mod cpu;
mod disk;
mod history;
mod interrupts;
mod limits;
mod memory;
mod network;
mod own_work;
mod persistence;
mod why;
mod words;

pub use cache::CacheHistory;
pub use history::History;
pub use persistence::Persistence;
pub use why::why;

use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Cause, Coverage, Judgement, Resource};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How one resource is judged.
struct Judge {
    /// The resource.
    resource: Resource,
    /// Who harms whom on it.
    judge: fn(&WindowUse) -> Judgement,
    /// How well it was watched.
    coverage: fn(&WindowUse) -> Coverage,
}

/// Everybody who judges.
const JUDGES: &[Judge] = &[
    Judge {
        resource: Resource::Cpu,
        judge: cpu::judge,
        coverage: cpu::coverage,
    },
    Judge {
        resource: Resource::Memory,
        judge: memory::judge,
        coverage: memory::coverage,
    },
    Judge {
        resource: Resource::Network,
        judge: network::judge,
        coverage: network::coverage,
    },
    Judge {
        resource: Resource::Cpu,
        judge: limits::judge,
        coverage: limits::coverage,
    },
    Judge {
        resource: Resource::Cpu,
        judge: interrupts::kernel,
        coverage: interrupts::of_little_matter,
    },
    Judge {
        resource: Resource::Cpu,
        judge: interrupts::steal,
        coverage: interrupts::of_little_matter,
    },
    Judge {
        resource: Resource::Network,
        judge: interrupts::network,
        coverage: interrupts::coverage,
    },
    Judge {
        resource: Resource::Disk,
        judge: disk::judge,
        coverage: disk::coverage,
    },
];

/// Every resource that the contract names.
const RESOURCES: [Resource; 7] = [
    Resource::Cpu,
    Resource::Cache,
    Resource::Disk,
    Resource::Memory,
    Resource::Network,
    Resource::Gpu,
    Resource::Fpga,
];

/// Judges a window: what others did first, then what parties do to themselves, most harm first in
/// each; and the cleared with most use first.
///
/// Needs no clock and no host: a recorded window gives the verdicts of a live one. A window of
/// length zero has no verdicts.
#[must_use]
pub fn judge(window: &WindowUse) -> Judgement {
    let mut all = Judgement::default();
    for judge in JUDGES {
        let Judgement { verdicts, cleared } = (judge.judge)(window);
        all.verdicts.extend(verdicts);
        all.cleared.extend(cleared);
    }
    sort(&mut all);
    all
}

/// Adds what a judge with a history found.
pub fn add(all: &mut Judgement, more: Judgement) {
    all.verdicts.extend(more.verdicts);
    all.cleared.extend(more.cleared);
    sort(all);
}

/// A hog loses the most by its own wanting more; the one it harms is what the reader looks for.
fn sort(all: &mut Judgement) {
    all.verdicts
        .sort_by_key(|v| (v.cause == Cause::Itself, Reverse(v.harm)));
}

/// How well each resource was watched in the window; every resource has an entry. Where several judges
/// speak of one, it is the worst of those that saw anything: that is what any verdict may rest on.
#[must_use]
pub fn coverage(window: &WindowUse) -> BTreeMap<Resource, Coverage> {
    let mut all: BTreeMap<Resource, Coverage> =
        RESOURCES.iter().map(|r| (*r, Coverage::None)).collect();
    for judge in JUDGES {
        let seen = (judge.coverage)(window);
        if seen == Coverage::None {
            continue;
        }
        let worst = all.entry(judge.resource).or_insert(Coverage::None);
        *worst = match *worst {
            Coverage::None => seen,
            other => other.max(seen),
        };
    }
    // Its judge needs a history: see [`CacheHistory`].
    all.insert(Resource::Cache, cache::coverage(window));
    all
}
