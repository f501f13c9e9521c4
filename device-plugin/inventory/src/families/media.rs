//! Codecs of V4L2 (memory-to-memory devices, `Documentation/userspace-api/media/v4l/dev-mem2mem.rst`)
//! with the media controllers that stateless ones need.
//!
//! sysfs has no word for a codec: what tells it from a camera is a capability that only an ioctl on
//! the open node gives, and looking must not open what others use. So a device counts by its driver,
//! or by the kernel's name of its nodes where the driver is not known. What cannot be told is left
//! out, and nothing on USB ever counts: a webcam is no accelerator.

use super::class_device::{self, Group, Parent, line, numbered};
use super::pci_names::PciNames;
use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Health, Kind, Node, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use std::path::Path;

/// Codecs of V4L2.
pub(super) struct Media;

/// The class.
const CLASS: &str = "/sys/class/video4linux";

/// Where the media controllers are.
const CONTROLLERS: &str = "/sys/bus/media/devices";

/// How a codec is driven: with the stream alone, or with the parsed headers of each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Stateful,
    Stateless,
    /// Both kinds of nodes, or one that depends on the chip.
    Mixed,
}

/// Drivers of codecs by the name in `/sys/bus/*/drivers`.
const DRIVERS: [(&str, Api); 31] = [
    ("allegro", Api::Stateful),
    ("amphion-vpu", Api::Stateful),
    ("amphion-vpu-core", Api::Stateful),
    ("bcm2835-codec", Api::Stateful),
    ("cedrus", Api::Stateless),
    ("coda", Api::Stateful),
    ("e5010", Api::Stateful),
    ("hantro-vpu", Api::Mixed),
    ("meson-vdec", Api::Stateful),
    ("mtk-jpeg", Api::Stateful),
    ("mtk-jpegdec-hw", Api::Stateful),
    ("mtk-jpegenc-hw", Api::Stateful),
    ("mtk-vcodec-dec", Api::Mixed),
    ("mtk-vcodec-enc", Api::Stateful),
    ("mxc-jpeg", Api::Stateful),
    ("qcom-iris", Api::Stateful),
    ("qcom-venus", Api::Stateful),
    ("qcom-venus-decoder", Api::Stateful),
    ("qcom-venus-encoder", Api::Stateful),
    ("rcar_jpu", Api::Stateful),
    ("rkvdec", Api::Stateless),
    ("rkvdec2", Api::Stateless),
    ("rpi-hevc-dec", Api::Stateless),
    ("rpivid", Api::Stateless),
    ("s5p-jpeg", Api::Stateful),
    ("s5p-mfc", Api::Stateful),
    ("st-delta", Api::Stateful),
    ("st-hva", Api::Stateful),
    ("tegra-vde", Api::Stateless),
    ("vicodec", Api::Mixed),
    ("visl", Api::Stateless),
];

/// Drivers of codecs that are programs in the kernel, made for tests.
const VIRTUAL: [&str; 2] = ["vicodec", "visl"];

/// How the kernel's name of a node of an unknown codec ends.
const ENDINGS: [&str; 6] = ["-dec", "-enc", "-decoder", "-encoder", "_dec", "_enc"];

impl Family for Media {
    fn name(&self) -> &'static str {
        "media"
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let (groups, gaps) =
            class_device::groups(host, "video4linux", |name| numbered(name, "video").is_some());
        if groups.is_empty() {
            return Found {
                devices: Vec::new(),
                gaps,
            };
        }
        let controllers = controllers(host);
        let names = PciNames::default();
        let devices = groups
            .iter()
            .filter_map(|group| codec(host, &names, group, &controllers))
            .collect();
        Found { devices, gaps }
    }
}

/// The media controllers, each with the device that it belongs to.
fn controllers(host: &HostRoot) -> Vec<(Parent, Node)> {
    let root = Path::new(CONTROLLERS);
    let (names, _) = class_device::members(host, root);
    names
        .iter()
        .filter(|name| numbered(name, "media").is_some())
        .filter_map(|name| {
            let own = Parent::at(host, &root.join(name))?;
            let parent = Parent::at(host, own.directory.parent()?)?;
            Some((parent, nodes::of_sysfs(host, &own.directory, Role::Control)?))
        })
        .collect()
}

fn codec(
    host: &HostRoot,
    names: &PciNames,
    group: &Group,
    controllers: &[(Parent, Node)],
) -> Option<Device> {
    let directory = &group.parent.directory;
    let titles: Vec<String> = group
        .members
        .iter()
        .filter_map(|member| line(host, Path::new(CLASS).join(member).join("name")))
        .collect();
    let bus = pci::last_part(host, &directory.join("subsystem"));
    let driver = pci::last_part(host, &directory.join("driver"));
    let api = api(bus.as_deref(), driver.as_deref(), &titles)?;
    let mut device = group.parent.describe(host, names, "media", Kind::Media);
    let known = driver.clone().unwrap_or_default();
    if device.vendor == "unknown" {
        device.vendor = vendor(&known).into();
    }
    device.model = device.model.or_else(|| titles.first().cloned());
    device.aliases.extend(group.members.iter().cloned());
    device.nodes = group
        .members
        .iter()
        .filter_map(|member| nodes::of_sysfs(host, Path::new(CLASS).join(member), Role::Own))
        .chain(
            controllers
                .iter()
                .filter(|(parent, _)| parent.directory == *directory)
                .map(|(_, node)| node.clone()),
        )
        .collect();
    if device.nodes.is_empty() && matches!(device.health, Health::Healthy) {
        device.health = Health::Unknown("sysfs gives no numbers for its nodes".into());
    }
    if let Some(word) = api.word() {
        device.attributes.insert("codec.api", word.into());
    }
    device.attributes.insert("codec.nodes", titles.join(", "));
    if VIRTUAL.contains(&known.as_str()) {
        device.attributes.insert("virtual", "true".into());
    }
    Some(device)
}

impl Api {
    fn word(self) -> Option<&'static str> {
        match self {
            Api::Stateful => Some("stateful"),
            Api::Stateless => Some("stateless"),
            Api::Mixed => None,
        }
    }
}

/// How a device is driven, where it is a codec; `None` where it is none or cannot be told.
fn api(bus: Option<&str>, driver: Option<&str>, titles: &[String]) -> Option<Api> {
    if bus == Some("usb") {
        return None;
    }
    let of_driver = DRIVERS
        .iter()
        .find(|(name, _)| Some(*name) == driver)
        .map(|(_, api)| *api);
    of_driver.or_else(|| {
        let named = titles
            .iter()
            .any(|title| ENDINGS.iter().any(|ending| title.ends_with(ending)));
        (bus == Some("platform") && named).then_some(Api::Mixed)
    })
}

/// Who makes the chips, for drivers of hosts without a device tree.
fn vendor(driver: &str) -> &'static str {
    match driver {
        "bcm2835-codec" => "broadcom",
        "vicodec" | "visl" => "linux",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn titled(title: &str) -> Vec<String> {
        vec![title.to_owned()]
    }

    #[test]
    fn the_table_is_sorted_and_without_doubles() {
        assert!(DRIVERS.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn codecs_are_told_from_cameras() {
        let of = |bus, driver, title| api(Some(bus), Some(driver), &titled(title));
        assert_eq!(of("platform", "rkvdec", "rkvdec"), Some(Api::Stateless));
        assert_eq!(of("platform", "new", "foo-vpu-dec"), Some(Api::Mixed));
        assert_eq!(of("platform", "rkisp1", "rkisp1_mainpath"), None);
        assert_eq!(of("platform", "rockchip-rga", "rockchip-rga"), None);
        assert_eq!(of("usb", "uvcvideo", "HD Webcam-enc"), None);
        assert_eq!(of("pci", "cx23885", "cx23885-enc"), None);
        assert_eq!(api(None, None, &[]), None);
    }

    proptest! {
        #[test]
        fn nothing_on_usb_is_a_codec(driver in "[a-z0-9-]{0,20}", title in "\\PC{0,40}") {
            prop_assert_eq!(api(Some("usb"), Some(&driver), &titled(&title)), None);
        }
    }
}
