//! Caches and memory bandwidth: where the host has no counters, the right answer is to abstain.

use super::super::scenario::{Actor, Cpus, Label, Scenario};
use dunnage_model::verdict::Resource;

/// Every scenario of the caches.
pub(super) fn scenarios() -> Vec<Scenario> {
    let cache = |name| Scenario::new(name, Resource::Cache, Label::abstain("web"));
    let chase = || Actor::new("web", "chase --bytes 8m");
    let writer = |name| {
        Actor::new(name, "overwrite --bytes 128m")
            .on(Cpus::Second)
            .disturbing()
    };
    let largest = || Actor::new("cache", "spin").on(Cpus::Second);
    vec![
        cache("cache-streaming-neighbour")
            .with(chase())
            .with(largest())
            .with(writer("batch"))
            .in_subset(),
        cache("cache-two-streaming-neighbours")
            .with(chase())
            .with(largest())
            .with(writer("batch"))
            .with(writer("index")),
    ]
}
