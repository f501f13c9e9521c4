//! CPU time: who waits for a CPU, and by whose doing.
//!
//! The victim works on the first CPU. The biggest user is nearly always `cache`, which fills the second
//! one and delays nobody.

use super::super::scenario::{
    Actor, Cause, Cpus, Felt, Home, KERNEL, Label, Limit, Prop, Scenario,
};
use super::super::workers;
use super::disk::other_device;
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

/// The biggest user among many: it ticks along on both CPUs, well within its weight.
fn cache_on_both() -> Actor {
    Actor::new("cache", "tick --work 4ms --every 8ms --threads 2")
        .on(Cpus::Both)
        .limit(Limit::CpuShares(8192))
}

fn batch(play: &'static str) -> Actor {
    Actor::new("batch", play).disturbing()
}

fn harmed(culprits: &[(&'static str, Option<f64>)]) -> Label {
    Label::harmed("web", Resource::Cpu, Cause::Neighbour, culprits)
}

fn by_batch() -> Label {
    harmed(&[("batch", Some(1.0))])
}

/// A culprit that is quiet most of the time slows the mean down by little.
fn by_bursts() -> Label {
    by_batch().felt(Felt::Slower(1.05))
}

/// Nobody takes what another is entitled to; that it is slower beside others is no harm.
fn shared() -> Label {
    Label::nobody("web").felt(Felt::Anything)
}

fn cpu(name: &'static str, label: Label) -> Scenario {
    Scenario::new(name, Resource::Cpu, label)
}

/// A device in memory, whose requests the kernel's workers do on the victim's CPU.
fn workers_on_the_victims() -> anyhow::Result<Prop> {
    let device = other_device()?;
    let workers = workers::keep_to(Cpus::First)?;
    Ok(Prop {
        words: device.words.clone(),
        _undo: Box::new((device, workers)),
    })
}

/// Every scenario of the CPU.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = steady();
    all.extend(bursts());
    all.extend(hosts_and_limits());
    all.extend(nobody());
    all.extend(overcommitted());
    all
}

/// Culprits that take the CPU all the time.
fn steady() -> Vec<Scenario> {
    vec![
        cpu("cpu-one-culprit", by_batch())
            .with(web())
            .with(cache())
            .with(batch("spin --threads 3"))
            .in_subset(),
        // The victim waits longer than a time slice at once, so that both run as their weights say.
        cpu(
            "cpu-two-culprits-2-to-1",
            harmed(&[("batch", Some(2.0 / 3.0)), ("index", Some(1.0 / 3.0))]),
        )
        .with(Actor::new("web", "tick --work 10ms --every 80ms"))
        .with(cache())
        .with(batch("spin").limit(Limit::CpuShares(2048)))
        .with(Actor::new("index", "spin").disturbing())
        .in_subset(),
        cpu(
            "cpu-three-equal-culprits",
            harmed(&[
                ("batch", Some(1.0 / 3.0)),
                ("index", Some(1.0 / 3.0)),
                ("train", Some(1.0 / 3.0)),
            ]),
        )
        .with(Actor::new("web", "tick --work 10ms --every 100ms"))
        .with(cache())
        .with(batch("spin"))
        .with(Actor::new("index", "spin --threads 2").disturbing())
        .with(Actor::new("train", "spin").disturbing()),
        cpu(
            "cpu-four-culprits",
            harmed(&[
                ("batch", Some(0.4)),
                ("index", Some(0.2)),
                ("train", Some(0.2)),
                ("scan", Some(0.2)),
            ]),
        )
        .with(Actor::new("web", "tick --work 10ms --every 120ms"))
        .with(cache())
        .with(batch("spin").limit(Limit::CpuShares(2048)))
        .with(Actor::new("index", "spin").disturbing())
        .with(Actor::new("train", "spin").disturbing())
        .with(Actor::new("scan", "spin").disturbing()),
        cpu(
            "cpu-two-victims",
            by_batch().also(
                "api",
                Resource::Cpu,
                Cause::Neighbour,
                &[("batch", Some(1.0))],
            ),
        )
        .with(web())
        .with(Actor::new("api", "tick --work 6ms --every 50ms"))
        .with(cache())
        .with(batch("spin --threads 2"))
        .in_runc(),
        cpu("cpu-fork-storm", by_batch())
            .with(web())
            .with(cache())
            .with(batch("fork --threads 4 --work 3ms"))
            .in_subset(),
        cpu("cpu-two-bystanders", by_batch())
            .with(web())
            .with(cache())
            .with_many(
                2,
                &Actor::new("light", "tick --work 1ms --every 50ms").on(Cpus::Both),
            )
            .with(batch("spin --threads 2")),
        cpu("cpu-ten-bystanders", by_batch())
            .with(web())
            .with(cache())
            .with_many(
                10,
                &Actor::new("light", "tick --work 300us --every 60ms").on(Cpus::Both),
            )
            .with(batch("spin --threads 2")),
        cpu("cpu-fifty-bystanders", by_batch())
            .with(web())
            .with(cache())
            .with_many(
                50,
                &Actor::new("light", "tick --work 100us --every 150ms").on(Cpus::Both),
            )
            .with(batch("spin --threads 2")),
        // A neighbour that holds most of the CPU by right, and one that takes the rest without.
        cpu("cpu-entitled-giant", harmed(&[("batch", None)]))
            .with(web())
            .with(Actor::new("cache", "tick --work 4ms --every 8ms").limit(Limit::CpuShares(8192)))
            .with(batch("spin --threads 4")),
    ]
}

/// Culprits that come and go.
fn bursts() -> Vec<Scenario> {
    vec![
        cpu("cpu-bursts-50ms", by_bursts())
            .with(Actor::new("web", "tick --work 10ms --every 40ms"))
            .with(cache())
            .with(batch("burst --on 50ms --off 250ms --threads 4"))
            .in_subset(),
        cpu("cpu-bursts-200ms", by_bursts())
            .with(web())
            .with(cache())
            .with(batch("burst --on 200ms --off 800ms --threads 2")),
        cpu("cpu-bursts-500ms", by_bursts())
            .with(web())
            .with(cache())
            .with(Actor::new("batch", "spin --threads 3").during(&[
                (0.2, 0.7),
                (1.7, 2.2),
                (3.2, 3.7),
            ])),
        cpu("cpu-bursts-2s", by_bursts())
            .with(web())
            .with(cache())
            .with(Actor::new("batch", "spin --threads 2").during(&[(0.0, 2.0), (3.5, 5.5)]))
            .lasting(2.0, 6.0),
        cpu("cpu-burst-10s", by_bursts())
            .with(web())
            .with(cache())
            .with(Actor::new("batch", "spin --threads 2").during(&[(0.5, 10.5)]))
            .lasting(2.0, 11.0),
        cpu(
            "cpu-changing-culprits",
            harmed(&[("batch", Some(0.5)), ("index", Some(0.5))]),
        )
        .with(web())
        .with(cache())
        .with(Actor::new("batch", "spin --threads 2").during(&[(0.0, 3.0)]))
        .with(Actor::new("index", "spin --threads 2").during(&[(3.0, 6.0)]))
        .lasting(2.0, 6.0)
        .in_subset(),
        cpu(
            "cpu-three-short-lives",
            harmed(&[("first", None), ("second", None), ("third", None)]),
        )
        .with(web())
        .with(cache())
        .with(Actor::new("first", "spin --threads 2").during(&[(0.0, 1.2)]))
        .with(Actor::new("second", "spin --threads 2").during(&[(1.7, 2.9)]))
        .with(Actor::new("third", "spin --threads 2").during(&[(3.4, 4.6)])),
        // Little use on average, all of it at once.
        cpu("cpu-innocent-looking-culprit", by_bursts())
            .with(Actor::new("web", "tick --work 4ms --every 12ms"))
            .with(cache())
            .with(Actor::new("log", "tick --work 1ms --every 10ms"))
            .with(batch("burst --on 80ms --off 420ms --threads 3")),
        cpu("cpu-short-storm", by_bursts())
            .with(web())
            .with(cache())
            .with(Actor::new("batch", "fork --threads 4 --work 2ms").during(&[(0.0, 2.0)])),
    ]
}

/// Services of the host, quotas, and both at once.
fn hosts_and_limits() -> Vec<Scenario> {
    let by_backup = || Label::harmed("web", Resource::Cpu, Cause::Host, &[("backup", Some(1.0))]);
    vec![
        cpu("cpu-host-service", by_backup())
            .with(web())
            .with(cache())
            .with(
                Actor::new("backup", "spin --threads 2")
                    .at(Home::Service)
                    .disturbing(),
            )
            .in_subset(),
        cpu("cpu-host-service-bursts", by_backup())
            .with(web())
            .with(cache())
            .with(
                Actor::new("backup", "burst --on 200ms --off 600ms --threads 3")
                    .at(Home::Service)
                    .disturbing(),
            ),
        cpu(
            "cpu-host-and-neighbour",
            by_batch().also("web", Resource::Cpu, Cause::Host, &[("backup", Some(1.0))]),
        )
        .with(Actor::new("web", "tick --work 10ms --every 80ms"))
        .with(cache())
        .with(batch("spin"))
        .with(Actor::new("backup", "spin").at(Home::Service).disturbing()),
        cpu(
            "cpu-own-quota",
            Label::limited("web", Resource::Cpu, "cpu.max"),
        )
        .with(Actor::new("web", "spin").limit(Limit::CpuMax(0.2)))
        .with(cache())
        .in_subset(),
        cpu(
            "cpu-own-quota-of-a-server",
            Label::limited("web", Resource::Cpu, "cpu.max"),
        )
        .with(Actor::new("web", "tick --work 20ms --every 60ms").limit(Limit::CpuMax(0.15)))
        .with(cache())
        .with(Actor::new("light", "tick --work 1ms --every 20ms")),
        cpu(
            "cpu-own-quota-and-neighbour",
            by_batch().also(
                "api",
                Resource::Cpu,
                Cause::Limit("cpu.max"),
                &[("api", Some(1.0))],
            ),
        )
        .with(web())
        .with(cache())
        .with(
            Actor::new("api", "spin")
                .on(Cpus::Second)
                .limit(Limit::CpuMax(0.2)),
        )
        .with(batch("spin --threads 2")),
        cpu(
            "cpu-own-task-limit",
            Label::limited("web", Resource::Cpu, "pids.max"),
        )
        .with(Actor::new("web", "fork --threads 4 --work 5ms --rest 5ms").limit(Limit::PidsMax(6)))
        .with(cache()),
        // The neighbour runs elsewhere: what it asks of its device is done on the victim's CPU, by a
        // worker of whom the kernel does not tell for whom it works.
        cpu(
            "cpu-kernel-worker",
            Label::harmed("web", Resource::Cpu, Cause::Host, &[(KERNEL, Some(1.0))])
                .tolerating("web", Resource::Cpu, Cause::Neighbour, &["batch"])
                .tolerating("batch", Resource::Cpu, Cause::Neighbour, &["cache"]),
        )
        .with(web())
        .with(cache().limit(Limit::CpuShares(2048)))
        .with(batch("disk write --size 1m --threads 4 --device {OTHER}").on(Cpus::Second))
        .on_prop(workers_on_the_victims),
    ]
}

/// Situations in which nobody may be accused.
fn nobody() -> Vec<Scenario> {
    vec![
        cpu("cpu-harmless-hog", Label::nobody("web"))
            .with(web())
            .with(cache())
            .with(batch("spin --threads 3").on(Cpus::Second))
            .in_subset(),
        cpu("cpu-idle-host", Label::nobody("web"))
            .with(Actor::new("web", "tick --work 1ms --every 40ms").on(Cpus::Both))
            .with(Actor::new("cache", "tick --work 5ms --every 100ms").on(Cpus::Second))
            .with(batch("sleep"))
            .in_subset(),
        cpu("cpu-equal-spinners", shared())
            .with(Actor::new("web", "spin"))
            .with(Actor::new("cache", "spin --threads 2").on(Cpus::Second))
            .with(batch("spin"))
            .in_subset(),
        cpu("cpu-late-joiners", shared())
            .with(Actor::new("web", "spin"))
            .with(cache())
            .with(Actor::new("batch", "spin --threads 3").during(&[(0.3, 2.1), (2.6, 5.0)])),
        cpu("cpu-own-threads", shared())
            .with(Actor::new("web", "spin --threads 4"))
            .with(cache())
            .with(batch("tick --work 1ms --every 50ms")),
        cpu("cpu-within-its-weight", shared())
            .with(Actor::new("web", "spin").limit(Limit::CpuShares(256)))
            .with(cache())
            .with(batch("spin").limit(Limit::CpuShares(2048))),
        cpu("cpu-neighbour-at-its-quota", shared())
            .with(web())
            .with(cache())
            .with(batch("spin").limit(Limit::CpuMax(0.3))),
        // Together they use less than there is: who ticks along beside whom is nobody's fault.
        cpu("cpu-light-neighbours", shared())
            .with(web())
            .with(cache())
            .with(batch("tick --work 8ms --every 50ms"))
            .with(Actor::new("index", "tick --work 6ms --every 50ms").disturbing()),
        cpu("cpu-guilty-looking-innocent", Label::nobody("web"))
            .with(web())
            .with(Actor::new("cache", "spin --threads 4").on(Cpus::Second))
            .with(batch("burst --on 300ms --off 200ms --threads 4").on(Cpus::Second)),
    ]
}

/// More wanted than there is, on both CPUs.
fn overcommitted() -> Vec<Scenario> {
    vec![
        cpu("cpu-both-cpus", by_batch())
            .with(web().on(Cpus::Both))
            .with(cache_on_both())
            .with(batch("spin --threads 8").on(Cpus::Both))
            .in_subset(),
        cpu("cpu-overcommitted-and-fair", shared())
            .with(Actor::new("web", "spin").on(Cpus::Both))
            .with(
                Actor::new("cache", "spin --threads 2")
                    .on(Cpus::Both)
                    .limit(Limit::CpuShares(2048)),
            )
            .with(Actor::new("api", "spin").on(Cpus::Both))
            .with(batch("spin").on(Cpus::Both)),
        cpu(
            "cpu-overcommitted-two-culprits",
            harmed(&[("batch", Some(0.5)), ("index", Some(0.5))]),
        )
        .with(web().on(Cpus::Both).limit(Limit::CpuShares(2048)))
        .with(cache_on_both())
        .with(batch("spin --threads 4").on(Cpus::Both))
        .with(
            Actor::new("index", "spin --threads 4")
                .on(Cpus::Both)
                .disturbing(),
        ),
    ]
}
