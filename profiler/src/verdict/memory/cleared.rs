//! Those who look guilty of a shortage and are not, with the reason.

use super::words::mebibytes;
use super::{Case, blame};
use crate::verdict::accusation::can_lose;
use dunnage_model::units::Bytes;
use dunnage_model::usage::{LimitKind, MemoryLimit, MemoryShare, MemoryStalls, WindowUse};
use dunnage_model::verdict::{Cause, Cleared, Resource};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Holding less than this makes nobody suspect.
const LOOKS_GUILTY: Bytes = Bytes(16 << 20);

/// The largest of each shortage are suspected.
const TOP: usize = 3;

/// More would be noise.
const MOST: usize = 16;

/// The largest holders in each shortage that are culprits of nobody's harm, most memory first.
/// Victims of others are left out: nobody suspects them.
pub(super) fn cleared(window: &WindowUse, memory: &MemoryStalls, cases: &[Case]) -> Vec<Cleared> {
    let mut found: BTreeMap<usize, (Bytes, String)> = BTreeMap::new();
    for limit in &memory.limits {
        let moving = blame::movers(limit, memory.events);
        let mut holders: Vec<&MemoryShare> = limit
            .sharers
            .iter()
            .filter(|share| share.used >= LOOKS_GUILTY)
            .filter(|share| can_lose(window.parties[share.party].party.kind))
            .collect();
        holders.sort_by_key(|share| Reverse(share.used));
        for share in holders.into_iter().take(TOP) {
            if cases.iter().any(|case| is_involved(case, share.party)) {
                continue;
            }
            let why = why(limit, share, moving.contains(&share.party));
            found
                .entry(share.party)
                .or_insert_with(|| (share.used, why));
        }
    }
    let mut found: Vec<(usize, (Bytes, String))> = found.into_iter().collect();
    found.sort_by_key(|(_, (used, _))| Reverse(*used));
    found
        .into_iter()
        .take(MOST)
        .map(|(party, (_, why))| Cleared {
            party: window.parties[party].party.clone(),
            of: Resource::Memory,
            why,
        })
        .collect()
}

/// Whether a party is named by a verdict, but for what it did to itself alone.
fn is_involved(case: &Case, party: usize) -> bool {
    if case.cause == Cause::Itself {
        return false;
    }
    case.accuses(party) || case.loss.victim == party
}

fn why(limit: &MemoryLimit, share: &MemoryShare, moves: bool) -> String {
    let holds = mebibytes(share.used);
    if limit.own == Some(share.party) {
        return format!("holds {holds}, reclaims within its own limit and takes from nobody");
    }
    if !moves {
        return format!("holds {holds} and did not grow");
    }
    let of = match (limit.kind, &limit.path) {
        (LimitKind::Machine, _) | (_, None) => "the machine's memory".to_owned(),
        (_, Some(path)) => format!("the memory of {path}"),
    };
    format!("holds {holds} and nobody below an equal share of {of} waited for it")
}
