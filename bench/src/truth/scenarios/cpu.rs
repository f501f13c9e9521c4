//! CPU time: who waits for a CPU, and by whose doing.

use super::super::scenario::{Actor, Cause, Cpus, Home, Label, Limit, Scenario};
use dunnage_model::verdict::Resource;

/// A fifth of a CPU, in requests that are longer than a time slice.
const REQUESTS: &str = "tick --work 8ms --every 40ms";

fn web() -> Actor {
    Actor::new("web", REQUESTS)
}

/// The biggest user of all, who delays nobody: on the CPU that the victim does not use.
fn cache() -> Actor {
    Actor::new("cache", "spin").on(Cpus::Second)
}

fn harmed(culprits: &[(&'static str, Option<f64>)]) -> Label {
    Label::harmed("web", Resource::Cpu, Cause::Neighbour, culprits)
}

fn cpu(name: &'static str, label: Label) -> Scenario {
    Scenario::new(name, Resource::Cpu, label)
}

/// Every scenario of the CPU.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        cpu("cpu-one-culprit", harmed(&[("batch", Some(1.0))]))
            .with(web())
            .with(cache())
            .with(Actor::new("batch", "spin --threads 3").disturbing())
            .in_subset(),
        cpu("cpu-harmless-hog", Label::nobody("web"))
            .with(web())
            .with(cache())
            .with(
                Actor::new("batch", "spin --threads 3")
                    .on(Cpus::Second)
                    .disturbing(),
            )
            .in_subset(),
        cpu(
            "cpu-host-service",
            Label::harmed("web", Resource::Cpu, Cause::Host, &[("backup", Some(1.0))]),
        )
        .with(web())
        .with(cache())
        .with(
            Actor::new("backup", "spin --threads 2")
                .at(Home::Service)
                .disturbing(),
        )
        .in_subset(),
        cpu(
            "cpu-own-quota",
            Label::limited("web", Resource::Cpu, "cpu.max"),
        )
        .with(Actor::new("web", "spin").limit(Limit::CpuMax(0.2)))
        .with(cache())
        .in_subset(),
    ]
}
