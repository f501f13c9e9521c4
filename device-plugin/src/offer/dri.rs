//! What media software expects below `/dev/dri`: whichever GPU a container is given, the first is
//! `renderD128` and `card0` inside, and `by-path` holds real links, only to what is there.
//!
//! Two user-space drivers do not look for their node by name in the directory but compute the name
//! from the host's minor number: AMD's compute runtime (`drm_render_minor` of the KFD topology) and
//! NVIDIA's. Where one of theirs is given, all nodes keep the host's names, and the first GPU is
//! `renderD128` and `card0` as well, unless another of the given ones has that name.

use super::Options;
use super::edits::{DeviceNode, Edits};
use super::links::LinkFolder;
use dunnage_host::HostRoot;
use dunnage_inventory::{Device, Role};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where DRM nodes are.
const DRI: &str = "/dev/dri";
/// Where udev puts links to them by the place of the device.
const BY_PATH: &str = "/dev/dri/by-path";
/// The most links that are looked at. Two for each GPU is what there is.
const LINKS_LIMIT: usize = 1024;

/// The two sorts of node, with the number that the first one has.
const SORTS: [(&str, u32); 2] = [("renderD", 128), ("card", 0)];

/// Whether a device has DRM nodes, so that names and links below `/dev/dri` are its matter.
#[must_use]
pub fn has_dri(device: &Device) -> bool {
    device
        .nodes
        .iter()
        .any(|node| matches!(node.role, Role::Render | Role::Card))
}

/// Whether `path` is a render node.
#[must_use]
pub fn is_render(path: &Path) -> bool {
    path.parent() == Some(Path::new(DRI)) && number(path, "renderD").is_some()
}

/// Names the DRM nodes as the container shall see them; gives the folder of their by-path links where
/// there are any.
pub(super) fn arrange(
    host: &HostRoot,
    edits: &mut Edits,
    devices: &[&Device],
    options: &Options,
) -> Option<LinkFolder> {
    if !options.host_names {
        let by_minor = devices
            .iter()
            .filter(|device| has_dri(device))
            .any(|device| finds_by_minor(device));
        for (prefix, first) in SORTS {
            if by_minor {
                alias_first(edits, prefix, first);
            } else {
                number_from(edits, prefix, first);
            }
        }
    }
    let links = links(host, edits, devices);
    (!links.is_empty()).then(|| LinkFolder::new(&options.links_dir, Path::new(BY_PATH), links))
}

fn finds_by_minor(device: &Device) -> bool {
    let driver = device.driver.as_ref().map(|driver| driver.name.as_str());
    device.family == "nvidia" || matches!(driver, Some("amdgpu" | "nvidia"))
}

/// The nodes of one sort get consecutive numbers, in the order in which the devices are given.
fn number_from(edits: &mut Edits, prefix: &str, first: u32) {
    let nodes = edits
        .nodes
        .iter_mut()
        .filter(|node| number(&node.path, prefix).is_some());
    for (node, number) in nodes.zip(first..) {
        node.path = Path::new(DRI).join(format!("{prefix}{number}"));
    }
}

/// The first node of one sort gets the first number as a second name, where nobody else has it.
fn alias_first(edits: &mut Edits, prefix: &str, first: u32) {
    let wanted = Path::new(DRI).join(format!("{prefix}{first}"));
    if edits.nodes.iter().any(|node| node.path == wanted) {
        return;
    }
    let place = edits
        .nodes
        .iter()
        .position(|node| number(&node.path, prefix).is_some());
    if let Some(place) = place {
        let alias = DeviceNode {
            path: wanted,
            ..edits.nodes[place].clone()
        };
        edits.nodes.insert(place, alias);
    }
}

/// The by-path links to the nodes of `edits`: udev's names where the host has them, else made from the
/// PCI address as udev makes them (`60-drm.rules`, `ID_PATH`).
fn links(host: &HostRoot, edits: &Edits, devices: &[&Device]) -> BTreeMap<String, String> {
    let mut links = BTreeMap::new();
    let by_udev = udev_links(host);
    for device in devices {
        for node in &device.nodes {
            let Some(inside) = inside(edits, &node.path) else {
                continue;
            };
            let mut names: Vec<String> = by_udev
                .iter()
                .filter(|(_, target)| **target == node.path)
                .map(|(name, _)| name.clone())
                .collect();
            if names.is_empty() {
                names.extend(name_by_place(device, node.role));
            }
            for name in names {
                links.entry(name).or_insert_with(|| inside.clone());
            }
        }
    }
    links
}

/// `../renderD128`: where a node of the host is in the container, seen from the folder of links.
fn inside(edits: &Edits, host_path: &Path) -> Option<String> {
    let node = edits.nodes.iter().find(|node| {
        node.host_path == host_path
            && SORTS
                .iter()
                .any(|(prefix, _)| number(&node.path, prefix).is_some())
    })?;
    Some(format!("../{}", node.path.file_name()?.to_str()?))
}

fn udev_links(host: &HostRoot) -> BTreeMap<String, PathBuf> {
    let (names, _) = host.entries(BY_PATH, LINKS_LIMIT).unwrap_or_default();
    names
        .into_iter()
        .filter_map(|name| {
            let name = name.into_string().ok().filter(|name| is_tame(name))?;
            let target = host.link(Path::new(BY_PATH).join(&name)).ok()?;
            Some((name, Path::new(DRI).join(target.file_name()?)))
        })
        .collect()
}

/// Whether a name is one that udev would make.
fn is_tame(name: &str) -> bool {
    name.len() < 256
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.:,@+".contains(c))
}

/// The name that udev gives a PCI function's node. A part of a function that is no function itself
/// shares its address with others, so there is none.
fn name_by_place(device: &Device, role: Role) -> Option<String> {
    let pci = device.pci.as_ref()?;
    if device.parent.is_some() && pci.physical_function.is_none() {
        return None;
    }
    let sort = match role {
        Role::Render => "render",
        Role::Card => "card",
        _ => return None,
    };
    Some(format!("pci-{}-{sort}", pci.address)).filter(|name| is_tame(name))
}

/// The number of a node of this sort below `/dev/dri`.
fn number(path: &Path, prefix: &str) -> Option<u32> {
    if path.parent() != Some(Path::new(DRI)) {
        return None;
    }
    path.file_name()?
        .to_str()?
        .strip_prefix(prefix)?
        .parse()
        .ok()
}
