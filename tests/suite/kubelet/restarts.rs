//! The kubelet and the plugin are killed again and again, on a machine that is busy: every time the
//! kubelet knows all devices again, and no pod is lost.

use super::node::{GPU, NPU, Node, PATIENCE, all};
use super::process::registration;
use super::{VERSIONS, devices_of_pods, has_its_device_alone, on_each_version};
use anyhow::{Context, Result, ensure};
use dunnage_tests::load::HostLoad;
use dunnage_tests::machine::two_cpus;
use std::cell::RefCell;
use std::time::{Duration, SystemTime};

/// How often each is killed, on both versions together; `DUNNAGE_KILLS` says another number.
const KILLS: usize = 8;
/// From this many kills on there is a 99th percentile, and it is held to the promise.
const MANY: usize = 100;
/// The promise: from the kubelet's socket to the last registration.
const BACK: Duration = Duration::from_millis(25);
/// What must never happen, on however slow a machine: that somebody waits for a timer of seconds.
const NEVER: Duration = Duration::from_secs(2);

/// The kills on each version.
fn kills() -> Result<usize> {
    let all = std::env::var("DUNNAGE_KILLS").map_or(Ok(KILLS), |text| text.parse())?;
    Ok(all / VERSIONS.len())
}

/// Says how long it took, and holds it to what was promised.
fn judge(what: &str, mut took: Vec<Duration>, promise: Duration) -> Result<()> {
    took.sort();
    let at = |per_cent: usize| took[(took.len() * per_cent / 100).min(took.len() - 1)];
    println!(
        "{what}, {} times: median {:?}, 99th percentile {:?}, longest {:?}",
        took.len(),
        at(50),
        at(99),
        at(100)
    );
    ensure!(at(100) < NEVER, "{what}: {took:?}");
    ensure!(took.len() < MANY || at(99) <= promise, "{what}: {took:?}");
    Ok(())
}

/// A pod that must not notice anything: its name, its device and its container.
struct Bystander(&'static str, &'static str, String);

impl Bystander {
    fn start(node: &mut Node, name: &'static str, resource: &'static str) -> Result<Bystander> {
        node.place(name, resource)?;
        let container = node.until_running(name)?;
        Ok(Bystander(name, resource, container))
    }

    /// The same container runs, and by the kubelet it has a device; which one?
    fn device(&self, node: &Node) -> Result<String> {
        let Bystander(name, resource, container) = self;
        let now = node.running(name)?;
        ensure!(now == *container, "{name} was {container} and is {now}");
        let mut held = devices_of_pods(node, resource)?;
        let id = held.remove(*name);
        id.with_context(|| format!("{name} has no device: {held:?}"))
    }

    /// It runs, has its device, and no other.
    fn lives(&self, node: &Node) -> Result<()> {
        has_its_device_alone(node, self.0, &self.device(node)?)
    }
}

/// As much work as two CPUs can do.
fn load() -> Result<Vec<HostLoad>> {
    let spin = ["spin", "--for", "3600s"];
    let cpus = two_cpus()?.into_iter();
    cpus.map(|cpu| HostLoad::start(&cpu.to_string(), &spin))
        .collect()
}

#[test]
fn kubelet_killed_again_and_again_finds_the_plugin_and_loses_no_pod() -> Result<()> {
    let took = RefCell::new(Vec::new());
    on_each_version(|node| {
        let pods = [
            Bystander::start(node, "one", GPU)?,
            Bystander::start(node, "two", NPU)?,
        ];
        let _busy = load()?;
        let (kills, mut twice) = (kills()?, 0);
        for _ in 0..kills {
            node.lines()?.so_far();
            let killed = SystemTime::now();
            node.start_kubelet()?;
            let back = node.lines()?.registered(&[GPU, NPU], PATIENCE)?;
            let listened = node.listens_since(killed).context("no new kubelet.sock")?;
            let back = back.duration_since(listened).unwrap_or_default();
            took.borrow_mut().push(back);
            node.until_allocatable(&all())?;
            // It has looked at its pods, and taken them or not.
            node.until(|node| pods.iter().try_for_each(|pod| pod.device(node).map(drop)))?;
            let more = node.lines()?.so_far();
            twice += usize::from(more.iter().any(|line| line.contains(&registration(GPU))));
        }
        // One that comes between a look and a call is told twice, which is rare.
        ensure!(
            twice <= 1 + kills / 20,
            "told twice {twice} times of {kills}"
        );
        pods.iter().try_for_each(|pod| pod.lives(node))
    })?;
    judge("kubelet killed", took.into_inner(), BACK)
}

#[test]
fn kubelet_keeps_its_pods_when_the_plugin_is_killed_again_and_again() -> Result<()> {
    let took = RefCell::new(Vec::new());
    on_each_version(|node| {
        let pods = [
            Bystander::start(node, "one", GPU)?,
            Bystander::start(node, "two", NPU)?,
        ];
        let _busy = load()?;
        for _ in 0..kills()? {
            let killed = SystemTime::now();
            node.start_plugin()?;
            let back = node.lines()?.registered(&[GPU, NPU], PATIENCE)?;
            let back = back.duration_since(killed).unwrap_or_default();
            took.borrow_mut().push(back);
            node.until_allocatable(&all())?;
        }
        pods.iter().try_for_each(|pod| pod.lives(node))?;
        let sockets = std::fs::read_dir(node.sockets())?.flatten();
        let ours =
            sockets.filter(|entry| entry.file_name().to_string_lossy().starts_with("dunnage-"));
        ensure!(ours.count() == 2, "sockets were left behind");
        // And a new pod gets what is left.
        node.place("three", GPU)?;
        node.until_running("three").map(drop)
    })?;
    judge("plugin killed", took.into_inner(), NEVER)
}
