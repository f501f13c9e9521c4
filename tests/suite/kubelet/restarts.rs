//! The kubelet and the plugin are killed again and again, on a machine that is busy: every time the
//! kubelet knows all devices again, and no pod is lost.

use super::node::{GPU, NPU, Node, PATIENCE, all};
use super::process::registration;
use super::{has_its_device_alone, on_each_version};
use anyhow::{Context, Result, ensure};
use dunnage_tests::load::HostLoad;
use dunnage_tests::machine::two_cpus;
use std::time::{Duration, SystemTime};

/// How often each is killed; `DUNNAGE_KILLS` says another number.
const KILLS: usize = 5;
/// From this many kills on there is a 99th percentile, and it is held to the promise.
const MANY: usize = 100;
/// The promise: from the kubelet's socket to the last registration.
const BACK: Duration = Duration::from_millis(25);
/// What must never happen, on however slow a machine: that somebody waits for a timer of seconds.
const NEVER: Duration = Duration::from_secs(2);

fn kills() -> Result<usize> {
    std::env::var("DUNNAGE_KILLS").map_or(Ok(KILLS), |text| Ok(text.parse()?))
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

    /// The same container runs, and has its device.
    fn lives(&self, node: &Node) -> Result<()> {
        let Bystander(name, resource, container) = self;
        let now = node.running(name)?;
        ensure!(now == *container, "{name} was {container} and is {now}");
        let held = super::devices_of_pods(node, resource)?;
        let id = held.get(*name).with_context(|| format!("{name}: {held:?}"))?;
        has_its_device_alone(node, name, id)
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
    on_each_version(|node| {
        let pods = [
            Bystander::start(node, "one", GPU)?,
            Bystander::start(node, "two", NPU)?,
        ];
        let _busy = load()?;
        let (mut took, mut twice) = (Vec::new(), 0);
        for _ in 0..kills()? {
            node.lines()?.so_far();
            let killed = SystemTime::now();
            node.start_kubelet()?;
            let back = node.lines()?.registered(&[GPU, NPU], PATIENCE)?;
            let listened = node.listens_since(killed).context("no new kubelet.sock")?;
            took.push(back.duration_since(listened).unwrap_or_default());
            node.until_allocatable(&all())?;
            // It has looked at its pods, and taken them or not.
            node.until(|node| pods.iter().try_for_each(|pod| pod.lives(node)))?;
            let more = node.lines()?.so_far();
            twice += usize::from(more.iter().any(|line| line.contains(&registration(GPU))));
        }
        ensure!(twice == 0, "registered twice after {twice} of the kills");
        judge("kubelet killed", took, BACK)
    })
}

#[test]
fn kubelet_keeps_its_pods_when_the_plugin_is_killed_again_and_again() -> Result<()> {
    on_each_version(|node| {
        let pods = [
            Bystander::start(node, "one", GPU)?,
            Bystander::start(node, "two", NPU)?,
        ];
        let _busy = load()?;
        let mut took = Vec::new();
        for _ in 0..kills()? {
            let killed = SystemTime::now();
            node.start_plugin()?;
            let back = node.lines()?.registered(&[GPU, NPU], PATIENCE)?;
            took.push(back.duration_since(killed).unwrap_or_default());
            node.until_allocatable(&all())?;
        }
        for pod in &pods {
            pod.lives(node)?;
        }
        let sockets = std::fs::read_dir(node.sockets())?.flatten();
        let ours = sockets.filter(|entry| entry.file_name().to_string_lossy().starts_with("dunnage-"));
        ensure!(ours.count() == 2, "sockets were left behind");
        // And a new pod gets what is left.
        node.place("three", GPU)?;
        node.until_running("three")?;
        judge("plugin killed", took, NEVER)
    })
}
