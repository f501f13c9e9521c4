//! Devices through the CRI of a containerd that knows CDI, as a kubelet asks for them: by the field of
//! names, by annotations, and by nodes, mounts and environment.

mod messages;
mod runtime;

use crate::device_engines::{GIVEN, expected, named, through, together, unprivileged};
use anyhow::{Context, Result};
use dunnage_device_plugin::offer::Options;
use dunnage_device_plugin::plugin::allocate::{Common, by_names, by_nodes};
use dunnage_device_plugin::plugin::api::ContainerAllocateResponse;
use dunnage_host::HostRoot;
use dunnage_inventory::Device;
use dunnage_tests::machine::machine;
use dunnage_tests::rack::engines::newer;
use dunnage_tests::rack::{GROUPS, Rack};
use runtime::{Cri, Form};
use serde_json::json;

/// What a kubelet makes of the plugin's answer.
fn words(answer: &ContainerAllocateResponse) -> Vec<String> {
    let mut words: Vec<String> = answer
        .cdi_devices
        .iter()
        .map(|device| format!("--cdi={}", device.name))
        .collect();
    words.extend(answer.devices.iter().map(|node| {
        let (host, inside) = (&node.host_path, &node.container_path);
        format!("--device={host}:{inside}:{}", node.permissions)
    }));
    words.extend(answer.mounts.iter().map(|mount| {
        let access = if mount.read_only { "ro" } else { "rw" };
        format!(
            "--mount={}:{}:{access}",
            mount.host_path, mount.container_path
        )
    }));
    let pairs = |option: &'static str| move |(key, value)| format!("--{option}={key}={value}");
    words.extend(answer.envs.iter().map(pairs("env")));
    words.extend(answer.annotations.iter().map(pairs("annotation")));
    words
}

/// What the plugin answers for these devices: by names, and by nodes.
fn answers(rack: &Rack, ids: &[&str]) -> Result<[Vec<String>; 2]> {
    let inventory = rack.inventory();
    let devices: Vec<&Device> = ids
        .iter()
        .filter_map(|id| inventory.devices.iter().find(|device| device.id == *id))
        .collect();
    let host = HostRoot::new(rack.root());
    let options = Options::default();
    let common = Common::of(&host, &inventory, &devices, &options)?;
    let nodes = by_nodes(&host, &inventory, &devices, &common, &options)?;
    Ok([words(&by_names(&devices, &inventory)), words(&nodes)])
}

#[test]
fn devices_cri_by_the_field_of_names() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    rack.write_specs(false)?;
    let tree = newer("sid", &["containerd"])?;
    let cri = Cri::start(&rack, &tree, Form::Version3, "cri")?;
    let [names, _] = answers(&rack, &[GIVEN])?;
    named(&cri, "by CDI", through(&cri, &names, &expected()))?;
    named(&cri, "by CDI as a user", unprivileged(&cri, &names))?;
    let [both, _] = answers(&rack, &["0000:00:02.0", GIVEN])?;
    named(&cri, "by CDI", together(&cri, &both, "by their names"))
}

#[test]
fn devices_cri_by_annotations_and_by_nodes() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    rack.write_specs(false)?;
    let tree = newer("sid", &["containerd"])?;
    let cri = Cri::start(&rack, &tree, Form::Version2, "cri-old")?;
    let [names, mut nodes] = answers(&rack, &[GIVEN])?;
    let name = names[0].strip_prefix("--cdi=").context("a name")?;
    let annotation = [format!("--annotation=cdi.k8s.io/dunnage_gpu={name}")];
    named(
        &cri,
        "by annotations",
        through(&cri, &annotation, &expected()),
    )?;
    // The API of device plugins has no groups: they stand in the pod's security context.
    let mut without_groups = expected();
    without_groups["groups"] = json!([]);
    named(&cri, "by nodes", through(&cri, &nodes, &without_groups))?;
    nodes.extend(GROUPS.map(|gid| format!("--group={gid}")));
    named(
        &cri,
        "by nodes and groups as a user",
        unprivileged(&cri, &nodes),
    )
}
