//! Where verdicts say that there is noise: by NUMA node, so that devices elsewhere are given first.
//!
//! The profiler's `dunnage.blame/1` documents come in by a pipe (`feed`); whose CPUs are on which node
//! the host says (`places`); what follows from both is pure and here.

mod feed;
mod places;

pub use feed::{Feed, FeedError};
pub use places::Places;

use dunnage_model::document::{BlameDocument, VerdictDocument};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Windows that are remembered: with those of 10 s that `dunnage blame` has, two minutes.
const WINDOWS: usize = 12;
/// What is older says nothing of now: the profiler was stopped.
const MOST_AGE: Duration = Duration::from_secs(150);
/// Levels of noise, in tasks that stand still all the time. Less than one level is no noise, and
/// between equal levels nearness decides: a small difference must not tear linked devices apart.
const LEVEL: f64 = 0.1;
/// Verdicts of one document that are looked at.
const VERDICTS_LIMIT: usize = 1024;

/// Resources that belong to a NUMA node. Disks and links are shared by all nodes.
const LOCAL: &[&str] = &["cpu", "cache", "memory"];

/// The noise of the last windows.
#[derive(Debug, Default)]
pub struct Noise {
    windows: VecDeque<(Instant, BTreeMap<u32, f64>)>,
}

impl Noise {
    /// Takes in the noise of a window that ended about now.
    pub fn note(&mut self, now: Instant, window: BTreeMap<u32, f64>) {
        if self.windows.len() >= WINDOWS {
            self.windows.pop_front();
        }
        self.windows.push_back((now, window));
    }

    /// The noise of each node, in tasks that stand still, on the average over the windows; nodes
    /// without noise are not in it.
    #[must_use]
    pub fn by_node(&self, now: Instant) -> BTreeMap<u32, f64> {
        let fresh = self
            .windows
            .iter()
            .filter(|(at, _)| now.saturating_duration_since(*at) <= MOST_AGE);
        let mut count = 0.0;
        let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
        for (_, nodes) in fresh {
            count += 1.0;
            for (node, harm) in nodes {
                *sums.entry(*node).or_default() += harm;
            }
        }
        sums.into_iter()
            .map(|(node, sum)| (node, (sum / count / LEVEL).floor() * LEVEL))
            .filter(|(_, noise)| *noise > 0.0)
            .collect()
    }
}

/// The noise of each node in the window of `document`, in tasks that stood still; `None` for a window
/// without length. `nodes_of` says on which NUMA nodes a cgroup may run.
#[must_use]
pub fn of_window(
    document: &BlameDocument,
    nodes_of: &dyn Fn(&str) -> BTreeSet<u32>,
) -> Option<BTreeMap<u32, f64>> {
    let seconds = document.window.seconds;
    if !seconds.is_finite() || seconds <= 0.0 {
        return None;
    }
    let mut by_node: BTreeMap<u32, f64> = BTreeMap::new();
    for verdict in document.verdicts.iter().take(VERDICTS_LIMIT) {
        for (node, harm) in harm_by_node(verdict, nodes_of) {
            *by_node.entry(node).or_default() += harm / seconds;
        }
    }
    Some(by_node)
}

/// Seconds of harm that others did, by where it was: the nodes that victim and culprit share, else the
/// victim's. What cannot be placed is left out.
fn harm_by_node(
    verdict: &VerdictDocument,
    nodes_of: &dyn Fn(&str) -> BTreeSet<u32>,
) -> Vec<(u32, f64)> {
    let is_local = LOCAL.contains(&&*verdict.resource);
    let by_others = matches!(&*verdict.cause, "neighbour" | "host");
    if !is_local || !by_others {
        return Vec::new();
    }
    let at = |cgroup: &Option<String>| cgroup.as_deref().map(nodes_of).unwrap_or_default();
    let victims = at(&verdict.victim.cgroup);
    let mut harm = Vec::new();
    for culprit in &verdict.culprits {
        let seconds = culprit.seconds;
        if !seconds.is_finite() || seconds <= 0.0 {
            continue;
        }
        let culprits = at(&culprit.party.cgroup);
        let shared: Vec<u32> = victims.intersection(&culprits).copied().collect();
        let nodes: Vec<u32> = if shared.is_empty() {
            victims.iter().copied().collect()
        } else {
            shared
        };
        let each = seconds / f64::from(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        harm.extend(nodes.into_iter().map(|node| (node, each)));
    }
    harm
}

#[cfg(test)]
mod tests;
