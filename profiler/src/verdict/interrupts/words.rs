//! Evidence and advice: one sentence each. Names stand as the engine shows them; whoever prints
//! them escapes them.

use super::taken::Loss;
use super::thresholds;
use crate::verdict::accusation::Accusation;
use crate::verdict::words::{called, duration, handle};
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::Fidelity;
use dunnage_model::party::PartyKind;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Cause, Resource};

/// What to do about steal: nothing inside of the machine helps.
pub(super) const STEAL_ADVICE: &str = "ask the hypervisor's operator for CPUs of one's own: pinned virtual CPUs (virsh vcpupin), more \
     cpu_shares (virsh schedinfo) or no CPU credits or caps; in a cloud, an instance type with dedicated CPUs";

fn name(window: &WindowUse, party: usize) -> String {
    called(&window.parties[party].party)
}

/// What was taken, in words.
fn work(resource: Resource) -> &'static str {
    match resource {
        Resource::Network => "softirqs that handled packets",
        _ => "interrupts and softirqs",
    }
}

/// What happened.
pub(super) fn evidence(case: &Accusation, loss: &Loss, window: &WindowUse) -> String {
    let victim = name(window, case.victim);
    let (work, length) = (work(case.resource), duration(window.length.seconds()));
    let lost = case.harm();
    if case.cause == Cause::Itself {
        let whose = if case.resource == Resource::Network {
            "its own packets"
        } else {
            "its own requests"
        };
        let sampled = sampled(window);
        return format!(
            "{work} took {lost:.2} s of the CPU time of {victim} in {length}, for {whose}{sampled}"
        );
    }
    let all = loss.all;
    let whose: Vec<String> = case
        .by_harm()
        .into_iter()
        .take(3)
        .map(|(party, seconds)| match window.parties[party].party.kind {
            PartyKind::Kernel => format!("{seconds:.2} s of it for nobody who is known"),
            _ => format!(
                "{seconds:.2} s of it for {}",
                called(&window.parties[party].party)
            ),
        })
        .collect();
    format!(
        "{work} took {all:.2} s from {victim} while it ran, in {length}; {}{}",
        whose.join(", "),
        sampled(window)
    )
}

/// How much of the window was watched, where that was not all.
fn sampled(window: &WindowUse) -> String {
    match window.stalls.interrupts.as_ref().map(|all| all.fidelity) {
        Some(Fidelity::Sampled(share)) => {
            format!(
                " (by the {:.0} % of the time that were watched)",
                share * 100.0
            )
        }
        _ => String::new(),
    }
}

/// What to do about it.
pub(super) fn advice(case: &Accusation, window: &WindowUse) -> String {
    let first = case.by_harm().first().map(|(party, _)| *party);
    let culprit = first.map_or_else(String::new, |party| name(window, party));
    let by_kernel =
        first.is_some_and(|party| window.parties[party].party.kind == PartyKind::Kernel);
    let cpus: CpuSet = window.parties[case.victim]
        .cpu
        .cpus
        .iter()
        .map(|on| on.cpu)
        .collect();
    match (case.cause, case.resource) {
        (Cause::Itself, Resource::Network) => {
            "send fewer and larger packets, or spread them over more CPUs \
             (/sys/class/net/*/queues/rx-*/rps_cpus)"
                .to_owned()
        }
        (Cause::Itself, _) => "send fewer and larger requests".to_owned(),
        _ if by_kernel => format!(
            "see in /proc/interrupts and /proc/softirqs what CPUs {cpus} are busy with, and move that \
             interrupt (/proc/irq/N/smp_affinity_list) or the victim to another CPU"
        ),
        (_, Resource::Network) => format!(
            "steer the packets of {culprit} off CPUs {cpus} (/sys/class/net/*/queues/rx-*/rps_cpus, \
             /proc/irq/N/smp_affinity_list){}, or limit what it sends (tc qdisc add dev ITS_INTERFACE root tbf)",
            elsewhere(case, window)
        ),
        _ => format!(
            "move the disk's interrupt off CPUs {cpus} (/proc/irq/N/smp_affinity_list), or limit the \
             requests of {culprit} (io.max, blkio.throttle)"
        ),
    }
}

/// The command that takes the victim out of the way, where its engine has one.
fn elsewhere(case: &Accusation, window: &WindowUse) -> String {
    let victim = &window.parties[case.victim].party;
    match (victim.engine.as_deref(), handle(victim)) {
        (Some(engine @ ("docker" | "podman")), Some(handle)) => {
            format!(", move the victim ({engine} update --cpuset-cpus CPUS {handle})")
        }
        _ => String::new(),
    }
}

/// Why a party for which the kernel worked for `seconds` is not accused; others lost `taken`.
pub(super) fn innocent(resource: Resource, seconds: f64, taken: f64) -> String {
    let what = match resource {
        Resource::Network => "its packets were handled",
        _ => "its interrupts ran",
    };
    if taken < thresholds::HIT_NOBODY * seconds {
        format!("{what} for {seconds:.2} s while nobody else ran on those CPUs")
    } else {
        format!("{what} for {seconds:.2} s, which took too little from anybody to be harm")
    }
}

/// What the hypervisor did.
pub(super) fn stolen(window: &WindowUse, victim: usize, lost: f64) -> String {
    format!(
        "the hypervisor took CPUs away for {:.2} s in {}, and {} lost {lost:.2} s of it by what it ran there",
        window.machine.steal.seconds(),
        duration(window.length.seconds()),
        name(window, victim)
    )
}
