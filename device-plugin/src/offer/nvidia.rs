//! GPUs of NVIDIA. Beside the nodes a container needs the host's user-space driver, because it must be
//! of the same version as the kernel module.
//!
//! **No hooks.** NVIDIA's own toolkit mounts the libraries under their full names and has a program
//! run on the host, as root and inside a root file system that an image's author filled, which makes
//! the links and runs ldconfig (CVE-2025-23266 was an image that made it run the image's code). Here
//! each library is mounted under every name that a loader asks for, in the folders that loaders search
//! without being told. Nothing runs, nothing of the image is changed, and no environment variable that
//! an image may have set itself (`LD_LIBRARY_PATH`) is replaced.
//!
//! Which folders: glibc as Debian builds it (Ubuntu, distroless) searches `/usr/lib/<triplet>` and
//! `/usr/lib`, as others build it (RHEL, SUSE, Amazon) `/usr/lib64`, musl (Alpine) `/usr/lib`. The
//! first is used although Debian searches the last as well: there, a driver that the image has
//! installed itself is covered by the host's.

use super::edits::{Edits, Mount};
use super::{OfferError, Options, plain};
use dunnage_host::HostRoot;
use dunnage_inventory::driver_files::nvidia::find;
use dunnage_inventory::driver_files::{
    DriverFile, DriverFiles, DriverFilesError, FileKind, Machine, Search,
};
use dunnage_inventory::{Device, Inventory, Node, Role};
use dunnage_model::gap::Gap;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Of a file that is only read.
const READ_ONLY: &[&str] = &["ro", "nosuid", "nodev", "rbind", "rprivate"];

/// Of a socket: whoever connects must be able to write.
const SOCKET: &[&str] = &["nosuid", "nodev", "noexec", "rbind", "rprivate"];

/// Whether a device is one of them: it has a node that NVIDIA's own driver makes. A card that another
/// driver runs (nouveau, vfio-pci) is none.
pub(super) fn serves(device: &Device) -> bool {
    device
        .nodes
        .iter()
        .any(|node| node.role == Role::Own && of_nvidia(&node.path))
}

/// `/dev/nvidia0`, `/dev/nvidia-caps/nvidia-cap12`.
fn of_nvidia(node: &Path) -> bool {
    let below = node.strip_prefix("/dev").ok().and_then(Path::to_str);
    below.is_some_and(|name| name.starts_with("nvidia"))
}

/// The nodes of one GPU, or of one MIG instance: its own rights, and the node of the GPU that it is
/// part of. The DRM nodes of that GPU are not given with an instance unless it has them itself.
/// What all GPUs share is in [`common_edits`].
pub(super) fn device_edits(device: &Device, inventory: &Inventory) -> Edits {
    let parent = device.parent.as_deref().and_then(|id| inventory.find(id));
    let of_parent = parent
        .into_iter()
        .flat_map(|parent| &parent.nodes)
        .filter(|node| node.role == Role::Own);
    plain::edits_of(of_parent.chain(plain::ordinary(device).filter(|node| !is_shared(node))))
}

/// What every container with a GPU of NVIDIA's gets once: the nodes that all GPUs share, and the files
/// of the driver. A host without the driver's libraries gives the nodes alone, which is a gap.
///
/// # Errors
/// The driver root that was asked for is not there.
pub(super) fn common_edits(
    host: &HostRoot,
    inventory: &Inventory,
    options: &Options,
) -> Result<(Edits, Vec<Gap>), OfferError> {
    let search = Search {
        driver_root: options.driver_root.clone(),
    };
    let mut edits = shared_nodes(inventory);
    // Where NVIDIA's own runtime is the engine's default, it shall not add a second driver.
    edits
        .env
        .insert("NVIDIA_VISIBLE_DEVICES".to_owned(), "void".to_owned());
    match find(host, &search) {
        Ok(files) => {
            edits.mounts = mounts(&files);
            Ok((edits, files.gaps))
        }
        Err(error @ DriverFilesError::NoDriver { .. }) => {
            let gap = Gap::new("NVIDIA driver files", error.to_string());
            Ok((edits, vec![gap]))
        }
        Err(error @ DriverFilesError::Root { .. }) => Err(OfferError::Vendor {
            what: "the files of NVIDIA's driver".to_owned(),
            why: error.to_string(),
        }),
    }
}

/// `/dev/nvidiactl`, `/dev/nvidia-uvm` and the like, once.
fn shared_nodes(inventory: &Inventory) -> Edits {
    let nodes = inventory
        .devices
        .iter()
        .filter(|device| serves(device))
        .flat_map(|device| &device.nodes)
        .filter(|node| is_shared(node));
    plain::edits_of(nodes)
}

fn is_shared(node: &Node) -> bool {
    node.role == Role::Control
}

/// Each file at each of its places, no place twice.
fn mounts(files: &DriverFiles) -> Vec<Mount> {
    let mut taken = BTreeSet::new();
    let mut mounts = Vec::new();
    for file in &files.files {
        let options = match file.kind {
            FileKind::Socket => SOCKET,
            _ => READ_ONLY,
        };
        for container_path in places(file, files.machine) {
            if taken.insert(container_path.clone()) {
                mounts.push(Mount {
                    host_path: file.host_path.clone(),
                    container_path,
                    options: options.to_vec(),
                });
            }
        }
    }
    mounts
}

/// Where a container finds a file.
fn places(file: &DriverFile, machine: Machine) -> Vec<PathBuf> {
    let path = &file.container_path;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let own_name = path.file_name().map(PathBuf::from);
    let names = own_name.iter().chain(&file.links);
    match file.kind {
        FileKind::Library => {
            let searched = [
                &format!("/usr/lib/{}", machine.triplet()),
                "/usr/lib64",
                "/usr/lib",
            ];
            searched
                .into_iter()
                .flat_map(|folder| names.clone().map(move |name| Path::new(folder).join(name)))
                .collect()
        }
        FileKind::XorgModule => names.map(|name| folder.join(name)).collect(),
        FileKind::Binary | FileKind::Firmware | FileKind::Socket | FileKind::Configuration => {
            vec![path.clone()]
        }
    }
}

#[cfg(test)]
mod tests;
