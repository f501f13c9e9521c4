//! The names by which engines ask for devices: `vendor.com/class=name`, as the parser of the CDI
//! library takes them (`pkg/parser/parser.go`), which is stricter than SPEC.md.
//!
//! | name | is |
//! | --- | --- |
//! | `intel.com/gpu=0` | the first of its kind; a GPU is `renderD128` inside, whatever the host calls it |
//! | `intel.com/gpu=0000:65:00.0` | the same by its id |
//! | `intel.com/gpu=all` | all of its kind, merged: `renderD128`, `renderD129`, ... |
//! | `intel.com/gpu=host-0` | the same device under the host's names of its nodes |
//!
//! Engines apply each name by itself and know nothing of the others. So of the names that put a GPU at
//! `renderD128` a container can have one; several GPUs are asked for by `all` or by their `host-`
//! names, which can be combined. The generators of this crate always choose names that go together.

use crate::offer;
use dunnage_inventory::{Device, Inventory};

/// What stands in front of a name under which a GPU keeps the host's names.
pub const HOST_NAMES: &str = "host-";
/// The name of all devices of a kind.
pub const ALL: &str = "all";

/// The kind of a device: `nvidia.com/gpu`.
#[must_use]
pub fn kind(device: &Device) -> String {
    format!("{}/{}", domain(&device.vendor), class(device))
}

/// The name of a device, the first of its [`names`]: `nvidia.com/gpu=0`.
#[must_use]
pub fn qualified_name(device: &Device, inventory: &Inventory) -> String {
    format!("{}={}", kind(device), index(device, inventory))
}

/// All names of a device within its kind: its index, its id.
#[must_use]
pub fn names(device: &Device, inventory: &Inventory) -> Vec<String> {
    let mut names = vec![index(device, inventory)];
    names.extend(device_name(&device.id).filter(|id| is_free(id, device, inventory)));
    names
}

/// The names by which these devices are asked for together, so that they do not get into each other's
/// way.
#[must_use]
pub fn together(devices: &[&Device], inventory: &Inventory) -> Vec<String> {
    let gpus = devices
        .iter()
        .filter(|device| offer::has_dri(device))
        .count();
    devices
        .iter()
        .map(|device| {
            let index = index(device, inventory);
            let prefix = if gpus > 1 && offer::has_dri(device) {
                HOST_NAMES
            } else {
                ""
            };
            format!("{}={prefix}{index}", kind(device))
        })
        .collect()
}

/// The device that a name means: a qualified one, or an id or other name of the inventory. `all` means
/// several.
#[must_use]
pub fn resolve<'i>(name: &str, inventory: &'i Inventory) -> Vec<&'i Device> {
    let Some((wanted, local)) = name.split_once('=') else {
        return inventory.find(name).into_iter().collect();
    };
    let of_kind = inventory.devices.iter().filter(|one| kind(one) == wanted);
    if local == ALL {
        return of_kind.filter(|one| !one.nodes.is_empty()).collect();
    }
    let plain = local.strip_prefix(HOST_NAMES);
    let by = |local: &str| {
        inventory
            .devices
            .iter()
            .find(|one| kind(one) == wanted && names(one, inventory).iter().any(|n| n == local))
    };
    by(local)
        .or_else(|| plain.and_then(by).filter(|one| offer::has_dri(one)))
        .into_iter()
        .collect()
}

/// Whether both are of one kind; quicker than to compare the two names of it, because a rule may
/// select thousands of devices.
fn same_kind(one: &Device, other: &Device) -> bool {
    class(one) == class(other) && (one.vendor == other.vendor || kind(one) == kind(other))
}

/// The number of a device among those of its kind; a part of another one is `whole:part`, as MIG
/// instances are called elsewhere too.
fn index(device: &Device, inventory: &Inventory) -> String {
    let of_kind = || {
        inventory
            .devices
            .iter()
            .filter(|one| same_kind(one, device))
    };
    let whole = |one: &Device| parent(one, inventory).is_none_or(|of| !same_kind(of, device));
    let position = |mut those: Box<dyn Iterator<Item = &Device> + '_>| {
        those.position(|one| one.id == device.id).unwrap_or(0)
    };
    match parent(device, inventory).filter(|of| same_kind(of, device)) {
        Some(of) => {
            let part = position(Box::new(
                of_kind().filter(|one| one.parent.as_ref() == Some(&of.id)),
            ));
            format!("{}:{part}", index_of_whole(of, inventory))
        }
        None => position(Box::new(of_kind().filter(|one| whole(one)))).to_string(),
    }
}

/// The number of a whole. A part of a part is counted under its own whole alone, so that devices whose
/// parents form a loop end here.
fn index_of_whole(device: &Device, inventory: &Inventory) -> usize {
    inventory
        .devices
        .iter()
        .filter(|one| same_kind(one, device))
        .filter(|one| parent(one, inventory).is_none_or(|of| !same_kind(of, device)))
        .position(|one| one.id == device.id)
        .unwrap_or(0)
}

fn parent<'i>(device: &Device, inventory: &'i Inventory) -> Option<&'i Device> {
    let id = device.parent.as_ref()?;
    inventory
        .devices
        .iter()
        .find(|one| one.id == *id && one.id != device.id)
}

/// Whether an id can be a name: no index, no reserved word, and no other device's.
fn is_free(id: &str, device: &Device, inventory: &Inventory) -> bool {
    let twin = |one: &Device| {
        one.id != device.id
            && (one.id == id || !is_name(&one.id) && device_name(&one.id).as_deref() == Some(id))
    };
    // Nothing but digits and colons is in an index.
    let may_be_index = id.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let taken = |one: &Device| twin(one) || may_be_index && index(one, inventory) == id;
    id != ALL
        && !id.starts_with(HOST_NAMES)
        && !(inventory.devices.iter()).any(|one| same_kind(one, device) && taken(one))
}

/// `intel` becomes `intel.com`; a vendor with a dot keeps its name; a vendor that only has a PCI id is
/// `pci-1d0f.dunnage`.
fn domain(vendor: &str) -> String {
    match vendor {
        "nvidia" | "intel" | "amd" | "xilinx" => format!("{vendor}.com"),
        "habana" => "habana.ai".to_owned(),
        _ => {
            let clean = clean(vendor.strip_prefix("0x").unwrap_or(vendor), "");
            let lettered = clean.starts_with(|first: char| first.is_ascii_alphabetic());
            match (lettered && !is_pci_id(vendor), clean.contains('.')) {
                (true, true) => clean,
                (true, false) => format!("{clean}.dunnage"),
                (false, _) if clean.is_empty() => "other.dunnage".to_owned(),
                (false, _) => format!("pci-{clean}.dunnage"),
            }
        }
    }
}

fn is_pci_id(vendor: &str) -> bool {
    let digits = vendor.strip_prefix("0x").unwrap_or(vendor);
    digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The class: the contract's word for the kind; VFIO groups and devices of rules have their own.
fn class(device: &Device) -> &'static str {
    match device.family {
        "vfio" => "vfio",
        _ if device.kind == dunnage_inventory::Kind::Other => "device",
        _ => device.kind.as_str(),
    }
}

/// An id as a device name; `None` where nothing of it is left.
fn device_name(id: &str) -> Option<String> {
    Some(clean(id, ":")).filter(|name| !name.is_empty())
}

/// Whether an id is a name as it stands.
fn is_name(id: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = id.as_bytes();
    let allowed = |c: char| is_allowed(c, ":");
    id.len() <= LONGEST && edge(bytes.first()) && edge(bytes.last()) && id.chars().all(allowed)
}

/// The longest name, in characters.
const LONGEST: usize = 128;

fn is_allowed(c: char, more: &str) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c) || more.contains(c)
}

/// The characters that a name may have, others replaced by `-`; the first and the last are letters or
/// digits; at most 128 of them.
fn clean(text: &str, more: &str) -> String {
    let replaced: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if is_allowed(c, more) { c } else { '-' })
        .collect();
    replaced
        .trim_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_owned()
}

#[cfg(test)]
mod tests;
