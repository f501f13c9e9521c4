//! CPU: who waits for a CPU, and who runs meanwhile with more than its share.
//!
//! The kernel-side accounting says for every victim who ran while it waited. That alone accuses
//! the innocent: on a full CPU everybody waits for everybody. So each wait is held against what
//! victim and suspect were entitled to ([`entitlement`], [`scene`]), and throttling against whose
//! quota it was ([`quota`]). Without the kernel-side part, [`correlated`] judges by pressure.

mod blame;
mod case;
mod cleared;
mod correlated;
mod entitlement;
pub(super) mod knobs;
mod quota;
mod scene;
mod thresholds;
mod words;

#[cfg(test)]
mod tests;

use super::accusation::can_lose;
use dunnage_model::observation::Fidelity;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Coverage, Judgement};

/// Judges the window's CPU time.
pub(super) fn judge(window: &WindowUse) -> Judgement {
    if window.length.0 == 0 {
        return Judgement::default();
    }
    match &window.waits {
        Some(waits) => blame::judge(window, waits),
        None => correlated::judge(window),
    }
}

/// Exact or sampled with the kernel-side accounting; correlated where there are CPU times and CPU
/// pressure of the same cgroup.
pub(super) fn coverage(window: &WindowUse) -> Coverage {
    match (&window.waits, window.fidelity) {
        (Some(_), Fidelity::Exact) => Coverage::Exact,
        (Some(_), Fidelity::Sampled(_)) => Coverage::Sampled,
        (None, _) => {
            let told = window
                .parties
                .iter()
                .any(|p| can_lose(p.party.kind) && p.pressure.cpu_some.is_some());
            if told {
                Coverage::Correlated
            } else {
                Coverage::None
            }
        }
    }
}
