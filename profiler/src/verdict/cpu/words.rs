//! Evidence and advice: one sentence each. Names stand as the engine shows them; whoever prints
//! them escapes them. A name becomes part of a command only where a shell reads it as itself.

use super::case::{Case, Limit};
use super::knobs::{limit_knob, weight_knob};
use super::scene::Scene;
use crate::verdict::words::{called, duration};
use dunnage_model::cpuset::CpuSet;
use dunnage_model::party::PartyKind;
use dunnage_model::verdict::Cause;

/// Seconds that would be shown as nought are not said.
const LEAST_SAID: f64 = 0.005;

/// What happened.
pub(super) fn evidence(case: &Case, scene: &Scene<'_>) -> String {
    let victim = called(&scene.window.parties[case.victim].party);
    let window = duration(scene.seconds);
    let waited = scene
        .row(case.victim)
        .map_or(case.harm(), |row| row.wait.seconds());
    let lost = case.parts.iter().find(|(limit, _)| *limit == case.limit);
    let lost = lost.map_or(case.harm() - case.queued, |(_, seconds)| *seconds);
    let first = match (&case.limit, case.cause) {
        (Limit::Quota, _) => {
            let of = quota(case, scene);
            format!("{victim} was held back for {lost:.2} s in {window} by its own quota{of}")
        }
        (Limit::ParentQuota(path), cause) => {
            let who = if cause == Cause::Itself {
                "it used it up itself".to_owned()
            } else {
                used_up(case, scene)
            };
            format!(
                "{victim} was held back for {lost:.2} s in {window} by the quota of {path}; {who}"
            )
        }
        (Limit::Threads | Limit::Cpuset, _) => format!(
            "{victim} waited {waited:.2} s for a CPU in {window}, {lost:.2} s of it behind its own threads: more of them want to run than it has CPUs"
        ),
        (Limit::Weight, _) => format!(
            "{victim} waited {waited:.2} s for a CPU in {window} although nobody took more than their share: it has its share of the full CPUs and wants more"
        ),
        (Limit::None, _) if scene.window.waits.is_none() => {
            let above = case.by_harm();
            let who = above.first().map_or("somebody".to_owned(), |(party, _)| {
                called(&scene.window.parties[*party].party)
            });
            let others = if above.len() > 1 { " and others" } else { "" };
            format!(
                "{victim} was stalled for a CPU for {waited:.2} s in {window} on a full machine, and {who}{others} used more than a fair share; who ran meanwhile was not seen"
            )
        }
        (Limit::None, _) => format!(
            "{victim} waited {waited:.2} s for a CPU in {window}; {}",
            ran_meanwhile(case, scene)
        ),
    };
    first + &besides(case, scene)
}

/// The rest of the harm where it is of several kinds, so that the parts add up to what was lost.
fn besides(case: &Case, scene: &Scene<'_>) -> String {
    let mut text = String::new();
    let rest = case.parts.iter().filter(|(limit, _)| *limit != case.limit);
    for (limit, seconds) in rest {
        text += &match limit {
            Limit::Quota => {
                let of = quota(case, scene);
                format!("; besides, its own quota{of} held it back for {seconds:.2} s")
            }
            Limit::ParentQuota(path) => {
                format!("; besides, the quota of {path} held it back for {seconds:.2} s")
            }
            Limit::Threads | Limit::Cpuset => {
                format!("; besides, it waited {seconds:.2} s behind its own threads")
            }
            Limit::Weight | Limit::None => {
                format!("; besides, it waited {seconds:.2} s behind others within their share")
            }
        };
    }
    if matches!(case.limit, Limit::ParentQuota(_)) && case.cause != Cause::Itself {
        let queued = case.queued;
        if queued >= LEAST_SAID {
            text += &format!("; besides, it waited {queued:.2} s for a CPU while they ran");
        }
    }
    text
}

/// " of 0.50 CPUs".
fn quota(case: &Case, scene: &Scene<'_>) -> String {
    let quota = scene.window.parties[case.victim].claim.quota_cpus;
    quota.map_or_else(String::new, |cpus| format!(" of {cpus:.2} CPUs"))
}

/// "batch ran for 2.90 s of it while over its share".
fn ran_meanwhile(case: &Case, scene: &Scene<'_>) -> String {
    let culprits = case.by_harm();
    let name = |party: usize| called(&scene.window.parties[party].party);
    let kernel = |party: usize| scene.window.parties[party].party.kind == PartyKind::Kernel;
    match culprits.as_slice() {
        [] => "nobody can be named for it".to_owned(),
        [(a, s)] if kernel(*a) => format!("threads of the kernel ran for {s:.2} s of it"),
        [(a, s)] => format!("{} ran for {s:.2} s of it while over its share", name(*a)),
        // The kernel has no share to be over.
        [(a, s), (b, t)] if kernel(*a) => format!(
            "threads of the kernel ran for {s:.2} s of it and {} for {t:.2} s while over its share",
            name(*b)
        ),
        [(a, s), (b, t)] if kernel(*b) => format!(
            "{} ran for {s:.2} s of it while over its share and threads of the kernel for {t:.2} s",
            name(*a)
        ),
        [(a, s), (b, t)] => {
            format!(
                "{} ran for {s:.2} s of it and {} for {t:.2} s while over their share",
                name(*a),
                name(*b)
            )
        }
        [(a, s), rest @ ..] => {
            let others: f64 = rest.iter().map(|(_, seconds)| seconds).sum();
            format!(
                "{} ran for {s:.2} s of it and {} others for {others:.2} s while over their share",
                name(*a),
                rest.len()
            )
        }
    }
}

fn used_up(case: &Case, scene: &Scene<'_>) -> String {
    match case.by_harm().as_slice() {
        [] => "nobody can be named for it".to_owned(),
        [(only, _)] => format!(
            "{} used more than its share of it",
            called(&scene.window.parties[*only].party)
        ),
        [(first, _), ..] => {
            format!(
                "{} and others used more than their share of it",
                called(&scene.window.parties[*first].party)
            )
        }
    }
}

/// What to do about it.
pub(super) fn advice(case: &Case, scene: &Scene<'_>) -> String {
    let victim = &scene.window.parties[case.victim];
    let layout = scene.window.host.cgroup;
    let name = called(&victim.party);
    match &case.limit {
        Limit::Quota => {
            let more = 2.0 * victim.claim.quota_cpus.unwrap_or(0.5).clamp(0.05, 4096.0);
            format!(
                "raise the CPU limit of {name} ({}), or let it do less",
                limit_knob(&victim.party, more, layout)
            )
        }
        Limit::ParentQuota(path) if case.cause == Cause::Itself => {
            format!("raise cpu.max of {path}, or let {name} do less")
        }
        Limit::ParentQuota(path) => match case.by_harm().first() {
            Some((culprit, _)) => {
                let culprit = called(&scene.window.parties[*culprit].party);
                format!(
                    "give {culprit} a limit of its own below {path}, or raise cpu.max of {path}"
                )
            }
            None => format!("raise cpu.max of {path}"),
        },
        Limit::Threads => format!("let {name} run fewer threads at once, or add CPUs"),
        Limit::Cpuset => format!("let {name} run fewer threads at once, or widen its cpuset"),
        Limit::Weight => {
            format!(
                "raise the weight of {name} ({}), or add CPUs",
                weight_knob(victim, layout)
            )
        }
        Limit::None => restrain(case, scene),
    }
}

/// How to restrain the one that does most harm.
fn restrain(case: &Case, scene: &Scene<'_>) -> String {
    let Some((culprit, _)) = case.by_harm().first().copied() else {
        return "watch a longer window".to_owned();
    };
    let party = &scene.window.parties[culprit].party;
    let shared = shared_cpus(case.victim, culprit, scene);
    if party.kind == PartyKind::Kernel {
        let there = if shared.is_empty() {
            "the victim's CPUs".to_owned()
        } else {
            format!("CPUs {shared}")
        };
        return format!(
            "see in top which thread of the kernel is busy on {there}; keep workers off them \
             (/sys/devices/virtual/workqueue/cpumask), move the interrupt behind a ksoftirqd \
             (/proc/irq/N/smp_affinity_list), or move the victim to another CPU"
        );
    }
    let name = called(party);
    let share = scene.fair(culprit).unwrap_or(0.0) / scene.seconds;
    let knob = limit_knob(party, share, scene.window.host.cgroup);
    let elsewhere = if shared.is_empty() || shared.len() >= scene.window.host.cpus as usize {
        String::new()
    } else {
        format!(", or move it off CPUs {shared}")
    };
    format!("give {name} a CPU limit ({knob}) or fewer shares{elsewhere}")
}

/// The CPUs on which one waited and the other ran.
fn shared_cpus(victim: usize, culprit: usize, scene: &Scene<'_>) -> CpuSet {
    let waited = &scene.window.parties[victim].cpu.cpus;
    let ran = &scene.window.parties[culprit].cpu.cpus;
    let waited = waited.iter().filter(|on| on.wait.0 > 0).map(|on| on.cpu);
    waited
        .filter(|cpu| ran.iter().any(|on| on.cpu == *cpu && on.run.0 > 0))
        .collect()
}
