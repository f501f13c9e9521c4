//! What limits one party: the reverse diagnosis, resource by resource.
//!
//! List the outcomes and work back to the metrics (Gregg, "Container Performance Analysis",
//! DockerCon 2017): its own cap, its share beside others, the machine, the hypervisor, or nothing.
//! Each resource has a file with its facts, a pure decision on them ([`cpu::decide`] and its like),
//! and the words. That a use equals a cap is never a clue: only time lost to it is.

mod cpu;
mod disk;
mod memory;
mod network;
mod others;
mod scene;
mod thresholds;
mod view;

#[cfg(test)]
mod tests;

use dunnage_model::observation::CloseUp;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Coverage, Judgement, Resource};
use dunnage_model::why::Why;
use scene::Scene;
use std::collections::BTreeMap;

/// What limits the party with this key in `window`; `None` where it has no such party.
///
/// Pure: a recorded window gives the answer of a live one.
#[must_use]
pub fn why(
    window: &WindowUse,
    key: &str,
    judgement: &Judgement,
    coverage: &BTreeMap<Resource, Coverage>,
    close: &CloseUp,
) -> Option<Why> {
    let scene = Scene::of(window, key, judgement, coverage, close)?;
    let mut answers = vec![
        cpu::answer(&scene),
        memory::answer(&scene),
        disk::answer(&scene),
        network::answer(&scene),
    ];
    answers.extend(others::answers(&scene));
    Some(Why {
        party: scene.user().party.clone(),
        answers,
        view: view::mismatches(&scene),
    })
}
