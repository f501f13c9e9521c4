//! The device plugin before real kubelets of two minor versions: a node of its own in this machine, with
//! containerd and static pods.

mod holders;
mod node;
mod process;
mod resources;
mod restarts;

use anyhow::{Context, Result, ensure};
use dunnage_tests::machine::machine;
use dunnage_tests::probe::Seen;
use node::{GPU, NPU, Node, all};
use resources::ByResource;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The kubelets that this was seen with.
const VERSIONS: [&str; 2] = ["1.36.3", "1.34.4"];

/// Every device of the rack and one that nobody has, as the probe takes them.
const TRIES: [&str; 6] = ["4:40", "4:41", "4:42", "10:237", "4:45", "10:229"];

/// What is opened with a device: its id and its nodes.
const NODES: [(&str, &[(u64, u64)]); 4] = [
    ("0000:00:02.0", &[(4, 40), (4, 41)]),
    ("0000:03:00.0", &[(4, 42), (10, 237)]),
    ("0000:00:0b.0::0", &[(4, 45)]),
    ("0000:00:0b.0::1", &[(4, 45)]),
];

/// Runs `test` on a new node for each version.
fn on_each_version(test: impl Fn(&mut Node) -> Result<()>) -> Result<()> {
    let _alone = machine()?;
    for version in VERSIONS {
        Node::start(version)
            .and_then(|mut node| test(&mut node))
            .with_context(|| format!("kubelet {version}"))?;
    }
    Ok(())
}

/// A pod has one device, which it opens, and every other is refused, also after mknod.
fn has_its_device_alone(node: &Node, pod: &str, id: &str) -> Result<()> {
    let (_, own) = NODES
        .iter()
        .find(|(device, _)| *device == id)
        .with_context(|| format!("{pod} has {id:?}"))?;
    let seen = node.seen_by(pod, &TRIES)?;
    let opened = opened(&seen);
    ensure!(
        opened == BTreeSet::from_iter(own.iter().copied()),
        "{pod} has {id} and opens {opened:?}"
    );
    let others: Vec<(u64, u64)> = TRIES
        .iter()
        .filter_map(|numbers| {
            let (major, minor) = numbers.split_once(':')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        })
        .filter(|numbers| !own.contains(numbers))
        .collect();
    seen.refused(&others).with_context(|| pod.to_owned())
}

/// The numbers of the nodes that can be opened for reading and writing.
fn opened(seen: &Seen) -> BTreeSet<(u64, u64)> {
    let nodes = seen.0["nodes"].as_array().into_iter().flatten();
    nodes
        .filter(|node| node["open"] == "ok" && node["write"] == "ok")
        .filter_map(|node| Some((node["major"].as_u64()?, node["minor"].as_u64()?)))
        .collect()
}

/// Which device of `resource` each pod has, by the PodResources API.
fn devices_of_pods(node: &Node, resource: &str) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (pod, devices) in node.held()? {
        let Some(ids) = devices.get(resource) else {
            continue;
        };
        let mut ids = ids.iter();
        let (Some(id), None) = (ids.next(), ids.next()) else {
            anyhow::bail!("{pod} has {devices:?}");
        };
        found.insert(pod, id.clone());
    }
    Ok(found)
}

/// Which devices the kubelet wrote down as given, for its own next start.
fn checkpoint(node: &Node) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let path = node.sockets().join("kubelet_internal_checkpoint");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let document: Value = serde_json::from_str(&text)?;
    let mut given = BTreeMap::<String, BTreeSet<String>>::new();
    for entry in document["Data"]["PodDeviceEntries"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let resource = entry["ResourceName"].as_str().context("ResourceName")?;
        let nodes = entry["DeviceIDs"].as_object().context("DeviceIDs")?;
        let ids = nodes
            .values()
            .flat_map(|ids| ids.as_array().into_iter().flatten())
            .filter_map(|id| id.as_str().map(str::to_owned));
        given.entry(resource.to_owned()).or_default().extend(ids);
    }
    Ok(given)
}

#[test]
fn kubelet_gives_each_pod_its_device_and_no_other() -> Result<()> {
    on_each_version(|node| {
        for (pod, resource) in [("one", GPU), ("two", GPU), ("three", NPU), ("four", NPU)] {
            node.place(pod, resource)?;
            node.until_running(pod)?;
        }
        let mut given = ByResource::new();
        for (resource, pods) in [(GPU, ["one", "two"]), (NPU, ["four", "three"])] {
            let held = devices_of_pods(node, resource)?;
            ensure!(held.keys().eq(pods.iter()), "{resource}: {held:?}");
            for (pod, id) in &held {
                has_its_device_alone(node, pod, id)?;
            }
            given.insert(resource.to_owned(), held.into_values().collect());
        }
        // Two that share a device have a slot each, so nothing is left.
        ensure!(given == all(), "given: {given:?}");
        let written = checkpoint(node)?;
        ensure!(written == given, "written down: {written:?}");
        holders::are_read(node, &given)?;

        node.place("five", GPU)?;
        let reason = node.until_refused("five")?;
        ensure!(reason.contains(GPU), "refused because of {reason}");
        node.remove("five")?;

        // What a pod leaves behind is the next one's.
        let before = devices_of_pods(node, GPU)?;
        node.remove("one")?;
        node.place("six", GPU)?;
        node.until_running("six")?;
        let after = devices_of_pods(node, GPU)?;
        ensure!(
            after.get("six") == before.get("one"),
            "{before:?} {after:?}"
        );
        ensure!(
            after.get("two") == before.get("two"),
            "{before:?} {after:?}"
        );
        has_its_device_alone(node, "six", &after["six"])
    })
}

/// What the kernel takes away of the tree of sysfs when a GPU goes.
const PULLED: [&str; 3] = [
    "sys/bus/pci/devices/0000:03:00.0",
    "sys/class/drm/card1",
    "sys/class/drm/renderD129",
];

/// Moves the GPU 0000:03:00.0 out of the rack, or back.
fn pull(node: &Node, out: bool) -> Result<()> {
    for (number, path) in PULLED.iter().enumerate() {
        let there = node.rack.root().join(path);
        let away: PathBuf = node.rack.place("pulled")?.join(number.to_string());
        let (from, to) = if out { (there, away) } else { (away, there) };
        fs::rename(&from, &to).with_context(|| format!("move {}", from.display()))?;
    }
    Ok(())
}

#[test]
fn kubelet_hears_that_a_device_is_gone_and_that_it_is_back() -> Result<()> {
    on_each_version(|node| {
        let mut without = all();
        without
            .get_mut(GPU)
            .context("the GPUs")?
            .remove("0000:03:00.0");
        for round in 0..3 {
            for (out, wanted) in [(true, &without), (false, &all())] {
                let started = Instant::now();
                pull(node, out)?;
                node.until_allocatable(wanted)?;
                let took = started.elapsed();
                println!("round {round}: known after {} ms", took.as_millis());
                ensure!(took < Duration::from_secs(5), "{took:?}");
            }
        }
        // With one GPU gone there is room for one pod, and for two when it is back.
        pull(node, true)?;
        node.until_allocatable(&without)?;
        node.place("one", GPU)?;
        node.until_running("one")?;
        node.place("two", GPU)?;
        node.until_refused("two")?;
        node.remove("two")?;
        pull(node, false)?;
        node.until_allocatable(&all())?;
        node.place("three", GPU)?;
        node.until_running("three")?;
        has_its_device_alone(node, "one", "0000:00:02.0")?;
        has_its_device_alone(node, "three", "0000:03:00.0")?;
        // Who has it when it goes keeps running: the kubelet ends nobody.
        let container = node.running("three")?;
        pull(node, true)?;
        node.until_allocatable(&without)?;
        ensure!(node.running("three")? == container, "it was started anew");
        Ok(())
    })
}
