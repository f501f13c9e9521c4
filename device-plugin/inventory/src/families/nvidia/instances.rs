//! MIG instances: parts of a GPU that are given away by themselves.
//!
//! A process needs the GPU's own node, and of `/dev/nvidia-caps` the nodes of its GPU instance and its
//! compute instance (NVIDIA's MIG user guide, "Device Nodes and Capabilities"). The two latter are the
//! instance's own. The GPU's node is found at the parent and is not repeated here: whoever has it open
//! uses the GPU, and says nothing of which instance.

use super::cards::text;
use super::files::Files;
use super::nvml::Instance;
use super::pairing::Pair;
use super::proc::{self, Capability};
use super::{NAME, cards};
use crate::device::{Device, Health, Kind, Node, Role, Shares};
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use dunnage_model::units::Bytes;

/// The instances of the GPU `whole`.
pub(super) fn devices(
    host: &HostRoot,
    files: &Files,
    pair: &Pair<'_>,
    whole: &Device,
    gaps: &mut Vec<Gap>,
) -> Vec<Device> {
    if let Some(why) = pair.gpu.and_then(|gpu| gpu.instances_failure.as_ref()) {
        let why = proc::known(why).unwrap_or_else(|| "NVML failed".to_owned());
        gaps.push(Gap::new(format!("MIG instances of {}", whole.id), why));
    }
    let told = pair.gpu.map(|gpu| gpu.instances.as_slice());
    let from_files: Vec<Instance> = match (pair.gpu, pair.card) {
        // Where NVML knows the GPU it knows the instances, with their UUIDs.
        (Some(gpu), _) if gpu.mig.is_some() => Vec::new(),
        (_, Some(card)) => card
            .instances
            .iter()
            .map(|(instance, compute)| Instance {
                gpu_instance: Some(*instance),
                compute_instance: Some(*compute),
                ..Instance::default()
            })
            .collect(),
        _ => Vec::new(),
    };
    let named = told.unwrap_or_default().iter().map(|one| (one, pair.index));
    let unnamed = from_files.iter().map(|one| (one, None));
    named
        .chain(unnamed)
        .map(|(instance, index)| device(host, files, pair, whole, instance, index))
        .collect()
}

/// Marks the whole: with MIG mode on nobody can compute on it, only on its instances.
pub(super) fn mark_whole(whole: &mut Device, parts: &[Device]) {
    if !parts.is_empty() {
        whole.attributes.insert("mig.mode", "on".to_owned());
    }
    if whole.attributes.get("mig.mode").map(String::as_str) != Some("on") {
        return;
    }
    whole.shares = Shares::UpTo(0);
    if parts.is_empty() && whole.health == Health::Healthy {
        whole.health = Health::Unhealthy(
            "MIG mode is on and there is no instance: nothing can compute on it until one is made \
             (`nvidia-smi mig -cgi PROFILE -C`) or MIG mode is off (`nvidia-smi -mig 0`)"
                .to_owned(),
        );
    }
}

fn device(
    host: &HostRoot,
    files: &Files,
    pair: &Pair<'_>,
    whole: &Device,
    instance: &Instance,
    index: Option<u32>,
) -> Device {
    let ids = ids(instance);
    let kernels = ids.map(|(gi, ci)| format!("gi{gi}/ci{ci}"));
    let id = instance
        .uuid
        .as_deref()
        .and_then(proc::uuid)
        .or_else(|| Some(format!("{}/{}", whole.id, kernels.as_ref()?)))
        .unwrap_or_else(|| format!("{}/mig{}", whole.id, instance.index));
    let mut part = Device::new(id, NAME, Kind::Gpu, "nvidia");
    part.aliases
        .extend(index.map(|index| format!("{index}:{}", instance.index)));
    // As the kernel names it in mig-minors.
    part.aliases.extend(
        pair.minor()
            .zip(kernels)
            .map(|(minor, kernels)| format!("gpu{minor}/{kernels}")),
    );
    part.model = text(instance.name.as_ref()).or_else(|| whole.model.clone());
    part.driver = whole.driver.clone();
    part.firmware = whole.firmware.clone();
    part.pci = whole.pci.clone();
    part.numa_node = whole.numa_node;
    part.memory = instance.memory.map(Bytes);
    part.parent = Some(whole.id.clone());
    part.shares = whole.shares;
    part.health = whole.health.clone();
    let profile = part.model.as_deref().and_then(profile);
    let graphics = profile.as_deref().is_some_and(|p| p.contains("gfx"));
    let rights = pair
        .minor()
        .zip(ids)
        .and_then(|(minor, ids)| rights(host, files, minor, ids));
    if rights.is_none() && part.health == Health::Healthy {
        part.health = Health::Unhealthy(
            "its nodes below /dev/nvidia-caps are not known: neither mig-minors nor the driver's \
             capabilities name them; run `nvidia-modprobe -m` or reload the driver"
                .to_owned(),
        );
    }
    part.nodes.extend(rights.into_iter().flatten());
    part.nodes.extend(shared(whole, graphics));
    let index = index.map(|_| instance.index.to_string());
    attributes(&mut part, whole, instance, index, profile);
    part
}

fn ids(instance: &Instance) -> Option<(u32, u32)> {
    let old = || {
        // Drivers before 470 write both into the UUID: MIG-GPU-<uuid>/<gi>/<ci>.
        let mut parts = instance.uuid.as_deref()?.rsplit('/');
        let compute = parts.next()?.parse().ok()?;
        Some((parts.next()?.parse().ok()?, compute))
    };
    instance
        .gpu_instance
        .zip(instance.compute_instance)
        .or_else(old)
}

/// Both nodes of an instance, or none: with one alone it does not work.
fn rights(
    host: &HostRoot,
    files: &Files,
    gpu: u32,
    (instance, compute): (u32, u32),
) -> Option<[Node; 2]> {
    let of_gpu = Capability::GpuInstance { gpu, instance };
    let of_compute = Capability::ComputeInstance {
        gpu,
        instance,
        compute,
    };
    Some([
        files.capability_node(host, of_gpu)?,
        files.capability_node(host, of_compute)?,
    ])
}

/// What an instance needs that is no instance's own: the nodes of the whole family, and the DRM nodes
/// where its profile has graphics.
fn shared(whole: &Device, graphics: bool) -> impl Iterator<Item = Node> {
    let wanted = move |node: &&Node| match node.role {
        Role::Render | Role::Card => graphics,
        Role::Control => true,
        Role::Own | Role::Management => false,
    };
    whole.nodes.iter().filter(wanted).cloned()
}

fn attributes(
    part: &mut Device,
    whole: &Device,
    instance: &Instance,
    index: Option<String>,
    profile: Option<String>,
) {
    for name in [
        "architecture",
        "brand",
        "compute.mode",
        "cuda.capability",
        "cuda.driver",
        "driver.module",
        "minor",
    ] {
        if let Some(value) = whole.attributes.get(name) {
            part.attributes.insert(name, value.clone());
        }
    }
    let more = [
        ("mig.profile", profile),
        ("mig.index", index),
        ("mig.gi", ids(instance).map(|ids| ids.0.to_string())),
        ("mig.ci", ids(instance).map(|ids| ids.1.to_string())),
    ];
    for (name, value) in more {
        part.attributes.extend(value.map(|value| (name, value)));
    }
}

/// `1g.5gb` out of `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
fn profile(name: &str) -> Option<String> {
    let (_, profile) = name.rsplit_once(" MIG ")?;
    cards::text(Some(&profile.to_owned()))
}
