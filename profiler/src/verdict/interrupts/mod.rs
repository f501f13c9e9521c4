//! Interrupts, softirqs and steal: what the kernel and the hypervisor take from those who run.
//!
//! A softirq runs on the back of whoever happens to be on the CPU. Time that it takes for another
//! party's packets is a loss of network service ([`network`]); what it and interrupt handlers take for
//! block requests, or for nobody, is lost CPU time ([`kernel`]); so is what the hypervisor takes
//! ([`steal`]). Two parties whose packets cost each other the same are even: only what one took more
//! than it gave is harm.

mod steal;
mod taken;
mod thresholds;
mod words;

#[cfg(test)]
mod tests;

use dunnage_model::observation::{Fidelity, InterruptKind};
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Coverage, Judgement, Resource};

/// Judges what the softirqs of the network took.
pub(super) fn network(window: &WindowUse) -> Judgement {
    taken::judge(window, Resource::Network, &|kind| {
        kind == InterruptKind::NetworkSoftirq
    })
}

/// Judges what interrupt handlers and the other softirqs took.
pub(super) fn kernel(window: &WindowUse) -> Judgement {
    taken::judge(window, Resource::Cpu, &|kind| {
        kind != InterruptKind::NetworkSoftirq
    })
}

/// Judges what the hypervisor took.
pub(super) fn steal(window: &WindowUse) -> Judgement {
    steal::judge(window)
}

/// Exact where each softirq was accounted for. Queues and drops are another judge's.
pub(super) fn coverage(window: &WindowUse) -> Coverage {
    match window.stalls.interrupts.as_ref().map(|all| all.fidelity) {
        Some(Fidelity::Exact) => Coverage::Exact,
        Some(Fidelity::Sampled(_)) => Coverage::Sampled,
        None => Coverage::None,
    }
}

/// How well CPU time was watched is for the judge of run queues to say.
pub(super) fn of_little_matter(_: &WindowUse) -> Coverage {
    Coverage::None
}
