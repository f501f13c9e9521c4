//! Sort by use of the resource, and blame whoever is on top.

use super::super::clock;
use super::super::scenario::Scenario;
use super::super::stage::{Look, Played, Used};
use dunnage_model::verdict::Resource;

/// The biggest user of the scenario's resource in the disturbed phase, the victim aside.
pub(super) fn named(scenario: &Scenario, played: &Played, victim: usize) -> Vec<usize> {
    let onset = played.began + clock::from_seconds(scenario.onset());
    let before = played.looks.iter().rfind(|look| look.at <= onset);
    let (Some(before), Some(after)) = (before, played.looks.last()) else {
        return Vec::new();
    };
    let used = |at: usize| {
        if scenario.resource == Resource::Network {
            let records = played.actors[at].records.iter();
            let amount: u64 = records
                .filter(|r| r.end >= onset)
                .map(|record| record.amount)
                .sum();
            return amount as f64;
        }
        of(scenario.resource, before, after, at)
    };
    let others = (0..scenario.cast.len()).filter(|at| *at != victim);
    let first = others.max_by(|a, b| used(*a).total_cmp(&used(*b)));
    first.filter(|at| used(*at) > 0.0).into_iter().collect()
}

/// What one actor used of a resource between two looks.
fn of(resource: Resource, before: &Look, after: &Look, at: usize) -> f64 {
    let none = Used::default();
    let (before, after) = (
        before.used.get(at).unwrap_or(&none),
        after.used.get(at).unwrap_or(&none),
    );
    match resource {
        Resource::Disk => after.disk - before.disk,
        Resource::Memory => after.memory,
        _ => after.cpu - before.cpu,
    }
}
