//! Evidence and advice: one sentence each. Names stand as the engine shows them; whoever prints
//! them escapes them. A name becomes part of a command only where a shell reads it as itself.

use super::case::{Case, Limit};
use super::scene::Scene;
use crate::verdict::words::{called, duration, handle, place};
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::CgroupLayout;
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::verdict::Cause;

/// The least limit that is worth advising, in CPUs.
const LEAST_CPUS: f64 = 0.1;

/// What happened.
pub(super) fn evidence(case: &Case, scene: &Scene<'_>) -> String {
    let victim = called(&scene.window.parties[case.victim].party);
    let window = duration(scene.seconds);
    let waited = scene
        .row(case.victim)
        .map_or(case.harm(), |row| row.wait.seconds());
    let lost = case.harm();
    let quota =
        |cpus: Option<f64>| cpus.map_or_else(String::new, |cpus| format!(" of {cpus:.2} CPUs"));
    let claim = &scene.window.parties[case.victim].claim;
    match (&case.limit, case.cause) {
        (Limit::Quota, _) => {
            let of = quota(claim.quota_cpus);
            format!(
                "{victim} was held back for {:.2} s in {window} by its own quota{of}",
                case.split.throttled
            )
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
    }
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
                weight_knob(&victim.party, layout)
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

/// The command or the file that limits a party to `cpus`.
fn limit_knob(party: &Party, cpus: f64, layout: CgroupLayout) -> String {
    let cpus = (cpus.max(LEAST_CPUS) * 10.0).round() / 10.0;
    if party.pod.is_some() {
        return format!("resources.limits.cpu: \"{cpus}\" in its pod");
    }
    let handle = handle(party);
    match (party.engine.as_deref(), handle) {
        (Some("docker"), Some(handle)) => format!("docker update --cpus {cpus} {handle}"),
        (Some("podman"), Some(handle)) => format!("podman update --cpus {cpus} {handle}"),
        (Some("systemd"), Some(unit)) => format!(
            "systemctl set-property {unit} CPUQuota={:.0}%",
            cpus * 100.0
        ),
        _ => format!(
            "{} of {}",
            if layout == CgroupLayout::V2 {
                "cpu.max"
            } else {
                "cpu.cfs_quota_us"
            },
            place(party)
        ),
    }
}

/// The command or the file that raises a party's weight.
fn weight_knob(party: &Party, layout: CgroupLayout) -> String {
    if party.pod.is_some() {
        return "resources.requests.cpu in its pod".to_owned();
    }
    match (party.engine.as_deref(), handle(party)) {
        (Some("docker"), Some(handle)) => format!("docker update --cpu-shares 2048 {handle}"),
        (Some("podman"), Some(handle)) => format!("podman update --cpu-shares 2048 {handle}"),
        (Some("systemd"), Some(unit)) => format!("systemctl set-property {unit} CPUWeight=200"),
        _ => format!(
            "{} of {}",
            if layout == CgroupLayout::V2 {
                "cpu.weight"
            } else {
                "cpu.shares"
            },
            place(party)
        ),
    }
}
