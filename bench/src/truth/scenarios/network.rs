//! Network: whose packets stand in the queue of a link, and by whose doing.

use super::super::links::{By, Plan, make};
use super::super::scenario::{Actor, Cause, Cpus, Felt, Home, Label, Prop, Scenario};
use dunnage_model::verdict::Resource;

/// A queue of a fifth of a second: what a modem or a shaped uplink has.
const QUEUE: &str = "tbf rate 20mbit burst 16kb latency 200ms";

fn shared() -> anyhow::Result<Prop> {
    make(Plan {
        by: By::Bridge,
        queue: QUEUE,
        own: None,
    })
}

fn routed() -> anyhow::Result<Prop> {
    make(Plan {
        by: By::Route,
        queue: QUEUE,
        own: None,
    })
}

/// Room for a few packets: who comes to a full queue is turned away.
fn short() -> anyhow::Result<Prop> {
    make(Plan {
        by: By::Bridge,
        queue: "tbf rate 20mbit burst 16kb limit 12000",
        own: None,
    })
}

fn own_shaper() -> anyhow::Result<Prop> {
    make(Plan {
        by: By::Bridge,
        queue: QUEUE,
        own: Some("tbf rate 5mbit burst 16kb latency 100ms"),
    })
}

/// Small requests: 0.2 Mbit/s.
fn web() -> Actor {
    Actor::new("web", "ping --in {a} --to {far} --every 5ms")
}

/// The biggest sender of all, who delays nobody: on another link.
fn cache() -> Actor {
    Actor::new("cache", "flood --in {x} --to {away} --rate 50m").on(Cpus::Second)
}

/// One that sends more than the shared link carries.
fn flood(name: &str, play: &'static str) -> Actor {
    Actor::new(name, play).on(Cpus::Second).disturbing()
}

fn batch() -> Actor {
    flood("batch", "flood --in {b} --to {far} --rate 30m")
}

fn harmed(culprits: &[(&'static str, Option<f64>)]) -> Label {
    Label::harmed("web", Resource::Network, Cause::Neighbour, culprits)
}

fn network(name: &'static str, label: Label) -> Scenario {
    Scenario::new(name, Resource::Network, label)
        .on_prop(shared)
        .with(cache())
}

/// A sender that fills a link is told that it is held back by it; that is true and no accusation.
fn held_back(label: Label, names: &[&'static str]) -> Label {
    names.iter().fold(label, |label, name| {
        label.tolerating(name, Resource::Network, Cause::Limit("tc"), &[name])
    })
}

/// Every scenario of the network.
pub(super) fn scenarios() -> Vec<Scenario> {
    let full = |label: Label| held_back(label, &["cache", "batch"]);
    let mut all = vec![
        // One fills the link of all, another one takes the CPU of a third: two victims, two causes.
        network(
            "network-and-cpu",
            full(harmed(&[("batch", Some(1.0))]).also(
                "api",
                Resource::Cpu,
                Cause::Neighbour,
                &[("index", Some(1.0))],
            )),
        )
        .with(web())
        .with(Actor::new("api", "tick --work 8ms --every 40ms"))
        .with(batch())
        .with(Actor::new("index", "spin --threads 3").disturbing()),
        network("network-flood", full(harmed(&[("batch", Some(1.0))])))
            .with(web())
            .with(batch())
            .in_subset(),
        network(
            "network-other-link",
            held_back(Label::nobody("web"), &["cache", "batch"]),
        )
        .with(web())
        .with(flood("batch", "flood --in {x} --to {away} --rate 9m"))
        .in_subset(),
        network(
            "network-host-service",
            held_back(
                Label::harmed(
                    "web",
                    Resource::Network,
                    Cause::Host,
                    &[("backup", Some(1.0))],
                ),
                &["cache", "backup"],
            ),
        )
        .with(web())
        .with(flood("backup", "flood --in {router} --to {far} --rate 30m").at(Home::Service)),
        network(
            "network-own-shaper",
            held_back(Label::limited("web", Resource::Network, "tc"), &["cache"]),
        )
        .on_prop(own_shaper)
        .with(Actor::new("web", "transfer --in {a} --to {far}"))
        .in_subset(),
        network(
            "network-two-culprits",
            held_back(
                harmed(&[("batch", Some(0.75)), ("backup", Some(0.25))]),
                &["cache", "batch", "backup"],
            )
            .tolerating("backup", Resource::Network, Cause::Neighbour, &["batch"]),
        )
        .with(web())
        .with(flood("batch", "flood --in {b} --to {far} --rate 36m"))
        .with(flood("backup", "flood --in {c} --to {far} --rate 12m")),
        network("network-bursts", full(harmed(&[("batch", Some(1.0))])))
            .with(web())
            .with(
                Actor::new("batch", "flood --in {b} --to {far} --rate 60m")
                    .on(Cpus::Second)
                    .during(&[(0.0, 0.3), (1.0, 1.3), (2.0, 2.3), (3.0, 3.3), (4.0, 4.3)]),
            ),
        network("network-short-lived", full(harmed(&[("batch", Some(1.0))])))
            .with(web())
            .with(
                Actor::new("batch", "flood --in {b} --to {far} --rate 40m")
                    .on(Cpus::Second)
                    .during(&[(0.0, 1.5)]),
            )
            .lasting(2.0, 2.5),
        network(
            "network-changing-culprits",
            held_back(
                harmed(&[("batch", Some(0.5)), ("backup", Some(0.5))]),
                &["cache", "batch", "backup"],
            ),
        )
        .with(web())
        .with(
            Actor::new("batch", "flood --in {b} --to {far} --rate 40m")
                .on(Cpus::Second)
                .during(&[(0.0, 2.5)]),
        )
        .with(
            Actor::new("backup", "flood --in {c} --to {far} --rate 40m")
                .on(Cpus::Second)
                .during(&[(2.5, 5.0)]),
        ),
        network(
            "network-equal-senders",
            held_back(
                Label::nobody("web").felt(Felt::Anything),
                &["cache", "batch", "web"],
            ),
        )
        .with(Actor::new("web", "flood --in {a} --to {far} --rate 16m"))
        .with(flood("batch", "flood --in {b} --to {far} --rate 16m")),
        network(
            "network-many-connections",
            full(harmed(&[("batch", Some(1.0))])),
        )
        .with(web())
        .with(flood(
            "batch",
            "transfer --in {b} --to {far} --connections 6",
        ))
        .in_subset(),
        network("network-drops", full(harmed(&[("batch", Some(1.0))])))
            .on_prop(short)
            .with(web())
            .with(batch()),
        network(
            "network-small-packets",
            full(harmed(&[("batch", Some(1.0))])),
        )
        .with(web())
        .with(flood(
            "batch",
            "flood --in {b} --to {far} --rate 30m --bytes 600",
        )),
        network("network-routed", full(harmed(&[("batch", Some(1.0))])))
            .on_prop(routed)
            .with(web())
            .with(batch()),
        network(
            "network-light-neighbour",
            held_back(Label::nobody("web"), &["cache"]),
        )
        .with(web())
        .with(flood(
            "batch",
            "flood --in {b} --to {far} --rate 2m --bytes 400",
        )),
    ];
    let crowd = Actor::new("bystander", "ping --in {c} --to {far} --every 20ms").on(Cpus::Second);
    let label = BYSTANDERS
        .iter()
        .fold(full(harmed(&[("batch", Some(1.0))])), |label, name| {
            label.tolerating(name, Resource::Network, Cause::Neighbour, &["batch"])
        });
    all.push(
        network("network-bystanders", label)
            .with(web())
            .with(batch())
            .with_many(BYSTANDERS.len(), &crowd),
    );
    all
}

/// They stand in the same queue, and are harmed too.
const BYSTANDERS: [&str; 8] = [
    "bystander-1",
    "bystander-2",
    "bystander-3",
    "bystander-4",
    "bystander-5",
    "bystander-6",
    "bystander-7",
    "bystander-8",
];
