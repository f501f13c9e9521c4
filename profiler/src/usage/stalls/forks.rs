//! Forks that a limit on tasks refused, by the party whose limit it was.

use super::super::tree::{Place, Tree};
use dunnage_model::usage::RefusedForks;
use std::collections::BTreeMap;

/// One row a party with refused forks. A limit beneath the party's own cgroup may be counted in
/// both: the largest number of one cgroup is taken, which is right or too small.
pub(super) fn rows(tree: &Tree<'_>) -> Vec<RefusedForks> {
    let mut rows: BTreeMap<usize, RefusedForks> = BTreeMap::new();
    for (place, refused) in tree.places().filter_map(|p| Some((p, refused(p)?))) {
        let Some(pids) = place.after.pids else {
            continue;
        };
        let row = RefusedForks {
            party: place.party,
            refused,
            limit: pids.limit,
            cgroup: place.after.path.clone(),
        };
        let known = rows.entry(place.party).or_insert_with(|| row.clone());
        if row.refused > known.refused {
            *known = row;
        }
    }
    rows.into_values().collect()
}

/// What was refused in the window; `None` for nothing. The first reading of a counter is no window.
fn refused(place: &Place<'_>) -> Option<u64> {
    let now = place.after.pids?.refused;
    let then = match place.before {
        Some(before) => before.pids?.refused,
        // Born within the window.
        None => 0,
    };
    Some(now.saturating_sub(then)).filter(|refused| *refused > 0)
}
