//! What a container is given with a device: a file a vendor, and what is common to all.
//!
//! [`edits_for`] is the one way to the changes that a set of devices makes to a container. Every
//! engine, the kubelet's plugin and the CDI files say the same thing in their own words, because all
//! of them start here.

mod dri;
mod edits;
mod gpu;
mod links;
mod plain;
mod vfio;

pub use dri::{has_dri, is_render};
pub use edits::{DeviceNode, Edits, Hook, Mount, NodeKind};
pub use gpu::is_hint;
pub use links::LinkFolder;

use dunnage_host::HostRoot;
use dunnage_inventory::{Device, Inventory};
use dunnage_model::gap::Gap;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How devices are offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where NVIDIA's driver is installed, as the host names it: `/`, or the folder that a driver
    /// container fills (`/run/nvidia/driver`).
    pub driver_root: PathBuf,
    /// Where prepared folders of links are kept, as the host names it.
    pub links_dir: PathBuf,
    /// Whether GPUs keep the host's names of their nodes. Else the first one that a container is given
    /// is `/dev/dri/renderD128` and `/dev/dri/card0`, whatever the host calls it, and so on.
    pub host_names: bool,
    /// Whether nodes for administration are given too (`/dev/dfl-fme.N`, `/dev/xclmgmt*`): whoever can
    /// open one can load another design, or take the card from its other users.
    pub management: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            driver_root: PathBuf::from("/"),
            links_dir: PathBuf::from("/var/lib/dunnage/links"),
            host_names: false,
            management: false,
        }
    }
}

/// Why a device cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// It has no device node.
    #[error(
        "{id} ({family}) has no device node that a container could open: is its driver bound? \
         `dunnage devices` shows what was found"
    )]
    NoNodes {
        /// The device's id.
        id: String,
        /// Its family.
        family: &'static str,
    },
    /// Two of the devices want different things at one place.
    #[error("{first} and {second} cannot be given to one container: both want to be {what}")]
    Collision {
        /// A node or mount of one device.
        first: String,
        /// That of the other.
        second: String,
        /// The place in the container.
        what: String,
    },
    /// The vendor's part could not be put together.
    #[error("{what}: {why}")]
    Vendor {
        /// What was tried.
        what: String,
        /// Why it failed, and what to do.
        why: String,
    },
}

/// Changes, and what had to be left out of them.
type Offered = Result<(Edits, Vec<Gap>), OfferError>;

/// How one sort of devices is given.
struct Vendor {
    /// Which devices this is about, by what they have rather than by who found them.
    serves: fn(&Device) -> bool,
    /// What one device needs.
    device: fn(&Device, &Inventory) -> Edits,
    /// What they need once, however many are given: libraries, sockets.
    common: fn(&HostRoot, &Inventory, &Options) -> Offered,
}

/// All that need more than their device's own nodes; the first that serves a device has it. A device
/// that none serves is given by [`plain`].
static VENDORS: &[Vendor] = &[
    Vendor {
        serves: dri::has_dri,
        device: gpu::device_edits,
        common: nothing,
    },
    Vendor {
        serves: vfio::serves,
        device: vfio::device_edits,
        common: nothing,
    },
];

static PLAIN: Vendor = Vendor {
    serves: |_| true,
    device: plain::device_edits,
    common: nothing,
};

fn vendor(device: &Device) -> &'static Vendor {
    VENDORS
        .iter()
        .find(|vendor| (vendor.serves)(device))
        .unwrap_or(&PLAIN)
}

fn nothing(_: &HostRoot, _: &Inventory, _: &Options) -> Offered {
    Ok((Edits::default(), Vec::new()))
}

/// The changes that `devices`, given together, make to a container, the vendors' common parts
/// included once. As [`offer`]; what could not be had and is not vital is left out silently.
///
/// # Errors
/// As [`offer`].
pub fn edits_for(
    host: &HostRoot,
    inventory: &Inventory,
    devices: &[&Device],
    options: &Options,
) -> Result<Edits, OfferError> {
    offer(host, inventory, devices, options).map(|(edits, _)| edits)
}

/// The changes that `devices`, given together, make to a container, the vendors' common parts
/// included once, and what had to be left out.
///
/// A folder of links that the changes mount is made on the host, below [`Options::links_dir`], before
/// this returns: nobody is told of a path that is not there. Where it cannot be made, the container
/// goes without `/dev/dri/by-path`, which is a gap.
///
/// # Errors
/// A device has no nodes, two devices want one place in the container, or a vendor's part fails.
pub fn offer(
    host: &HostRoot,
    inventory: &Inventory,
    devices: &[&Device],
    options: &Options,
) -> Result<(Edits, Vec<Gap>), OfferError> {
    let mut edits = device_edits(inventory, devices, options)?;
    let mut gaps = Vec::new();
    if let Some(folder) = dri::arrange(host, &mut edits, devices, options) {
        match folder.make(host) {
            Ok(()) => edits.mounts.push(folder.mount()),
            Err(error) => gaps.push(Gap::new("/dev/dri/by-path", error.to_string())),
        }
    }
    let (common, more) = common_edits(host, inventory, devices, options)?;
    edits.merge(common)?;
    gaps.extend(more);
    Ok((edits, gaps))
}

/// What the devices need by themselves, under the host's names, without the common parts.
fn device_edits(
    inventory: &Inventory,
    devices: &[&Device],
    options: &Options,
) -> Result<Edits, OfferError> {
    let mut edits = Edits::default();
    let mut env: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for device in devices {
        let mut own = (vendor(device).device)(device, inventory);
        for (name, value) in std::mem::take(&mut own.env) {
            env.entry(name).or_default().insert(value);
        }
        if options.management {
            own.merge(plain::management_edits(device))?;
        }
        if own.nodes.is_empty() {
            return Err(OfferError::NoNodes {
                id: device.id.clone(),
                family: device.family,
            });
        }
        edits.merge(own)?;
    }
    // A hint that is right for one device and wrong for another helps nobody, nor do the others then.
    let agreed = env.values().all(|values| values.len() == 1);
    edits.env = env
        .into_iter()
        .filter(|(name, values)| values.len() == 1 && (agreed || !is_hint(name)))
        .flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)))
        .collect();
    Ok(edits)
}

/// The common parts of the vendors of `devices`, each once.
///
/// # Errors
/// A vendor's part fails, or two of them collide.
pub(crate) fn common_edits(
    host: &HostRoot,
    inventory: &Inventory,
    devices: &[&Device],
    options: &Options,
) -> Result<(Edits, Vec<Gap>), OfferError> {
    let mut edits = Edits::default();
    let mut gaps = Vec::new();
    for one in VENDORS {
        let wanted = devices
            .iter()
            .any(|device| std::ptr::eq(vendor(device), one));
        if wanted {
            let (more, missing) = (one.common)(host, inventory, options)?;
            edits.merge(more)?;
            gaps.extend(missing);
        }
    }
    Ok((edits, gaps))
}

/// As [`offer`], without the common parts: for CDI, where they stand once in a file.
pub(crate) fn offer_devices(
    host: &HostRoot,
    inventory: &Inventory,
    devices: &[&Device],
    options: &Options,
) -> Result<(Edits, Option<LinkFolder>), OfferError> {
    let mut edits = device_edits(inventory, devices, options)?;
    let folder = dri::arrange(host, &mut edits, devices, options);
    Ok((edits, folder))
}

#[cfg(test)]
pub(crate) mod tests;
