//! GPUs of Intel and AMD. Their user-space drivers belong into the image: they follow the kernel's
//! stable interface, so that nothing of the host is mounted. A container gets the nodes, the groups
//! that may open them, and a hint which driver of libva is right.

use super::edits::Edits;
use super::plain;
use dunnage_inventory::{Device, Inventory};

/// The nodes and the hints. `/dev/kfd`, which AMD's compute stack needs beside the render node, is one
/// of the device's nodes (`Role::Control`).
pub(super) fn device_edits(device: &Device, inventory: &Inventory) -> Edits {
    let mut edits = plain::device_edits(device, inventory);
    let driver = device.driver.as_ref().map(|driver| driver.name.as_str());
    let id = device.pci.as_ref().map(|pci| pci.device);
    for (name, value) in hints(driver, id) {
        edits.env.insert((*name).to_owned(), (*value).to_owned());
    }
    edits
}

/// What media libraries are told of the driver. libva asks the kernel driver's name by itself, and
/// inside a container finds it by the node's real name only, which may not be the one it has there.
fn hints(driver: Option<&str>, id: Option<u16>) -> &'static [(&'static str, &'static str)] {
    match driver {
        Some("i915") if id.is_some_and(before_broadwell) => &[("LIBVA_DRIVER_NAME", "i965")],
        Some("i915" | "xe") => &[("LIBVA_DRIVER_NAME", "iHD")],
        Some("amdgpu") => &[
            ("LIBVA_DRIVER_NAME", "radeonsi"),
            ("VDPAU_DRIVER", "radeonsi"),
        ],
        _ => &[],
    }
}

/// Whether a variable is one of the hints.
#[must_use]
pub fn is_hint(variable: &str) -> bool {
    matches!(variable, "LIBVA_DRIVER_NAME" | "VDPAU_DRIVER")
}

/// Whether an Intel GPU is older than what the iHD driver serves (Broadwell and later), by the ids of
/// `include/drm/intel/pciids.h`: Ironlake, Sandy Bridge, Ivy Bridge, Haswell, Bay Trail; and Cherry
/// Trail, which is later and not served either.
fn before_broadwell(id: u16) -> bool {
    let series = id >> 8;
    matches!(id, 0x0042 | 0x0046)
        || matches!(series, 0x01 | 0x04 | 0x0a | 0x0c | 0x0d | 0x0f | 0x22)
        || matches!(series, 0x25..=0x2e)
}

#[cfg(test)]
mod tests {
    use super::hints;

    #[test]
    fn the_hint_follows_the_driver_and_the_generation() {
        let libva = |driver, id| hints(Some(driver), id).first().map(|hint| hint.1);
        assert_eq!(libva("i915", Some(0x5912)), Some("iHD"));
        assert_eq!(libva("i915", Some(0x0412)), Some("i965"));
        assert_eq!(libva("xe", Some(0x56a0)), Some("iHD"));
        assert_eq!(libva("amdgpu", None), Some("radeonsi"));
        assert_eq!(libva("nouveau", None), None);
    }
}
