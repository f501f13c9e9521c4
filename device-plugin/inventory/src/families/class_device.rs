//! What the members of a class of sysfs (`drm`, `accel`, `video4linux`) lead to: the device behind
//! them, its driver, its place and its power state.
//!
//! The layout is that of `Documentation/filesystems/sysfs.rst`: a member's `device` link points to
//! its parent, and several members (a card and its render node) may have one parent.

use super::pci_names::PciNames;
use crate::device::{Device, Driver, Health, Kind};
use crate::pci;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The most members of a class that are looked at; connectors of displays count as well.
const MEMBERS_LIMIT: usize = 16_384;

/// The longest text kept of a one-line attribute, in characters.
pub(super) const LINE_LIMIT: usize = 200;

/// The device behind one or more members of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    /// Its directory, links followed: `/sys/devices/pci0000:00/0000:00:02.0`.
    pub(super) directory: PathBuf,
    /// The kernel's name of it: `0000:00:02.0`, `fdab0000.npu`.
    pub(super) name: String,
    /// The PCI function that it is, or is part of.
    pub(super) pci: Option<String>,
}

/// A parent with its members of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The device.
    pub(super) parent: Parent,
    /// Its members by name, in the order of their numbers.
    pub(super) members: Vec<String>,
}

impl Parent {
    /// The parent of the class member at `member` (`/sys/class/drm/card0`).
    pub(super) fn of(host: &HostRoot, member: &Path) -> Option<Parent> {
        Parent::at(host, &member.join("device"))
    }

    /// The device whose sysfs directory `directory` leads to.
    pub(super) fn at(host: &HostRoot, directory: &Path) -> Option<Parent> {
        let located = host.locate(directory).ok()?;
        if !located.metadata.is_dir() {
            return None;
        }
        Some(Parent {
            name: located.path.file_name()?.to_str()?.to_owned(),
            pci: pci::function_of(host, &located.path),
            directory: located.path,
        })
    }

    /// The driver bound to it.
    pub(super) fn driver(&self, host: &HostRoot) -> Option<Driver> {
        pci::driver(host, &self.directory)
    }

    /// Its address on the PCI bus, else the kernel's name.
    pub(super) fn id(&self) -> &str {
        self.pci.as_deref().unwrap_or(&self.name)
    }

    /// The vendor of a device that is on no bus with ids: the one in the device tree, else the
    /// driver's name, else the first part of the device's.
    fn maker(&self, host: &HostRoot) -> String {
        compatible_vendor(host, &self.directory)
            .or_else(|| Some(self.driver(host)?.name))
            .or_else(|| Some(self.name.split('.').next()?.to_owned()))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "unknown".into())
    }

    /// A device with everything that any class can tell: identity, place, driver, model by the PCI
    /// ids, NUMA node, and whether the kernel can wake it.
    pub(super) fn describe(
        &self,
        host: &HostRoot,
        names: &PciNames,
        family: &'static str,
        kind: Kind,
    ) -> Device {
        let place = self
            .pci
            .as_deref()
            .and_then(|address| pci::place(host, address));
        let vendor = match &place {
            Some(place) => super::pci_names::vendor_word(place.vendor),
            None => self.maker(host),
        };
        let mut device = Device::new(self.id(), family, kind, vendor);
        if self.name != device.id {
            device.aliases.push(self.name.clone());
        }
        device.driver = self.driver(host);
        device.numa_node = self
            .pci
            .as_deref()
            .and_then(|address| pci::numa_node(host, &pci::directory(address)))
            .or_else(|| pci::numa_node(host, &self.directory));
        if let Some(place) = place {
            device.model = names.device(host, place.vendor, place.device);
            device.parent.clone_from(&place.physical_function);
            device.pci = Some(place);
        } else {
            device.model = uevent(host, &self.directory, "OF_COMPATIBLE_0");
        }
        device.health =
            power_fault(host, &self.directory).map_or(Health::Healthy, Health::Unhealthy);
        device
    }
}

/// The members of `/sys/class/<class>` that `accept` takes, under the devices that they belong to;
/// devices sorted by id. Members without a device are left out. A class that is not there is empty.
pub(super) fn groups(
    host: &HostRoot,
    class: &str,
    accept: impl Fn(&str) -> bool,
) -> (Vec<Group>, Vec<Gap>) {
    let directory = Path::new("/sys/class").join(class);
    let (names, gaps) = members(host, &directory);
    let mut parents: BTreeMap<PathBuf, Group> = BTreeMap::new();
    for name in names.into_iter().filter(|name| accept(name)) {
        let Some(parent) = Parent::of(host, &directory.join(&name)) else {
            continue;
        };
        parents
            .entry(parent.directory.clone())
            .or_insert_with(|| Group {
                parent,
                members: Vec::new(),
            })
            .members
            .push(name);
    }
    let mut groups: Vec<Group> = parents.into_values().collect();
    groups.sort_by(|a, b| a.parent.id().cmp(b.parent.id()));
    (groups, gaps)
}

/// The names in a directory of sysfs, sorted as people count (`card2` before `card10`), and what was
/// left out.
pub(super) fn members(host: &HostRoot, directory: &Path) -> (Vec<String>, Vec<Gap>) {
    let what = || directory.display().to_string();
    match host.entries(directory, MEMBERS_LIMIT) {
        Ok((names, more)) => {
            let mut names: Vec<String> = names
                .into_iter()
                .filter_map(|name| name.into_string().ok())
                .collect();
            names.sort_by_cached_key(|name| counted(name));
            let gap = more.then(|| {
                Gap::new(
                    what(),
                    format!("it has more than {MEMBERS_LIMIT} entries; the rest was not looked at"),
                )
            });
            (names, gap.into_iter().collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), Vec::new()),
        Err(error) => (
            Vec::new(),
            vec![Gap::new(
                what(),
                format!("it could not be listed: {error}; sysfs must be readable"),
            )],
        ),
    }
}

/// The PCI functions that `driver` is bound to, sorted.
pub(super) fn bound_to(host: &HostRoot, driver: &str) -> Vec<String> {
    let directory = Path::new("/sys/bus/pci/drivers").join(driver);
    let (names, _) = host.entries(directory, MEMBERS_LIMIT).unwrap_or_default();
    names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(|name| pci::is_address(name))
        .collect()
}

/// The first line of a fact, cut to a sensible length.
pub(super) fn line(host: &HostRoot, path: impl AsRef<Path>) -> Option<String> {
    let fact = host.fact(path)?;
    let line: String = fact
        .lines()
        .next()?
        .trim()
        .chars()
        .take(LINE_LIMIT)
        .collect();
    (!line.is_empty()).then_some(line)
}

/// A decimal fact.
pub(super) fn number(host: &HostRoot, path: impl AsRef<Path>) -> Option<u64> {
    host.fact(path)?.parse().ok()
}

/// The value of `key` in the `uevent` file of a sysfs directory.
pub(super) fn uevent(host: &HostRoot, directory: &Path, key: &str) -> Option<String> {
    let text = host.fact(directory.join("uevent"))?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.chars().take(LINE_LIMIT).collect())
}

/// The number after `prefix`: 128 of `renderD128`.
pub(super) fn numbered(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Why the kernel cannot power the device up, where it says so
/// (`Documentation/ABI/testing/sysfs-devices-power`; `power_state` of
/// `Documentation/ABI/testing/sysfs-bus-pci`).
pub(super) fn power_fault(host: &HostRoot, directory: &Path) -> Option<String> {
    let runtime = host.fact(directory.join("power/runtime_status"));
    if runtime.as_deref() == Some("error") {
        return Some("the kernel could not power it up or down (power/runtime_status is error); see the kernel's log".into());
    }
    let state = host.fact(directory.join("power_state"));
    match (state.as_deref(), runtime.as_deref()) {
        (Some("error"), _) => {
            Some("its PCI power state cannot be read: it is off the bus or broken".into())
        }
        // An active device in D3cold does not answer: the kernel notes so when it is off the bus.
        (Some("D3cold"), Some("active")) => {
            Some("it is meant to be on and does not answer on the PCI bus (D3cold)".into())
        }
        _ => None,
    }
}

/// The vendor in the first `compatible` entry of the device tree: `rockchip` of
/// `rockchip,rk3399-vpu`.
fn compatible_vendor(host: &HostRoot, directory: &Path) -> Option<String> {
    let compatible = uevent(host, directory, "OF_COMPATIBLE_0")?;
    let (vendor, _) = compatible.split_once(',')?;
    (!vendor.is_empty()).then(|| vendor.to_owned())
}

/// A key that sorts `card2` before `card10`.
fn counted(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let number = name.get(stem.len()..).unwrap_or_default();
    (stem.to_owned(), number.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_after_a_prefix() {
        assert_eq!(numbered("renderD128", "renderD"), Some(128));
        for bad in [
            "renderD",
            "renderD-1",
            "renderD1a",
            "card0-DP-1",
            "renderD99999999999",
        ] {
            assert_eq!(numbered(bad, "renderD"), None, "{bad}");
        }
    }

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["card10", "card2", "renderD128", "card0"];
        names.sort_by_cached_key(|name| counted(name));
        assert_eq!(names, ["card0", "card2", "card10", "renderD128"]);
    }

    #[test]
    fn a_device_that_cannot_be_woken_has_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostRoot::new(dir.path());
        let at = Path::new("/sys/devices/x");
        std::fs::create_dir_all(dir.path().join("sys/devices/x/power")).unwrap();
        let set = |name: &str, text: &str| {
            std::fs::write(dir.path().join("sys/devices/x").join(name), text).unwrap();
        };
        assert_eq!(power_fault(&host, at), None);
        set("power/runtime_status", "suspended\n");
        set("power_state", "D3cold\n");
        assert_eq!(power_fault(&host, at), None);
        set("power/runtime_status", "active\n");
        assert!(power_fault(&host, at).unwrap().contains("D3cold"));
        set("power/runtime_status", "error\n");
        assert!(power_fault(&host, at).unwrap().contains("runtime_status"));
    }

    proptest! {
        #[test]
        fn any_name_can_be_sorted_and_numbered(name in "\\PC{0,40}") {
            let _ = counted(&name);
            let _ = numbered(&name, "card");
        }
    }
}
