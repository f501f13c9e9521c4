//! Throttled time: whose quota ran out, and who used it up.

use super::entitlement::{Contest, Settlement};
use super::scene::Scene;
use super::thresholds;
use dunnage_model::usage::{CpuClaim, ParentQuota, PartyUse};
use std::sync::Arc;

/// Trust in throttled time that the cgroup's files sum over CPUs, where tasks were not counted.
const SUMMED_OVER_CPUS: f64 = 0.8;

/// Trust in an answer where nothing says which of the quotas ran out.
const WHICH_QUOTA_UNKNOWN: f64 = 0.6;

/// Parties looked at below one parent.
const MOST_SIBLINGS: usize = 256;

/// What a victim lost to quotas.
#[derive(Debug, Default)]
pub(super) struct Throttling {
    /// All of it, in seconds.
    pub(super) seconds: f64,
    /// The part that is the victim's own doing.
    pub(super) own: f64,
    /// The quota that `own` is about: the parent's path, or `None` for the victim's own.
    pub(super) own_at: Option<Arc<str>>,
    /// Seconds by those who used up a parent's quota.
    pub(super) others: Vec<(usize, f64)>,
    /// The parent whose quota it was.
    pub(super) others_at: Option<Arc<str>>,
    /// 0 to 1.
    pub(super) trust: f64,
}

/// Splits a victim's throttled time over its own quota and its parents'.
pub(super) fn throttling(scene: &Scene<'_>, victim: usize) -> Throttling {
    let party = &scene.window.parties[victim];
    let by_tasks = scene.row(victim).map_or(0.0, |row| row.throttled.seconds());
    let by_files = party.cpu.throttled.map_or(0.0, |t| t.seconds());
    let mut found = Throttling {
        seconds: by_tasks,
        trust: 1.0,
        ..Throttling::default()
    };
    if by_tasks <= 0.0 {
        found.seconds = by_files;
        found.trust = SUMMED_OVER_CPUS;
    }
    if found.seconds <= 0.0 {
        return found;
    }
    let own = if own_quota_ran_out(party) {
        by_files.max(1e-9)
    } else {
        0.0
    };
    let parent = party
        .claim
        .parent_quotas
        .iter()
        .find(|quota| quota.throttled.0 > 0);
    let of_parents = parent.map_or(0.0, |quota| quota.throttled.seconds());
    match parent {
        Some(quota) => {
            let theirs = found.seconds * of_parents / (own + of_parents);
            found.own = found.seconds - theirs;
            split_at_parent(scene, victim, quota, theirs, &mut found);
        }
        None if own > 0.0 => found.own = found.seconds,
        None => which_is_unknown(party, &mut found),
    }
    found
}

/// Whether the party has a quota and used it up in some period.
pub(super) fn own_quota_ran_out(party: &PartyUse) -> bool {
    party.claim.quota_cpus.is_some()
        && party
            .cpu
            .throttled_periods
            .is_some_and(|periods| periods > 0)
}

/// The counters say nothing: the nearest quota there is will have been it, and nobody is accused.
fn which_is_unknown(party: &PartyUse, found: &mut Throttling) {
    found.own = found.seconds;
    found.trust *= WHICH_QUOTA_UNKNOWN;
    if party.claim.quota_cpus.is_none() {
        found.own_at = party
            .claim
            .parent_quotas
            .first()
            .map(|quota| quota.path.clone());
    }
}

/// Charges throttling by a parent's quota to those below it that used more than their share of it,
/// in proportion to what they used above it; to the victim where nobody else did.
fn split_at_parent(
    scene: &Scene<'_>,
    victim: usize,
    quota: &ParentQuota,
    seconds: f64,
    found: &mut Throttling,
) {
    let takers = takers(scene, victim, quota);
    let total: f64 = takers.iter().map(|(_, excess)| excess).sum();
    if total > 0.0 {
        found.others = takers
            .iter()
            .map(|(party, excess)| (*party, seconds * excess / total))
            .collect();
        found.others_at = Some(quota.path.clone());
    } else {
        found.own_at = if found.own > seconds {
            None
        } else {
            Some(quota.path.clone())
        };
        found.own += seconds;
    }
}

/// Who used more than its share of a parent's quota, with the seconds above it.
fn takers(scene: &Scene<'_>, victim: usize, quota: &ParentQuota) -> Vec<(usize, f64)> {
    let mut below: Vec<usize> = (0..scene.window.parties.len())
        .filter(|i| {
            *i != victim
                && is_below(
                    scene.window.parties[*i].party.cgroup.as_deref(),
                    &quota.path,
                )
        })
        .filter(|i| scene.ran(*i) > 0.0)
        .collect();
    below.sort_by(|a, b| scene.ran(*b).total_cmp(&scene.ran(*a)));
    below.truncate(MOST_SIBLINGS);
    below.insert(0, victim);

    let used: Vec<f64> = below.iter().map(|i| scene.ran(*i)).collect();
    // What was there to be shared is what was used: the quota, or less where a parent of it was full.
    let mut contest = Contest::new(vec![used.iter().sum()], scene.seconds);
    for party in &below {
        let held = scene.row(*party).map_or(0.0, |row| row.throttled.seconds());
        let claim = below_parent(&scene.window.parties[*party].claim, &quota.path);
        contest.enter(
            &claim,
            scene.ran(*party) + held.max(held_by_files(scene, *party)),
            1.0,
            None,
        );
    }
    let Settlement { fair, .. } = contest.settle();
    if used[0] >= thresholds::DEPRIVED * fair[0] {
        return Vec::new();
    }
    let above = |place: usize| used[place] - fair[place];
    (1..below.len())
        .filter(|place| above(*place) > thresholds::SLICES)
        .map(|place| (below[place], above(place)))
        .collect()
}

/// Throttled time of a party as the files of its cgroup and the parents tell it.
fn held_by_files(scene: &Scene<'_>, party: usize) -> f64 {
    let party = &scene.window.parties[party];
    let parents = party
        .claim
        .parent_quotas
        .iter()
        .map(|quota| quota.throttled.seconds())
        .sum::<f64>();
    parents + party.cpu.throttled.map_or(0.0, |t| t.seconds())
}

/// A claim without the parent's own quota, which is what is being shared here.
fn below_parent(claim: &CpuClaim, parent: &str) -> CpuClaim {
    let mut claim = claim.clone();
    claim.parent_quotas.retain(|quota| &*quota.path != parent);
    claim
}

/// Whether a cgroup lies below `parent` or is it.
fn is_below(cgroup: Option<&str>, parent: &str) -> bool {
    cgroup
        .and_then(|path| path.strip_prefix(parent))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
