//! What each party is entitled to: weighted max-min fairness over the tree of cgroups.
//!
//! A contest knows the CPUs' capacity and, for each claimant, what it wants, on which CPUs it may
//! run, its chain of weights and its quotas. It is settled as the scheduler's own ideal would:
//! every CPU is dealt out in small slices, each to the branch that has least for its weight, level
//! by level down to a claimant that still wants time. What a branch does not want goes to the rest.
//!
//! Two single parties are compared by what they have on all CPUs: whoever is confined to one CPU
//! has a claim on it before one that can run elsewhere. A branch with several parties in it is
//! compared by what it has on the CPU at stake: a container is not answerable for the CPU time of
//! another that merely has the same parent and runs elsewhere.
//!
//! Weights and quotas: `Documentation/admin-guide/cgroup-v2.rst`, `cpu.weight` and `cpu.max`.

use super::thresholds;
use dunnage_model::usage::CpuClaim;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// The default weight on the v2 scale.
const DEFAULT_WEIGHT: f64 = 100.0;

/// Slices dealt out in one settlement, over all CPUs. Bounds the work on large machines.
const SLICES: usize = 20_000;

/// Less than this many seconds is nothing.
const NOTHING: f64 = 1e-9;

/// Claimants that compete for CPUs.
#[derive(Clone, Debug, Default)]
pub(super) struct Contest {
    /// Seconds to be had on each CPU.
    capacity: Vec<f64>,
    /// The window's length, which turns quotas in CPUs into seconds.
    seconds: f64,
    /// For how long the contest lasted: the window, or a stretch of it.
    lasted: f64,
    nodes: Vec<Node>,
    by_path: HashMap<Arc<str>, usize>,
    claimants: Vec<Claimant>,
}

/// A cgroup, or the tasks that sit directly in it.
#[derive(Clone, Debug)]
struct Node {
    weight: f64,
    /// Seconds that its quota allows.
    cap: f64,
    /// Claimants below it.
    claimants: usize,
}

#[derive(Clone, Debug)]
struct Claimant {
    /// From below the root down; the last node is the claimant's alone.
    chain: Vec<usize>,
    want: f64,
    /// Indices into the capacity; `None` for all.
    cpus: Option<Vec<bool>>,
    /// Its cpuset keeps it to fewer CPUs than there are.
    confined: bool,
}

/// What a contest comes to.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    /// Seconds each claimant is entitled to.
    pub(super) fair: Vec<f64>,
    /// Seconds by node.
    service: Vec<f64>,
    /// Seconds by node and CPU, the CPUs of a node side by side.
    on_cpu: Vec<f64>,
}

impl Contest {
    /// A contest over CPUs with `capacity` seconds each, in a window of `seconds`.
    pub(super) fn new(capacity: Vec<f64>, seconds: f64) -> Contest {
        Contest {
            capacity,
            seconds,
            lasted: seconds,
            ..Contest::default()
        }
    }

    /// A contest over one CPU in stretches of a window that come to `length` seconds.
    pub(super) fn in_stretches(length: f64, seconds: f64) -> Contest {
        Contest {
            lasted: length,
            ..Contest::new(vec![length], seconds)
        }
    }

    /// Adds a claimant that wants `want` seconds on `cpus` (`None` for all) and has `tasks` tasks
    /// that do; returns its number.
    pub(super) fn enter(
        &mut self,
        claim: &CpuClaim,
        want: f64,
        tasks: f64,
        cpus: Option<Vec<bool>>,
    ) -> usize {
        let mut chain: Vec<usize> = Vec::with_capacity(claim.weights.len() + 1);
        for level in &claim.weights {
            let node = self.node(&level.path, level.weight);
            if !chain.contains(&node) {
                chain.push(node);
            }
            if let Some(quota) = claim.parent_quotas.iter().find(|q| q.path == level.path) {
                self.nodes[node].cap = self.nodes[node].cap.min(self.cap(quota.cpus));
            }
        }
        let cap = claim
            .quota_cpus
            .map_or(f64::INFINITY, |cpus| cpus.max(0.0) * self.seconds);
        chain.push(self.nodes.len());
        // Tasks beside child cgroups, and those of the root, compete one by one.
        self.nodes.push(Node {
            weight: DEFAULT_WEIGHT * tasks.clamp(1.0, 4096.0),
            cap,
            claimants: 0,
        });
        for node in &chain {
            self.nodes[*node].claimants += 1;
        }
        self.claimants.push(Claimant {
            chain,
            want: want.max(0.0),
            cpus,
            confined: claim
                .cpuset
                .as_ref()
                .is_some_and(|set| !set.is_empty() && set.len() < self.capacity.len()),
        });
        self.claimants.len() - 1
    }

    /// The same contest, of claimants who want what `want` says of each.
    pub(super) fn wanting(&self, want: impl Fn(usize) -> f64) -> Contest {
        let mut other = self.clone();
        for (who, claimant) in other.claimants.iter_mut().enumerate() {
            claimant.want = want(who).max(0.0);
        }
        other
    }

    /// A quota in seconds; what is no quota holds nobody back.
    fn cap(&self, cpus: f64) -> f64 {
        if cpus > 0.0 {
            cpus * self.seconds
        } else {
            f64::INFINITY
        }
    }

    fn node(&mut self, path: &Arc<str>, weight: f64) -> usize {
        if let Some(node) = self.by_path.get(path) {
            return *node;
        }
        let weight = if weight.is_finite() && weight > 0.0 {
            weight
        } else {
            DEFAULT_WEIGHT
        };
        self.nodes.push(Node {
            weight,
            cap: f64::INFINITY,
            claimants: 0,
        });
        self.by_path.insert(path.clone(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Deals out the capacity.
    pub(super) fn settle(&self) -> Settlement {
        let mut settled = Settlement {
            fair: vec![0.0; self.claimants.len()],
            service: vec![0.0; self.nodes.len()],
            on_cpu: vec![0.0; self.nodes.len() * self.capacity.len()],
        };
        let mut eligible: Vec<Vec<usize>> = (0..self.capacity.len())
            .map(|cpu| {
                (0..self.claimants.len())
                    .filter(|who| self.claimants[*who].may_use(cpu))
                    .collect()
            })
            .collect();
        let slices = (SLICES / self.capacity.len().max(1)).clamp(10, 400);
        for _ in 0..slices {
            for (cpu, capacity) in self.capacity.iter().enumerate() {
                let slice = capacity / slices as f64;
                self.deal(cpu, &mut eligible[cpu], slice, &mut settled);
            }
        }
        settled
    }

    /// Gives one slice of a CPU away, in parts where the first in line wants less. Whoever has all it
    /// may have never wants again, and is not looked at again.
    fn deal(&self, cpu: usize, eligible: &mut Vec<usize>, slice: f64, settled: &mut Settlement) {
        let mut left = slice;
        while left > NOTHING {
            eligible.retain(|who| self.room(*who, settled) > NOTHING);
            let next = eligible
                .iter()
                .copied()
                .min_by(|a, b| self.first_in_line(cpu, *a, *b, settled));
            let Some(who) = next else { return };
            let part = left.min(self.room(who, settled));
            settled.fair[who] += part;
            for node in &self.claimants[who].chain {
                settled.service[*node] += part;
                settled.on_cpu[node * self.capacity.len() + cpu] += part;
            }
            left -= part;
        }
    }

    /// How much more it wants and its quotas allow.
    fn room(&self, who: usize, settled: &Settlement) -> f64 {
        let claimant = &self.claimants[who];
        claimant
            .chain
            .iter()
            .map(|node| self.nodes[*node].cap - settled.service[*node])
            .fold(claimant.want - settled.fair[who], f64::min)
    }

    /// The branch with less for its weight comes first, compared where the two chains part.
    fn first_in_line(&self, cpu: usize, a: usize, b: usize, settled: &Settlement) -> Ordering {
        let Some((a, b)) = self.parting(a, b) else {
            return a.cmp(&b);
        };
        let single = self.single(a, b);
        let for_weight = |node: usize| {
            let has = if single {
                settled.service[node]
            } else {
                settled.on_cpu[node * self.capacity.len() + cpu]
            };
            has / self.nodes[node].weight
        };
        for_weight(a).total_cmp(&for_weight(b)).then(a.cmp(&b))
    }

    /// Whether each of two branches is a single party.
    fn single(&self, a: usize, b: usize) -> bool {
        self.nodes[a].claimants == 1 && self.nodes[b].claimants == 1
    }

    /// The nodes at which the chains of two claimants part.
    fn parting(&self, a: usize, b: usize) -> Option<(usize, usize)> {
        let pairs = self.claimants[a].chain.iter().zip(&self.claimants[b].chain);
        pairs.map(|(a, b)| (*a, *b)).find(|(a, b)| a != b)
    }

    /// What the branches of `a` and `b` used for their weights, compared where they part. `used` and
    /// `at_stake` have an entry for each claimant: its use in all and on the CPUs at stake.
    pub(super) fn use_for_weight(
        &self,
        a: usize,
        b: usize,
        used: &[f64],
        at_stake: &[f64],
    ) -> (f64, f64) {
        let Some((a, b)) = self.parting(a, b) else {
            return (0.0, 0.0);
        };
        let used = if self.single(a, b) { used } else { at_stake };
        (self.of_branch(a, used), self.of_branch(b, used))
    }

    /// The same on the CPUs at stake alone.
    pub(super) fn use_for_weight_there(&self, a: usize, b: usize, at_stake: &[f64]) -> (f64, f64) {
        let Some((a, b)) = self.parting(a, b) else {
            return (0.0, 0.0);
        };
        (self.of_branch(a, at_stake), self.of_branch(b, at_stake))
    }

    /// What all below a node used for its weight.
    fn of_branch(&self, node: usize, used: &[f64]) -> f64 {
        let of_node = self
            .claimants
            .iter()
            .zip(used)
            .filter(|(c, _)| c.chain.contains(&node));
        of_node.map(|(_, used)| used).sum::<f64>() / self.nodes[node].weight
    }

    /// Whether it is a quota that keeps `who` at its entitlement, one that `other` is not under.
    pub(super) fn held_by_quota(&self, who: usize, other: usize, settled: &Settlement) -> bool {
        let shared = &self.claimants[other].chain;
        self.claimants[who]
            .chain
            .iter()
            .filter(|node| !shared.contains(node))
            .any(|node| settled.service[*node] >= 0.99 * self.nodes[*node].cap)
    }

    /// Whether a claimant may run on more than one CPU.
    pub(super) fn on_several(&self, who: usize) -> bool {
        (0..self.capacity.len())
            .filter(|cpu| self.claimants[who].may_use(*cpu))
            .nth(1)
            .is_some()
    }

    /// Whether a cpuset keeps a claimant to fewer CPUs than there are. Else the scheduler chose the CPUs
    /// on which it was seen, and may choose others.
    pub(super) fn confined(&self, who: usize) -> bool {
        self.claimants[who].confined
    }

    /// Whether a use above a share is no more than whole threads on whole CPUs make of that share: so
    /// many as it has CPUs, rounded up.
    pub(super) fn is_placement(&self, who: usize, used: f64, fair: f64) -> bool {
        let whole = (fair / self.seconds - thresholds::OF_A_CPU).ceil();
        let all = whole * self.seconds;
        self.claimants[who].want <= all * (1.0 + thresholds::OF_A_CPU) && used <= all
    }

    /// Whether a claimant does not want the CPU all the time. What it wants is then known less well: it
    /// is what it had and waited, though with less waiting it would not have had more.
    pub(super) fn rests(&self, who: usize) -> bool {
        self.claimants[who].want < thresholds::ALL_THE_TIME * self.lasted
    }

    /// Whether a claimant has all that it wants.
    pub(super) fn satisfies(&self, who: usize, settled: &Settlement) -> bool {
        settled.fair[who] >= thresholds::SATISFIED * self.want(who)
    }

    /// What a claimant wants, in seconds.
    pub(super) fn want(&self, who: usize) -> f64 {
        self.claimants[who].want
    }
}

impl Claimant {
    fn may_use(&self, cpu: usize) -> bool {
        self.cpus
            .as_ref()
            .is_none_or(|cpus| cpus.get(cpu).copied().unwrap_or(false))
    }
}
