//! Limits that belong to no other resource's judge: `pids.max`.
//!
//! The contract has no resource of tasks. A task that was not allowed to be gets no CPU time, so
//! that this is told as `cpu`, of the victim's own doing, with `facts.limit` saying `pids.max`.

use super::accusation::{Accusation, can_lose};
use super::confidence::Grounds;
use super::words::{called, duration, handle, place};
use dunnage_model::party::Party;
use dunnage_model::usage::{RefusedForks, WindowUse};
use dunnage_model::verdict::{Cause, Coverage, Fact, Judgement, Resource, Verdict};
use std::collections::BTreeMap;

/// Trust in the count, which is the kernel's own. That the fork was worth something to the party,
/// and not an attempt that it can do without, is what is not known.
const TRUST: f64 = 0.9;

/// Everybody whose forks were refused.
pub(super) fn judge(window: &WindowUse) -> Judgement {
    let rows = window.stalls.forks.iter().flatten();
    Judgement {
        verdicts: rows.filter_map(|row| verdict(window, row)).collect(),
        cleared: Vec::new(),
    }
}

/// Nothing is said here about how well CPU time was watched.
pub(super) fn coverage(_window: &WindowUse) -> Coverage {
    Coverage::None
}

fn verdict(window: &WindowUse, row: &RefusedForks) -> Option<Verdict> {
    let user = window.parties.get(row.party)?;
    if !can_lose(user.party.kind) || row.refused == 0 || window.length.0 == 0 {
        return None;
    }
    let name = called(&user.party);
    let seconds = window.length.seconds();
    let number = |count: u64| Fact::Number(count as f64);
    let accusation = Accusation {
        victim: row.party,
        resource: Resource::Cpu,
        cause: Cause::Itself,
        // How long a task that never was would have run is not known. That at least one was missing
        // is: it is counted as one task's time, however many forks were refused.
        culprits: vec![(row.party, seconds)],
        unexplained: 0.0,
        got: user.cpu.usage.seconds(),
        grounds: Grounds::of(TRUST),
        facts: BTreeMap::from([
            ("limit", Fact::Text("pids.max".to_owned())),
            ("limit_tasks", number(row.limit)),
            ("forks_refused", number(row.refused)),
        ]),
    };
    let (forks, were) = if row.refused == 1 {
        ("fork", "was")
    } else {
        ("forks", "were")
    };
    let evidence = format!(
        "{} {forks} of {name} {were} refused in {}: it has all the {} tasks that its limit allows",
        row.refused,
        duration(seconds),
        row.limit
    );
    Some(accusation.verdict(window, evidence, advice(&user.party, row)))
}

/// The command or the file that raises the limit.
fn advice(party: &Party, row: &RefusedForks) -> String {
    let more = row.limit.saturating_mul(2).max(1);
    let own = party.cgroup.as_deref() == Some(&*row.cgroup);
    let knob = match (party.engine.as_deref(), handle(party)) {
        _ if party.pod.is_some() => "podPidsLimit of the kubelet".to_owned(),
        (Some("docker"), Some(name)) if own => format!("docker update --pids-limit {more} {name}"),
        (Some("podman"), Some(name)) if own => format!("podman update --pids-limit {more} {name}"),
        (Some("systemd"), Some(unit)) if own => {
            format!("systemctl set-property {unit} TasksMax={more}")
        }
        _ if own => format!("pids.max of {}", place(party)),
        _ => format!("pids.max of cgroup {}", row.cgroup),
    };
    format!(
        "raise the limit on tasks of {} ({knob}), or let it start fewer",
        called(party)
    )
}

#[cfg(test)]
mod tests;
