//! What a party lost for want of memory, and to which limit.

use dunnage_model::usage::{LimitKind, MemoryLimit, MemoryStalls, WindowUse};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One victim, one limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss {
    /// Index of the party.
    pub(super) victim: usize,
    /// Index of the limit; past the end where it is not known.
    pub(super) limit: usize,
    /// Task-seconds in reclaim.
    pub(super) stall: f64,
    /// What pressure tells beyond that: reading again what was thrown out, swapping in, being slowed
    /// down above memory.high.
    pub(super) beyond: f64,
    /// Processes killed.
    pub(super) kills: usize,
    /// Task-seconds that the kills cost.
    pub(super) killed: f64,
    /// The command of the process that was killed first.
    pub(super) command: Option<Arc<str>>,
}

impl Loss {
    /// All of it.
    pub(super) fn seconds(&self) -> f64 {
        self.stall + self.beyond + self.killed
    }
}

/// The losses of one party, one a limit.
pub(super) fn losses(window: &WindowUse, memory: &MemoryStalls, victim: usize) -> Vec<Loss> {
    let seconds = window.length.seconds();
    let mut losses: BTreeMap<usize, Loss> = BTreeMap::new();
    let new = |limit| Loss {
        victim,
        limit,
        ..Loss::default()
    };
    for (at, limit) in memory.limits.iter().enumerate() {
        let stall = stall(limit, victim);
        if stall > 0.0 {
            losses.entry(at).or_insert_with(|| new(at)).stall = stall;
        }
    }
    let stalled: f64 = losses.values().map(|loss| loss.stall).sum();
    // Some task was stalled for this long: no less was lost. The tasks' own times are no more than
    // it where only one waits at a time.
    let pressure = window.parties[victim]
        .pressure
        .memory_some
        .filter(|share| share.is_finite() && *share > 0.0 && !holds_others(window, victim))
        .map_or(0.0, |share| share.clamp(0.0, 1.0) * seconds);
    let beyond = (pressure - stalled).max(0.0);
    if stalled > 0.0 {
        for loss in losses.values_mut() {
            loss.beyond = beyond * loss.stall / stalled;
        }
    } else if beyond > 0.0
        && let Some(at) = likeliest(memory, victim)
    {
        losses.entry(at).or_insert_with(|| new(at)).beyond = beyond;
    }
    for kill in memory.kills.iter().filter(|kill| kill.party == victim) {
        let at = kill
            .limit
            .or_else(|| likeliest(memory, victim))
            .unwrap_or(memory.limits.len());
        let loss = losses.entry(at).or_insert_with(|| new(at));
        loss.kills += 1;
        // What the process did in the window until then is as lost as what it would have done.
        loss.killed += seconds;
        loss.command = loss.command.take().or_else(|| kill.command.clone());
    }
    losses.into_values().collect()
}

/// Whether other parties live below a party's cgroup: its pressure is theirs too.
fn holds_others(window: &WindowUse, party: usize) -> bool {
    let Some(root) = window.parties[party].party.cgroup.as_deref() else {
        return true;
    };
    window.parties.iter().enumerate().any(|(other, user)| {
        let below = user
            .party
            .cgroup
            .as_deref()
            .and_then(|path| path.strip_prefix(root));
        other != party && below.is_some_and(|rest| rest.starts_with('/'))
    })
}

fn stall(limit: &MemoryLimit, party: usize) -> f64 {
    limit
        .sharers
        .iter()
        .filter(|share| share.party == party)
        .map(|share| share.stall.seconds())
        .sum()
}

/// The limit that a party without stalls of its own met most likely: the closest one that was full.
fn likeliest(memory: &MemoryStalls, party: usize) -> Option<usize> {
    let near = |limit: &MemoryLimit| {
        let depth = limit
            .path
            .as_deref()
            .map_or(0, |path| path.split('/').count());
        (
            limit.own == Some(party),
            limit.kind != LimitKind::Machine,
            depth,
        )
    };
    memory
        .limits
        .iter()
        .enumerate()
        .filter(|(_, limit)| limit.sharers.iter().any(|share| share.party == party))
        .max_by_key(|(_, limit)| near(limit))
        .map(|(at, _)| at)
}
