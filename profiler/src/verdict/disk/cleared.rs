//! Those who use the devices most and harm nobody, with the reason.

use super::Case;
use crate::verdict::accusation::can_lose;
use crate::verdict::words::called;
use dunnage_model::usage::{DiskStall, WindowUse};
use dunnage_model::verdict::{Cause, Cleared, Resource};
use std::collections::BTreeMap;

/// Use that makes a party look guilty: a part of the window in which a device worked for it.
const LOOKS_GUILTY: f64 = 0.05;

/// More would be noise.
const MOST: usize = 8;

/// The busy parties that are culprits of nobody's harm, most use first.
pub(super) fn cleared(window: &WindowUse, stalls: &[DiskStall], cases: &[Case]) -> Vec<Cleared> {
    let mut used: BTreeMap<usize, f64> = BTreeMap::new();
    for stall in stalls {
        *used.entry(stall.blamed.party).or_default() += stall.occupied.seconds();
    }
    let mut busy: Vec<(usize, f64)> = used
        .into_iter()
        .filter(|(_, seconds)| *seconds >= LOOKS_GUILTY * window.length.seconds())
        .filter(|(party, _)| {
            !cases.iter().any(|case| {
                case.accuses(*party) || (case.victim() == *party && case.cause() != Cause::Itself)
            })
        })
        .collect();
    busy.sort_by(|a, b| b.1.total_cmp(&a.1));
    busy.into_iter()
        .filter_map(|(party, _)| Some((party, window.parties.get(party)?)))
        .filter(|(_, user)| can_lose(user.party.kind))
        .take(MOST)
        .map(|(party, user)| Cleared {
            party: user.party.clone(),
            of: Resource::Disk,
            why: why(window, stalls, cases, party),
        })
        .collect()
}

fn why(window: &WindowUse, stalls: &[DiskStall], cases: &[Case], party: usize) -> String {
    let on = |device: &str| {
        stalls
            .iter()
            .any(|stall| stall.blamed.party == party && &*stall.device == device)
    };
    let name = |party: usize| {
        let user = window.parties.get(party);
        user.map_or_else(String::new, |user| called(&user.party))
    };
    if let Some(case) = cases.iter().find(|case| on(&case.device)) {
        return format!(
            "had no more of {} than its share while {} waited",
            case.device,
            name(case.victim())
        );
    }
    if let Some(case) = cases.first() {
        return format!(
            "used other devices than {}, for which {} waited",
            case.device,
            name(case.victim())
        );
    }
    "nobody's requests took longer because of it".to_owned()
}
