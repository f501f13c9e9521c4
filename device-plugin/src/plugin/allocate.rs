//! What a container is given with the devices that the kubelet chose.

use super::api::{CdiDevice, ContainerAllocateResponse, DeviceSpec, Mount};
use crate::cdi::names::together;
use crate::offer::{self, Edits, OfferError, Options};
use clap::ValueEnum;
use dunnage_host::HostRoot;
use dunnage_inventory::{Device, Inventory};
use std::path::Path;

/// How devices are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Give {
    /// By nodes, mounts and environment, which every kubelet and runtime understands
    #[default]
    Nodes,
    /// By CDI names: Kubernetes 1.28 or later, containerd 1.7 or CRI-O 1.24 or later, and `devices cdi
    /// --watch` beside it
    Cdi,
}

/// What all containers with devices of one resource are given once: it changes with the driver alone.
#[derive(Clone, Debug, Default)]
pub struct Common(Edits);

impl Common {
    /// For these devices.
    ///
    /// # Errors
    /// Where a vendor's part cannot be put together.
    pub fn of(
        host: &HostRoot,
        inventory: &Inventory,
        devices: &[&Device],
        options: &Options,
    ) -> Result<Common, OfferError> {
        offer::common_edits(host, inventory, devices, options).map(|(edits, _)| Common(edits))
    }
}

/// By CDI names.
#[must_use]
pub fn by_names(devices: &[&Device], inventory: &Inventory) -> ContainerAllocateResponse {
    let names = together(devices, inventory).into_iter();
    ContainerAllocateResponse {
        cdi_devices: names.map(|name| CdiDevice { name }).collect(),
        ..ContainerAllocateResponse::default()
    }
}

/// By nodes, mounts and environment.
///
/// # Errors
/// Where the devices cannot be given together.
pub fn by_nodes(
    host: &HostRoot,
    inventory: &Inventory,
    devices: &[&Device],
    common: &Common,
    options: &Options,
) -> Result<ContainerAllocateResponse, OfferError> {
    let (mut edits, folder) = offer::offer_devices(host, inventory, devices, options)?;
    // Without the folder the container goes without `/dev/dri/by-path`, and works.
    if let Some(folder) = folder.filter(|folder| folder.make(host).is_ok()) {
        edits.mounts.push(folder.mount());
    }
    edits.merge(common.0.clone())?;
    Ok(ContainerAllocateResponse {
        envs: edits.env.into_iter().collect(),
        mounts: edits
            .mounts
            .iter()
            .map(|mount| Mount {
                container_path: text(&mount.container_path),
                host_path: text(&mount.host_path),
                read_only: mount.options.contains(&"ro"),
            })
            .collect(),
        devices: edits
            .nodes
            .iter()
            .map(|node| DeviceSpec {
                container_path: text(&node.path),
                host_path: text(&node.host_path),
                permissions: node.permissions.to_owned(),
            })
            .collect(),
        ..ContainerAllocateResponse::default()
    })
}

/// A path as protobuf's strings can hold it. What is no UTF-8 names no file that a vendor ships.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
