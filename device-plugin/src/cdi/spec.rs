//! CDI specifications: one for each kind of device, in the lowest version of the format that says what
//! is in it (SPEC.md 1.1.0 and `specs-go/version.go`). Readers refuse a file of a version that they do
//! not know, and a field that its version does not have, so the lowest is what most engines take.

use super::names;
use crate::offer::{self, DeviceNode, Edits, Hook, LinkFolder, Mount, OfferError, Options};
use dunnage_host::HostRoot;
use dunnage_inventory::{Device, Inventory};
use dunnage_model::gap::Gap;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What the names of our files begin with.
pub const FILE_PREFIX: &str = "dunnage-";

/// One specification: all devices of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The version of the format: `0.5.0`.
    pub cdi_version: String,
    /// `vendor.com/class`.
    pub kind: String,
    /// The devices; a device stands here once for each of its names.
    pub devices: Vec<SpecDevice>,
    /// What a container needs once, whichever devices it is given.
    #[serde(default, skip_serializing_if = "ContainerEdits::is_empty")]
    pub container_edits: ContainerEdits,
}

/// One name, and what it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecDevice {
    /// The name within the kind.
    pub name: String,
    /// What changes in the container.
    pub container_edits: ContainerEdits,
}

/// Changes to a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ContainerEdits {
    /// `NAME=VALUE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Device nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_nodes: Vec<SpecNode>,
    /// Bind mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<SpecMount>,
    /// Programs that run while the container is made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<SpecHook>,
    /// Groups of the container's process (0.7.0).
    #[serde(rename = "additionalGids", skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// A device node. Type and numbers are always there: readers then need no node on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecNode {
    /// In the container.
    pub path: PathBuf,
    /// On the host, where it is called otherwise (0.5.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<PathBuf>,
    /// `c` or `b`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Major number.
    pub major: u32,
    /// Minor number. The library reads it as absent where it is 0, which means the same.
    pub minor: u32,
    /// Permission bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// A subset of `rwm`.
    pub permissions: String,
    /// Owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A bind mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecMount {
    /// On the host.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: PathBuf,
    /// Mount options.
    pub options: Vec<String>,
}

/// A hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecHook {
    /// When it runs.
    pub hook_name: String,
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// The specifications of all devices of a host that can be given, one for each kind, and what had to be
/// left out. A vendor whose common part fails loses its kind, a device without nodes only itself.
///
/// The folders of links that they mount are made on the host before this returns.
#[must_use]
pub fn specs(host: &HostRoot, inventory: &Inventory, options: &Options) -> (Vec<Spec>, Vec<Gap>) {
    let mut specs = Vec::new();
    let mut gaps = Vec::new();
    let mut kinds: Vec<String> = inventory.devices.iter().map(names::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let devices: Vec<&Device> = inventory
            .devices
            .iter()
            .filter(|device| names::kind(device) == kind)
            .collect();
        let mut writing = Writing {
            host,
            inventory,
            options,
            gaps: &mut gaps,
        };
        specs.extend(writing.spec(kind, &devices));
    }
    (specs, gaps)
}

/// What is needed to write one.
struct Writing<'a> {
    host: &'a HostRoot,
    inventory: &'a Inventory,
    options: &'a Options,
    gaps: &'a mut Vec<Gap>,
}

impl Writing<'_> {
    fn spec(&mut self, kind: String, devices: &[&Device]) -> Option<Spec> {
        let mut entries = Vec::new();
        let mut given = Vec::new();
        for device in devices {
            match self.entry(&[device]) {
                Ok(edits) => {
                    given.push(*device);
                    let of = names::names(device, self.inventory);
                    let host_names = self.host_names(device, &of);
                    entries.extend(of.into_iter().map(|name| entry(name, edits.clone())));
                    entries.extend(host_names);
                }
                Err(error) => self
                    .gaps
                    .push(Gap::new(device.id.clone(), error.to_string())),
            }
        }
        match self.entry(&given) {
            Ok(edits) if !given.is_empty() => entries.push(entry(names::ALL.to_owned(), edits)),
            Ok(_) => return None,
            Err(error) => self.gaps.push(Gap::new(
                format!("{kind}={}", names::ALL),
                error.to_string(),
            )),
        }
        let common = offer::common_edits(self.host, self.inventory, &given, self.options);
        match common {
            Ok((common, missing)) => {
                self.gaps.extend(missing);
                Some(Spec::new(kind, entries, ContainerEdits::from(&common)))
            }
            Err(error) => {
                self.gaps.push(Gap::new(kind, error.to_string()));
                None
            }
        }
    }

    /// The device under the host's names, where it is a GPU: without what several of them cannot have
    /// side by side, which are the hints and the folder of links.
    fn host_names(&self, device: &Device, of: &[String]) -> Option<SpecDevice> {
        if !offer::has_dri(device) {
            return None;
        }
        let options = Options {
            host_names: true,
            ..self.options.clone()
        };
        // What fails here has failed for the device itself and is told there.
        let offered = offer::offer_devices(self.host, self.inventory, &[device], &options);
        let (mut edits, _) = offered.ok()?;
        edits.env.retain(|name, _| !offer::is_hint(name));
        let name = format!("{}{}", names::HOST_NAMES, of.first()?);
        Some(entry(name, ContainerEdits::from(&edits)))
    }

    fn entry(&mut self, devices: &[&Device]) -> Result<ContainerEdits, OfferError> {
        let (mut edits, folder) =
            offer::offer_devices(self.host, self.inventory, devices, self.options)?;
        edits
            .mounts
            .extend(folder.and_then(|folder| self.mounted(&folder)));
        Ok(ContainerEdits::from(&edits))
    }

    fn mounted(&mut self, folder: &LinkFolder) -> Option<Mount> {
        match folder.make(self.host) {
            Ok(()) => Some(folder.mount()),
            Err(error) => {
                let gap = Gap::new("/dev/dri/by-path", error.to_string());
                if !self.gaps.contains(&gap) {
                    self.gaps.push(gap);
                }
                None
            }
        }
    }
}

fn entry(name: String, container_edits: ContainerEdits) -> SpecDevice {
    SpecDevice {
        name,
        container_edits,
    }
}

impl Spec {
    /// A specification in the lowest version that says what is in it.
    #[must_use]
    pub fn new(kind: String, devices: Vec<SpecDevice>, container_edits: ContainerEdits) -> Spec {
        let mut spec = Spec {
            cdi_version: String::new(),
            kind,
            devices,
            container_edits,
        };
        spec.lowest_version().clone_into(&mut spec.cdi_version);
        spec
    }

    /// The lowest version that has all the fields, as the library's `MinimumRequiredVersion`. Of what
    /// newer versions brought, class names with dots, annotations, RDT classes and network devices are
    /// nothing that is written here.
    fn lowest_version(&self) -> &'static str {
        let all = || {
            let devices = self.devices.iter().map(|device| &device.container_edits);
            devices.chain([&self.container_edits])
        };
        if all().any(|edits| !edits.additional_gids.is_empty()) {
            return "0.7.0";
        }
        let digit = |device: &SpecDevice| device.name.starts_with(|c: char| c.is_ascii_digit());
        let renamed = |edits: &ContainerEdits| {
            edits
                .device_nodes
                .iter()
                .any(|node| node.host_path.is_some())
        };
        if self.devices.iter().any(digit) || all().any(renamed) {
            return "0.5.0";
        }
        "0.3.0"
    }

    /// The same for engines that read no newer version than 0.5.0, such as Podman 4.3: without groups,
    /// and with nodes that belong to the container's user instead, who can then open them.
    #[must_use]
    pub fn without_groups(mut self) -> Spec {
        let devices = self
            .devices
            .iter_mut()
            .map(|device| &mut device.container_edits);
        for edits in devices.chain([&mut self.container_edits]) {
            edits.additional_gids.clear();
            for node in &mut edits.device_nodes {
                (node.uid, node.gid) = (None, None);
            }
        }
        Spec::new(self.kind, self.devices, self.container_edits)
    }

    /// The file's name: `dunnage-intel.com-gpu.json`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{FILE_PREFIX}{}.json", self.kind.replace('/', "-"))
    }

    /// The file's content: the same for the same devices.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Paths that are no UTF-8 are the one thing that could fail; no offer has them.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// All paths of the host that a container with these devices is given; sorted, each once.
    #[must_use]
    pub fn referenced_paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let devices = self.devices.iter().map(|device| &device.container_edits);
        for edits in devices.chain([&self.container_edits]) {
            for node in &edits.device_nodes {
                paths.push(node.host_path.as_ref().unwrap_or(&node.path).clone());
            }
            paths.extend(edits.mounts.iter().map(|mount| mount.host_path.clone()));
            paths.extend(edits.hooks.iter().map(|hook| hook.path.clone()));
        }
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

impl ContainerEdits {
    fn is_empty(&self) -> bool {
        *self == ContainerEdits::default()
    }
}

impl From<&Edits> for ContainerEdits {
    fn from(edits: &Edits) -> ContainerEdits {
        let env = |(name, value): (&String, &String)| format!("{name}={value}");
        ContainerEdits {
            env: edits.env.iter().map(env).collect(),
            device_nodes: edits.nodes.iter().map(spec_node).collect(),
            mounts: edits.mounts.iter().map(spec_mount).collect(),
            hooks: edits.hooks.iter().map(spec_hook).collect(),
            additional_gids: edits.additional_gids.clone(),
        }
    }
}

fn spec_node(node: &DeviceNode) -> SpecNode {
    SpecNode {
        path: node.path.clone(),
        host_path: (node.host_path != node.path).then(|| node.host_path.clone()),
        kind: node.kind.letter().to_owned(),
        major: node.major,
        minor: node.minor,
        file_mode: node.mode,
        permissions: node.permissions.to_owned(),
        uid: node.uid,
        gid: node.gid,
    }
}

fn spec_mount(mount: &Mount) -> SpecMount {
    SpecMount {
        host_path: mount.host_path.clone(),
        container_path: mount.container_path.clone(),
        options: mount
            .options
            .iter()
            .map(|&option| option.to_owned())
            .collect(),
    }
}

fn spec_hook(hook: &Hook) -> SpecHook {
    SpecHook {
        hook_name: hook.name.to_owned(),
        path: hook.path.clone(),
        args: hook.args.clone(),
    }
}

#[cfg(test)]
mod tests;
