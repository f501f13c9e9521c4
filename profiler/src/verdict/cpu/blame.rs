//! From rows of waits with blame to verdicts: the one place where somebody is accused.

use super::case::{Case, Limit};
use super::cleared;
use super::quota::{Throttling, throttling};
use super::scene::Scene;
use super::thresholds::{self, Loss};
use crate::verdict::accusation::{can_lose, cause_by};
use crate::verdict::own_work;
use dunnage_model::party::PartyKind;
use dunnage_model::usage::{PartyWait, WindowUse};
use dunnage_model::verdict::{Cause, Judgement};
use std::collections::BTreeMap;

/// Suspects looked at for one victim.
const MOST_SUSPECTS: usize = 64;

/// A victim's wait, sorted by what may be said about those who ran meanwhile. In seconds.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// Behind its own threads.
    pub(super) own: f64,
    /// Behind the kernel, that ran.
    pub(super) kernel: f64,
    /// For a CPU that was idle and woke up: nobody's doing.
    pub(super) waking: f64,
    /// Behind parties within their share.
    pub(super) within: f64,
    /// Behind parties above their share, by cause.
    accused: BTreeMap<Cause, Vec<(usize, f64)>>,
    /// All of the above.
    pub(super) explained: f64,
    /// The rest.
    pub(super) unexplained: f64,
}

impl Split {
    /// The part of the unexplained that goes with `known` seconds.
    fn unexplained_with(&self, known: f64) -> f64 {
        if self.explained > 0.0 {
            self.unexplained * known / self.explained
        } else {
            0.0
        }
    }
}

/// Judges a window with exact or sampled waits.
pub(super) fn judge(window: &WindowUse, waits: &[PartyWait]) -> Judgement {
    let scene = Scene::new(window, waits);
    let mut cases = Vec::new();
    for victim in (0..window.parties.len()).filter(|i| can_lose(window.parties[*i].party.kind)) {
        let throttled = throttling(&scene, victim);
        let loss = scene.loss(victim, throttled.seconds);
        // Also the lowest bar is above this: most parties need no closer look.
        if thresholds::OTHERS.passed(loss.waited, Loss { got: 0.0, ..loss }) {
            cases.extend(cases_of(&scene, victim, &throttled));
        }
    }
    let cleared = cleared::cleared(&scene, &cases);
    Judgement {
        verdicts: cases.into_iter().map(|case| case.verdict(&scene)).collect(),
        cleared,
    }
}

/// All that is to be said of one victim, one case for each cause.
fn cases_of(scene: &Scene<'_>, victim: usize, throttled: &Throttling) -> Vec<Case> {
    let split = split(scene, victim);
    let mut cases: Vec<Case> = [Cause::Neighbour, Cause::Host]
        .into_iter()
        .filter_map(|cause| by_others(scene, victim, cause, &split, throttled))
        .collect();
    cases.extend(by_itself(
        scene,
        victim,
        &split,
        throttled,
        cases.is_empty(),
    ));
    for case in &mut cases {
        case.split = Facts {
            own: split.own,
            kernel: split.kernel,
            within: split.within,
            throttled: throttled.seconds,
        };
    }
    cases
}

/// What a verdict tells of the whole wait, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Behind its own threads.
    pub(super) own: f64,
    /// Behind the kernel.
    pub(super) kernel: f64,
    /// Behind parties within their share.
    pub(super) within: f64,
    /// Held by quotas.
    pub(super) throttled: f64,
}

/// Sorts the blame of a row by who may be accused.
fn split(scene: &Scene<'_>, victim: usize) -> Split {
    let mut split = Split::default();
    let Some(row) = scene.row(victim) else {
        return split;
    };
    split.unexplained = row.unexplained.seconds();
    let mut others: Vec<usize> = row
        .blame
        .iter()
        .map(|(party, _)| *party)
        .filter(|party| *party < scene.window.parties.len())
        .collect();
    others.sort_unstable();
    others.dedup();
    others.sort_by(|a, b| scene.blame(victim, *b).total_cmp(&scene.blame(victim, *a)));
    let at_stake = scene.at_stake(victim);
    let mut suspects = 0;
    for other in others {
        let seconds = scene.blame(victim, other);
        split.explained += seconds;
        let kind = scene.window.parties[other].party.kind;
        if other == victim {
            split.own += seconds;
        } else if kind == PartyKind::Kernel {
            let woke = row.waking.seconds().min(seconds);
            split.kernel += seconds - woke;
            split.waking += woke;
        } else {
            suspects += 1;
            if suspects <= MOST_SUSPECTS && scene.took_from(victim, other, &at_stake) {
                split
                    .accused
                    .entry(cause_by(kind))
                    .or_default()
                    .push((other, seconds));
            } else {
                split.within += seconds;
            }
        }
    }
    split
}

/// The case against other parties for one cause, where there is one.
fn by_others(
    scene: &Scene<'_>,
    victim: usize,
    cause: Cause,
    split: &Split,
    throttled: &Throttling,
) -> Option<Case> {
    let kind = |party: usize| scene.window.parties[party].party.kind;
    let mut case = Case::new(victim, cause);
    for (party, seconds) in split.accused.get(&cause).into_iter().flatten() {
        case.add(*party, *seconds);
    }
    let loss = scene.loss(victim, throttled.seconds);
    let kernel = split.kernel + split.unexplained_with(split.kernel);
    if cause == Cause::Host
        && thresholds::KERNEL.passed(kernel, loss)
        && !has_the_kernel_work(scene, victim)
        && !own_work::goes_with(scene.window, victim, kernel)
        && let Some(party) = the_kernel(scene)
    {
        case.add(party, split.kernel);
    }
    let on_queue = case.known();
    case.unexplained = split.unexplained_with(on_queue);
    case.queued = on_queue + case.unexplained;
    for (party, seconds) in throttled
        .others
        .iter()
        .filter(|(party, _)| cause_by(kind(*party)) == cause)
    {
        case.add(*party, *seconds);
    }
    if case.known() > 2.0 * on_queue {
        case.limit = throttled
            .others_at
            .clone()
            .map_or(Limit::None, Limit::ParentQuota);
        case.trust = throttled.trust;
    }
    // Who is on a CPU while the hypervisor has it does not run, and is charged for those who wait all the
    // same. So a queue must have taken more than the hypervisor could.
    let stolen = scene.stolen().min(case.queued);
    thresholds::OTHERS
        .passed(case.harm() - stolen, loss)
        .then_some(case)
}

/// Whether a party does so much I/O that the kernel's threads work for it, as far as anybody can tell:
/// those that hand requests to a driver do not say whose they are.
fn has_the_kernel_work(scene: &Scene<'_>, party: usize) -> bool {
    let stalls = scene.window.stalls.disk.iter().flatten();
    let own = stalls.filter(|stall| stall.blamed.party == party);
    let requests: u64 = own.map(|stall| stall.requests).sum();
    requests as f64 >= thresholds::MANY_REQUESTS * scene.seconds
}

/// The kernel's place among the parties.
fn the_kernel(scene: &Scene<'_>) -> Option<usize> {
    let mut parties = scene.window.parties.iter();
    parties.position(|user| user.party.kind == PartyKind::Kernel)
}

/// What a party does to itself: its quota, its own threads, or wanting more than its share.
fn by_itself(
    scene: &Scene<'_>,
    victim: usize,
    split: &Split,
    throttled: &Throttling,
    alone: bool,
) -> Option<Case> {
    let claim = &scene.window.parties[victim].claim;
    let mut case = Case::new(victim, Cause::Itself);
    let loss = scene.loss(victim, throttled.seconds);
    let mut largest = 0.0;
    let mut add = |seconds: f64, queued: bool, limit: Limit| {
        let unexplained = if queued {
            split.unexplained_with(seconds)
        } else {
            0.0
        };
        let lost = seconds + unexplained;
        if !thresholds::ITSELF.passed(lost, loss) {
            return false;
        }
        case.add(victim, seconds);
        case.unexplained += unexplained;
        case.queued += if queued { lost } else { 0.0 };
        case.parts.push((limit.clone(), lost));
        if lost > largest {
            largest = lost;
            case.trust = if queued { 1.0 } else { throttled.trust };
            case.limit = limit;
        }
        true
    };
    let quota = throttled
        .own_at
        .clone()
        .map_or(Limit::Quota, Limit::ParentQuota);
    let throttled_itself = add(throttled.own, false, quota);
    let confined = claim
        .cpuset
        .as_ref()
        .is_some_and(|set| set.len() < scene.window.host.cpus as usize);
    add(
        split.own,
        true,
        if confined {
            Limit::Cpuset
        } else {
            Limit::Threads
        },
    );
    // Who has all that its quota allows would gain nothing by a larger share or more CPUs.
    let at_quota = throttled_itself && scene.at_its_quota(victim);
    if alone && !at_quota && scene.at_its_share(victim) {
        add(split.within, true, Limit::Weight);
    }
    // No other limit is worth raising while that one holds.
    if at_quota && throttled.own_at.is_none() {
        case.limit = Limit::Quota;
        case.trust = throttled.trust;
    }
    (case.harm() > 0.0).then_some(case)
}
