//! Softirqs: whose packets take CPU time from whom.
//!
//! The victim works on the first CPU; senders, and `cache`, the biggest user, are on the second one. A
//! link's packets are handled on the CPU that the prop says.

use super::super::scenario::{Actor, Cause, Cpus, Felt, Label, Limit, Prop, Scenario};
use super::super::softirqs;
use dunnage_model::verdict::Resource;

fn on_the_victims() -> anyhow::Result<Prop> {
    softirqs::make(Cpus::First)
}

fn on_the_senders() -> anyhow::Result<Prop> {
    softirqs::make(Cpus::Second)
}

fn web() -> Actor {
    Actor::new("web", "count --work 10ms --every 14ms")
}

/// The biggest user of all, who sends nothing and has the weight for what it uses.
fn cache() -> Actor {
    Actor::new("cache", "spin")
        .on(Cpus::Second)
        .limit(Limit::CpuShares(2048))
}

fn batch() -> Actor {
    Actor::new("batch", "packets --in {a} --to {to-a}").on(Cpus::Second)
}

fn index() -> Actor {
    Actor::new("index", "packets --in {b} --to {to-b}").on(Cpus::Second)
}

/// Softirqs take some tenth of the CPU.
fn slowed_by(culprits: &[(&'static str, Option<f64>)]) -> Label {
    Label::harmed("web", Resource::Network, Cause::Neighbour, culprits).felt(Felt::Slower(1.03))
}

fn scenario(name: &'static str, label: Label) -> Scenario {
    Scenario::new(name, Resource::Network, label)
}

/// Every scenario of softirqs.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("softirqs-one-sender", slowed_by(&[("batch", Some(1.0))]))
            .with(web())
            .with(cache())
            .with(batch().disturbing())
            .on_prop(on_the_victims)
            .in_subset(),
        scenario(
            "softirqs-two-senders",
            slowed_by(&[("batch", Some(0.5)), ("index", Some(0.5))]),
        )
        .with(web())
        .with(cache())
        .with(batch().disturbing())
        .with(index().disturbing())
        .on_prop(on_the_victims),
        scenario(
            "softirqs-changing-senders",
            slowed_by(&[("batch", Some(0.5)), ("index", Some(0.5))]),
        )
        .with(web())
        .with(cache())
        .with(batch().during(&[(0.0, 3.0)]))
        .with(index().during(&[(3.0, 6.0)]))
        .lasting(2.0, 6.0)
        .on_prop(on_the_victims),
        // Beside one that works all the time, whoever comes in bursts waits.
        scenario(
            "softirqs-in-bursts",
            slowed_by(&[("batch", Some(1.0))]).tolerating(
                "batch",
                Resource::Cpu,
                Cause::Neighbour,
                &["cache"],
            ),
        )
        .with(web())
        .with(cache())
        .with(batch().during(&[(0.0, 0.8), (1.6, 2.4), (3.2, 4.0)]))
        .on_prop(on_the_victims),
        scenario("softirqs-elsewhere", Label::nobody("web"))
            .with(web())
            .with(cache())
            .with(batch().disturbing())
            .on_prop(on_the_senders)
            .in_subset(),
        scenario("softirqs-of-little-traffic", Label::nobody("web"))
            .with(web())
            .with(cache())
            .with(
                Actor::new(
                    "batch",
                    "packets --in {a} --to {to-a} --burst 5 --rest 20ms",
                )
                .on(Cpus::Second)
                .disturbing(),
            )
            .on_prop(on_the_victims),
        // What it sends itself is handled on its own CPU.
        scenario(
            "softirqs-of-its-own",
            Label::nobody("web").felt(Felt::Anything),
        )
        .with(Actor::new("web", "packets --in {a} --to {to-a} --rest 3ms"))
        .with(cache())
        .on_prop(on_the_victims),
    ]
}
