//! Those who look guilty and are not, with the reason.

use super::case::Case;
use super::quota;
use super::scene::Scene;
use crate::verdict::accusation::can_lose;
use crate::verdict::words::called;
use dunnage_model::units::Nanos;
use dunnage_model::verdict::{Cause, Cleared, Resource};
use std::cmp::Reverse;

/// Use that makes a party look guilty, in CPUs.
const LOOKS_GUILTY: f64 = 0.1;

/// The largest users look guilty on any host, from this use on, in CPUs.
const TOP: usize = 3;
const TOP_LEAST: f64 = 0.01;

/// More would be noise.
const MOST: usize = 16;

/// Waits behind a party that are not worth a word: seconds per second of the window.
const NOT_WORTH_A_WORD: f64 = 0.002;

/// The busy parties that are culprits of nobody's harm, most use first. Victims of others are left
/// out: nobody suspects them.
pub(super) fn cleared(scene: &Scene<'_>, cases: &[Case]) -> Vec<Cleared> {
    let parties = &scene.window.parties;
    let mut busy: Vec<usize> = (0..parties.len())
        .filter(|i| can_lose(parties[*i].party.kind))
        .collect();
    busy.sort_by_key(|i| Reverse(parties[*i].cpu.usage));
    let of_window = |cpus: f64| Nanos::from_seconds(cpus * scene.seconds);
    busy.into_iter()
        .enumerate()
        .filter(|(rank, i)| {
            let least = if *rank < TOP { TOP_LEAST } else { LOOKS_GUILTY };
            parties[*i].cpu.usage >= of_window(least)
        })
        .map(|(_, party)| party)
        .filter(|party| {
            !cases
                .iter()
                .any(|case| case.accuses(*party) || is_victim(case, *party))
        })
        .take(MOST)
        .map(|party| Cleared {
            party: parties[party].party.clone(),
            of: Resource::Cpu,
            why: why(scene, party),
        })
        .collect()
}

fn is_victim(case: &Case, party: usize) -> bool {
    case.victim == party && case.cause != Cause::Itself
}

/// The reason, from those who waited while the party ran.
fn why(scene: &Scene<'_>, party: usize) -> String {
    let behind: Vec<(usize, f64)> = (0..scene.window.parties.len())
        .filter(|other| *other != party)
        .map(|other| (other, scene.blame(other, party)))
        .collect();
    let waited: f64 = behind.iter().map(|(_, seconds)| seconds).sum();
    let most = behind.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied();
    let Some((first, _)) = most.filter(|_| waited >= NOT_WORTH_A_WORD * scene.seconds) else {
        return "ran on CPUs that nobody waited for".to_owned();
    };
    if quota::own_quota_ran_out(&scene.window.parties[party]) {
        return "was itself held back by its quota".to_owned();
    }
    if held_by_itself(scene, first) {
        return "those who waited beside it were held back by their own limits or threads"
            .to_owned();
    }
    if scene.stolen() > 0.0 && scene.took_from(first, party, &scene.at_stake(first)) {
        return format!(
            "the hypervisor took as much as {} waited",
            called(&scene.window.parties[first].party)
        );
    }
    format!(
        "stayed within its share while {} waited",
        called(&scene.window.parties[first].party)
    )
}

/// Whether most of what a party lost was its own threads' and limits' doing.
fn held_by_itself(scene: &Scene<'_>, party: usize) -> bool {
    let Some(row) = scene.row(party) else {
        return false;
    };
    let own = scene.blame(party, party) + row.throttled.seconds();
    own > 0.5 * (row.wait.seconds() + row.throttled.seconds())
}
