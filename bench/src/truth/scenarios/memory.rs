//! Memory: who waits for it, in which limit, and whose asking forced that.

use super::super::scenario::{Actor, Cause, Cpus, Felt, Home, Label, Limit, Scenario};
use dunnage_model::verdict::Resource;

const MEBIBYTE: u64 = 1 << 20;

/// A file that fits into its share of what all have together.
fn web() -> Actor {
    Actor::new("web", "reread --size 48m --every 50ms")
}

/// The biggest holder of all, who stands still.
fn cache() -> Actor {
    Actor::new("cache", "fill --size 72m").on(Cpus::Second)
}

fn streamer(name: &str) -> Actor {
    Actor::new(name, "stream --size 800m")
        .on(Cpus::Second)
        .disturbing()
}

fn memory(name: &'static str, label: Label) -> Scenario {
    Scenario::new(name, Resource::Memory, label)
}

/// All who take part have so much together.
fn together(mebibytes: u64) -> Limit {
    Limit::MemoryMax(mebibytes * MEBIBYTE)
}

fn harmed(cause: Cause, culprits: &[(&'static str, Option<f64>)]) -> Label {
    Label::harmed("web", Resource::Memory, cause, culprits)
}

/// A kill is over in a moment.
const AT_ONCE: (f64, f64) = (0.0, 0.6);

const LIMIT: Cause = Cause::Limit("memory.max");

/// Who streams through a full limit waits in reclaim too, by its own doing.
fn waits_itself(label: Label, who: &'static str) -> Label {
    label.tolerating(who, Resource::Memory, LIMIT, &[who])
}

/// Every scenario of memory.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = in_a_shared_limit();
    all.extend(in_ones_own_limit());
    all.extend(kills());
    all
}

fn in_a_shared_limit() -> Vec<Scenario> {
    let neighbour = |culprits: &[(&'static str, Option<f64>)]| harmed(Cause::Neighbour, culprits);
    vec![
        memory(
            "memory-parent-streamer",
            waits_itself(neighbour(&[("batch", Some(1.0))]), "batch"),
        )
        .with(web())
        .with(cache())
        .with(streamer("batch"))
        .sharing(together(140))
        .in_subset(),
        memory(
            "memory-parent-grower",
            waits_itself(neighbour(&[("batch", Some(1.0))]), "batch"),
        )
        .with(web())
        .with(cache())
        .with(
            Actor::new("batch", "fill --size 64m --over 2s")
                .on(Cpus::Second)
                .disturbing(),
        )
        .sharing(together(140)),
        memory(
            "memory-parent-host-service",
            waits_itself(harmed(Cause::Host, &[("backup", Some(1.0))]), "backup"),
        )
        .with(web())
        .with(cache())
        .with(streamer("backup").at(Home::Service))
        .sharing(together(140)),
        memory(
            "memory-parent-two-streamers",
            waits_itself(
                waits_itself(
                    neighbour(&[("batch", Some(0.5)), ("crawl", Some(0.5))]),
                    "batch",
                ),
                "crawl",
            ),
        )
        .with(web())
        .with(cache())
        .with(streamer("batch"))
        .with(streamer("crawl"))
        .sharing(together(156)),
        memory(
            "memory-parent-changing-culprits",
            waits_itself(
                waits_itself(
                    neighbour(&[("batch", Some(0.5)), ("crawl", Some(0.5))]),
                    "batch",
                ),
                "crawl",
            ),
        )
        .with(web())
        .with(cache())
        .with(streamer("batch").during(&[(0.0, 3.0)]))
        .with(streamer("crawl").during(&[(3.0, 6.0)]))
        .lasting(2.0, 6.0)
        .sharing(together(128)),
        // One takes its memory, another one its CPU.
        memory(
            "memory-and-cpu",
            waits_itself(neighbour(&[("batch", Some(1.0))]), "batch").also(
                "web",
                Resource::Cpu,
                Cause::Neighbour,
                &[("index", Some(1.0))],
            ),
        )
        .with(web())
        .with(cache())
        .with(streamer("batch"))
        .with(Actor::new("index", "spin --threads 2").disturbing())
        .sharing(together(140)),
        memory(
            "memory-parent-bursts",
            waits_itself(neighbour(&[("batch", Some(1.0))]), "batch"),
        )
        .with(web())
        .with(cache())
        .with(streamer("batch").during(&[(0.0, 0.5), (1.7, 2.2), (3.4, 3.9)]))
        .sharing(together(140)),
        memory(
            "memory-parent-bystanders",
            waits_itself(neighbour(&[("batch", Some(1.0))]), "batch"),
        )
        .with(web())
        .with(cache())
        .with_many(
            12,
            &Actor::new("bystander", "fill --size 4m").on(Cpus::Second),
        )
        .with(streamer("batch"))
        .sharing(together(192)),
        memory(
            "memory-parent-equals",
            waits_itself(waits_itself(Label::nobody("web"), "web"), "crawl").felt(Felt::Anything),
        )
        .with(Actor::new("web", "stream --size 800m").disturbing())
        .with(cache())
        .with(streamer("crawl"))
        .sharing(together(140)),
    ]
}

fn in_ones_own_limit() -> Vec<Scenario> {
    vec![
        memory(
            "memory-own-limit",
            Label::limited("web", Resource::Memory, "memory.max"),
        )
        .with(web().limit(Limit::MemoryMax(32 * MEBIBYTE)))
        .with(cache())
        .in_subset(),
        memory(
            "memory-own-limit-beside-grower",
            Label::limited("web", Resource::Memory, "memory.max"),
        )
        .with(web().limit(Limit::MemoryMax(32 * MEBIBYTE)))
        .with(cache())
        .with(
            Actor::new("batch", "fill --size 256m --over 3s")
                .on(Cpus::Second)
                .disturbing(),
        ),
        memory(
            "memory-streamer-in-its-own-limit",
            waits_itself(Label::nobody("web"), "batch"),
        )
        .with(web())
        .with(cache())
        .with(streamer("batch").limit(Limit::MemoryMax(32 * MEBIBYTE)))
        .in_subset(),
        memory("memory-growth-where-there-is-room", Label::nobody("web"))
            .with(web())
            .with(cache())
            .with(
                Actor::new("batch", "fill --size 384m --over 3s")
                    .on(Cpus::Second)
                    .disturbing(),
            ),
    ]
}

fn kills() -> Vec<Scenario> {
    vec![
        memory(
            "memory-parent-kill",
            waits_itself(
                Label::harmed(
                    "cache",
                    Resource::Memory,
                    Cause::Neighbour,
                    &[("batch", Some(1.0))],
                ),
                "batch",
            )
            .felt(Felt::Anything),
        )
        .with(Actor::new("web", "fill --size 16m"))
        .with(cache())
        .with(
            Actor::new("batch", "fill --size 64m --over 400ms")
                .on(Cpus::Second)
                .during(&[AT_ONCE]),
        )
        .sharing(together(128)),
        memory(
            "memory-own-kill",
            Label::limited("web", Resource::Memory, "memory.max"),
        )
        .with(
            Actor::new("web", "fill --size 96m --over 400ms")
                .during(&[AT_ONCE])
                .limit(Limit::MemoryMax(48 * MEBIBYTE)),
        )
        .with(cache()),
    ]
}
