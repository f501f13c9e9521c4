//! Gaudi and Goya of the habanalabs driver (`Documentation/ABI/testing/sysfs-driver-habanalabs`).
//!
//! Two layouts: a class of its own, with `/dev/hlN` and `/dev/hl_controlDN` (kernels before 6.4 and
//! the vendor's older drivers), and the accel class, with `/dev/accel/accelN` and
//! `/dev/accel/accel_controlDN`. The attributes are the class member's own in the first and the PCI
//! device's in the second.

use super::class_device::{self, Group, LINE_LIMIT, line, number, numbered};
use super::pci_names::PciNames;
use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Driver, Health, Kind, Node, Role, Shares};
use crate::nodes;
use dunnage_host::HostRoot;
use std::path::Path;

/// Gaudi and Goya of the habanalabs driver.
pub(super) struct Habana;

/// The name of the family.
const NAME: &str = "habana";

/// The driver and its module.
const DRIVER: &str = "habanalabs";

/// Where the driver shows its devices.
struct Layout {
    /// The class.
    class: &'static str,
    /// What a device is called there, a number behind it.
    own: &'static str,
    /// What its control node is called.
    control: &'static str,
}

/// The layouts, the older one first.
const LAYOUTS: [Layout; 2] = [
    Layout {
        class: "habanalabs",
        own: "hl",
        control: "hl_controlD",
    },
    Layout {
        class: "accel",
        own: "accel",
        control: "accel_controlD",
    },
];

/// Facts that are told as they are.
const FACTS: [(&str, &str); 8] = [
    ("armcp_ver", "firmware.armcp"),
    ("cpucp_ver", "firmware.cpucp"),
    ("fuse_ver", "firmware.fuse"),
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
        for layout in &LAYOUTS {
            let (groups, gaps) = class_device::groups(host, layout.class, |name| {
                numbered(name, layout.own).is_some() || numbered(name, layout.control).is_some()
            });
            let devices: Vec<Device> = groups
                .iter()
                .filter_map(|group| device(host, &names, group, layout))
                .collect();
            // The accel class is another family's, and its gaps are told there.
            if !devices.is_empty() {
                found.gaps.extend(gaps);
            }
            found.devices.extend(devices);
        }
        found
    }
}

fn device(host: &HostRoot, names: &PciNames, group: &Group, layout: &Layout) -> Option<Device> {
    let member = group
        .members
        .iter()
        .find(|name| numbered(name, layout.own).is_some())?;
    let mut device = group.parent.describe(host, names, NAME, Kind::Npu);
    let class_of_ours = layout.class == DRIVER;
    let ours = device
        .driver
        .as_ref()
        .is_some_and(|driver| driver.name == DRIVER);
    if !ours && !class_of_ours {
        return None;
    }
    device.aliases.push(member.clone());
    device.nodes = nodes_of(host, group, layout);
    device.driver = device.driver.or_else(|| {
        Some(Driver {
            name: DRIVER.into(),
            version: host.fact("/sys/module/habanalabs/version"),
        })
    });
    // The driver lets one program compute on a device; the control node is for any number.
    device.shares = Shares::One;
    let directory = if class_of_ours {
        Path::new("/sys/class").join(layout.class).join(member)
    } else {
        group.parent.directory.clone()
    };
    if let Some(driver) = &mut device.driver {
        // The kernel's own driver gives its module no version, and tells it of each device.
        driver.version = driver
            .version
            .take()
            .or_else(|| line(host, directory.join("driver_ver")));
    }
    describe(host, &directory, &mut device);
    Some(device)
}

/// The device's own node, and the control node behind it.
fn nodes_of(host: &HostRoot, group: &Group, layout: &Layout) -> Vec<Node> {
    let root = Path::new("/sys/class").join(layout.class);
    [(layout.own, Role::Own), (layout.control, Role::Control)]
        .iter()
        .flat_map(|(prefix, role)| {
            group
                .members
                .iter()
                .filter(|name| numbered(name, prefix).is_some())
                .filter_map(|name| nodes::of_sysfs(host, root.join(name), *role))
        })
        .collect()
}

fn describe(host: &HostRoot, directory: &Path, device: &mut Device) {
    for (file, attribute) in FACTS {
        if let Some(fact) = line(host, directory.join(file)) {
            device.attributes.insert(attribute, fact);
        }
    }
    if let Some(text) = host.fact(directory.join("preboot_btl_ver")) {
        device.attributes.insert("firmware.preboot", preboot(&text));
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
        .find_map(|attribute| device.attributes.get(attribute))
        .map(|text| version(text).to_owned());
    if let Some(chip) = device
        .attributes
        .get("device_type")
        .and_then(|sort| model(sort))
    {
        device.model = Some(chip.into());
    }
    if !matches!(device.health, Health::Unhealthy(_)) {
        device.health = health(line(host, directory.join("status")).as_deref());
    }
}

/// The firmware's version in what a file says of it: `hl-gaudi-1.2.3-fw-32.6.6-sec-4` of
/// `armcpd version hl-gaudi-1.2.3-fw-32.6.6-sec-4 (Jan 04 2023 - 20:47:16)`; all of it where it is of
/// another form.
fn version(text: &str) -> &str {
    text.split_whitespace()
        .find(|word| word.starts_with("hl-"))
        .unwrap_or(text)
}

/// What the file says of the preboot firmware. A line on the boot loader below it (`BTL version`) may
/// stand before.
fn preboot(text: &str) -> String {
    let of_preboot = text.lines().find(|line| line.starts_with("Preboot"));
    of_preboot
        .or_else(|| text.lines().next())
        .unwrap_or_default()
        .trim()
        .chars()
        .take(LINE_LIMIT)
        .collect()
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
        for bad in [
            "disabled",
            "malfunction",
            "needs reset",
            "in reset",
            "in device creation",
            "in reset after device release",
        ] {
            assert!(
                matches!(health(Some(bad)), Health::Unhealthy(why) if why.contains(bad)),
                "{bad}"
            );
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

    #[test]
    fn versions_are_told_without_what_stands_around_them() {
        let of_a_device = "armcpd version hl-gaudi-1.2.3-fw-32.6.6-sec-4 (Jan 04 2023 - 20:47:16)";
        assert_eq!(version(of_a_device), "hl-gaudi-1.2.3-fw-32.6.6-sec-4");
        assert_eq!(version("32.6.6"), "32.6.6");
        assert_eq!(
            preboot("BTL version 9f\nPreboot version hl-1\n"),
            "Preboot version hl-1"
        );
        assert_eq!(preboot("something else\n"), "something else");
        assert_eq!(preboot(""), "");
    }

    proptest! {
        #[test]
        fn any_word_can_be_read(word in "\\PC{0,60}") {
            let _ = (health(Some(&word)), model(&word), version(&word), preboot(&word));
        }
    }
}
