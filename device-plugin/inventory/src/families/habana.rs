//! Gaudi and Goya of the habanalabs driver (`Documentation/ABI/testing/sysfs-driver-habanalabs`).
//!
//! Two layouts: a class of its own, with `/dev/hlN` and `/dev/hl_controlDN` (kernels before 6.4 and
//! the vendor's older drivers), and the accel class, with `/dev/accel/accelN` and
//! `/dev/accel/accel_controlDN`. The attributes are the class member's own in the first and the PCI
//! device's in the second.

use super::class_device::{self, Group, line, number, numbered};
use super::pci_names::PciNames;
use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Driver, Health, Kind, Role, Shares};
use crate::nodes;
use dunnage_host::HostRoot;
use std::path::Path;

/// Gaudi and Goya of the habanalabs driver.
pub(super) struct Habana;

/// The name of the family.
const NAME: &str = "habana";

/// The driver and its module.
const DRIVER: &str = "habanalabs";

/// The classes, with what the devices and their control nodes are called in each.
const LAYOUTS: [(&str, &str, &str); 2] = [
    ("habanalabs", "hl", "hl_controlD"),
    ("accel", "accel", "accel_controlD"),
];

/// Facts that are told as they are.
const FACTS: [(&str, &str); 9] = [
    ("armcp_ver", "firmware.armcp"),
    ("cpucp_ver", "firmware.cpucp"),
    ("fuse_ver", "firmware.fuse"),
    ("preboot_btl_ver", "firmware.preboot"),
    ("uboot_ver", "firmware.uboot"),
    ("fw_os_ver", "firmware.os"),
    ("device_type", "device_type"),
    ("module_id", "module_id"),
    ("parent_device", "parent_device"),
];

impl Family for Habana {
    fn name(&self) -> &'static str {
        NAME
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let names = PciNames::default();
        let mut found = Found::default();
        for (class, own, control) in LAYOUTS {
            let (groups, gaps) = class_device::groups(host, class, |name| {
                numbered(name, own).is_some() || numbered(name, control).is_some()
            });
            let before = found.devices.len();
            for group in &groups {
                if let Some(device) = device(host, &names, group, class, own, control) {
                    found.devices.push(device);
                }
            }
            // The accel class is another family's, and its gaps are told there.
            if found.devices.len() > before {
                found.gaps.extend(gaps);
            }
        }
        found
    }
}

fn device(
    host: &HostRoot,
    names: &PciNames,
    group: &Group,
    class: &str,
    own: &str,
    control: &str,
) -> Option<Device> {
    let member = group
        .members
        .iter()
        .find(|name| numbered(name, own).is_some())?;
    let mut device = group.parent.describe(host, names, NAME, Kind::Npu);
    let ours = device
        .driver
        .as_ref()
        .is_some_and(|driver| driver.name == DRIVER);
    if !ours && class != DRIVER {
        return None;
    }
    let root = Path::new("/sys/class").join(class);
    let directory = if class == DRIVER {
        root.join(member)
    } else {
        group.parent.directory.clone()
    };
    device.aliases.push(member.clone());
    device
        .nodes
        .extend(nodes::of_sysfs(host, root.join(member), Role::Own));
    let controls = group
        .members
        .iter()
        .filter(|name| numbered(name, control).is_some());
    device.nodes.extend(
        controls.filter_map(|name| nodes::of_sysfs(host, root.join(name), Role::Control)),
    );
    device.driver = device.driver.or_else(|| {
        Some(Driver {
            name: DRIVER.into(),
            version: host.fact("/sys/module/habanalabs/version"),
        })
    });
    // The driver lets one program compute on a device; the control node is for any number.
    device.shares = Shares::One;
    describe(host, &directory, &mut device);
    Some(device)
}

fn describe(host: &HostRoot, directory: &Path, device: &mut Device) {
    for (file, attribute) in FACTS {
        if let Some(fact) = line(host, directory.join(file)) {
            device.attributes.insert(attribute, fact);
        }
    }
    for (file, attribute) in [
        ("soft_reset_cnt", "resets.soft"),
        ("hard_reset_cnt", "resets.hard"),
    ] {
        if let Some(count) = number(host, directory.join(file)) {
            device.attributes.insert(attribute, count.to_string());
        }
    }
    device.firmware = ["firmware.cpucp", "firmware.armcp", "firmware.os"]
        .iter()
        .find_map(|attribute| device.attributes.get(attribute).cloned());
    if let Some(chip) = device.attributes.get("device_type").and_then(|sort| model(sort)) {
        device.model = Some(chip.into());
    }
    if !matches!(device.health, Health::Unhealthy(_)) {
        device.health = health(line(host, directory.join("status")).as_deref());
    }
}

/// The product, by the driver's own name of the chip.
fn model(device_type: &str) -> Option<&'static str> {
    Some(match device_type.split_whitespace().next()? {
        "GOYA" => "Goya",
        "GAUDI" => "Gaudi",
        "GAUDI2" => "Gaudi 2",
        "GAUDI2B" => "Gaudi 2B",
        "GAUDI2C" => "Gaudi 2C",
        "GAUDI2D" => "Gaudi 2D",
        "GAUDI3" => "Gaudi 3",
        _ => return None,
    })
}

/// The driver's word for the state: those of `hl_device_status` in `include/uapi/drm/habanalabs_accel.h`.
fn health(status: Option<&str>) -> Health {
    let Some(status) = status else {
        return Health::Unknown("the driver gives no status file".into());
    };
    let word = status.to_ascii_lowercase();
    match word.as_str() {
        "operational" => Health::Healthy,
        "disabled" | "malfunction" => Health::Unhealthy(format!(
            "the driver disabled it (status: {status}); see the kernel's log, and reset it or load the driver again"
        )),
        "needs reset" => Health::Unhealthy(format!(
            "it waits for a reset (status: {status}); load the driver again"
        )),
        _ if word.contains("reset") || word.contains("creation") => Health::Unhealthy(format!(
            "it is starting or being reset (status: {status}); this passes"
        )),
        _ => Health::Unknown(format!("the driver says `{status}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_status_of_the_driver_is_understood() {
        assert_eq!(health(Some("operational")), Health::Healthy);
        assert_eq!(health(Some("Operational")), Health::Healthy);
        for bad in ["disabled", "malfunction", "needs reset", "in reset", "in device creation", "in reset after device release"] {
            assert!(matches!(health(Some(bad)), Health::Unhealthy(why) if why.contains(bad)), "{bad}");
        }
        assert!(matches!(health(Some("new word")), Health::Unknown(_)));
        assert!(matches!(health(None), Health::Unknown(_)));
    }

    #[test]
    fn chips_are_named() {
        assert_eq!(model("GAUDI SEC"), Some("Gaudi"));
        assert_eq!(model("GAUDI3"), Some("Gaudi 3"));
        assert_eq!(model("SOMETHING"), None);
    }

    proptest! {
        #[test]
        fn any_word_can_be_read(word in "\\PC{0,60}") {
            let _ = (health(Some(&word)), model(&word));
        }
    }
}
