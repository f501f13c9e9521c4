//! What a party lost for want of memory, and to which limit.

use super::thresholds::STREAMS;
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
    /// Beyond that, as pressure and the block devices tell: reading again what was thrown out, swapping
    /// in, being slowed down above memory.high.
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
    let again = |at: usize| {
        let limit = memory.limits.get(at);
        limit.map_or(0.0, |limit| read_again(window, limit, victim))
    };
    if stalled > 0.0 {
        for (at, loss) in &mut losses {
            loss.beyond = beyond.max(again(*at)) * loss.stall / stalled;
        }
    } else if let Some(at) = likeliest(memory, victim) {
        let lost = beyond.max(again(at));
        if lost > 0.0 {
            losses.entry(at).or_insert_with(|| new(at)).beyond = lost;
        }
    }
    for kill in memory.kills.iter().filter(|kill| kill.party == victim) {
        let at = kill
            .limit
            .or_else(|| likeliest(memory, victim))
            .unwrap_or(memory.limits.len());
        let loss = losses.entry(at).or_insert_with(|| new(at));
        loss.kills += 1;
        // What the process did in the window until then is as lost as what it would have done. Those that
        // follow each other were not there at once: that one was missing is certain, however many were.
        loss.killed = seconds;
        loss.command = loss.command.take().or_else(|| kill.command.clone());
    }
    losses.into_values().collect()
}

/// Seconds in which a party waited for block devices to read again what it had lost in a limit that it
/// shares. Pressure counts such waits for pages alone that were in use often before they were thrown
/// out. Who reads again several times what it has streams, and would read it in any case; so does who
/// meets a limit of its own, or the machine's, for its files are larger than those.
fn read_again(window: &WindowUse, limit: &MemoryLimit, victim: usize) -> f64 {
    let share = limit.sharers.iter().find(|share| share.party == victim);
    let shared = limit.own != Some(victim) && limit.kind != LimitKind::Machine;
    let Some(share) = share.filter(|_| shared) else {
        return 0.0;
    };
    let again = share.refaulted.0 as f64;
    if again > share.used.0 as f64 * STREAMS {
        return 0.0;
    }
    let stalls = window.stalls.disk.iter().flatten();
    let (waiting, moved) = stalls.filter(|stall| stall.blamed.party == victim).fold(
        (0.0, 0.0),
        |(waiting, moved), stall| {
            let seconds = stall.waiting.seconds();
            (waiting + seconds, moved + stall.bytes.0 as f64)
        },
    );
    let part = if moved > 0.0 { again / moved } else { 0.0 };
    waiting.min(window.length.seconds()) * part.min(1.0)
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
