//! All families, asked one after the other.

use crate::config::Config;
use crate::device::Device;
use crate::families::{FAMILIES, Family};
use crate::health::Registers;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use std::collections::BTreeSet;

/// The accelerators of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// In the order of the families, and within one in its own.
    pub devices: Vec<Device>,
    /// What could not be read, and why.
    pub gaps: Vec<Gap>,
}

impl Inventory {
    /// The device that `name` means: its id or one of its other names.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Device> {
        self.devices
            .iter()
            .find(|device| device.id == name)
            .or_else(|| self.devices.iter().find(|device| device.is_called(name)))
    }
}

/// Looks for all accelerators of `host`, and reads their registers.
#[must_use]
pub fn scan(host: &HostRoot, config: &Config) -> Inventory {
    let mut inventory = find(host, config);
    let mut registers = Registers::default();
    registers.read(host, &inventory);
    registers.mark(&mut inventory);
    inventory
}

/// Looks for all accelerators of `host`, for who reads their registers again and again.
#[must_use]
pub fn find(host: &HostRoot, config: &Config) -> Inventory {
    scan_families(host, config, FAMILIES)
}

fn scan_families(host: &HostRoot, config: &Config, families: &[&dyn Family]) -> Inventory {
    let mut inventory = Inventory::default();
    let mut ids = BTreeSet::new();
    let mut nodes = BTreeSet::new();
    for family in families {
        let found = family.scan(host, config);
        let mut of_family = BTreeSet::new();
        for device in found.devices {
            let own: Vec<_> = device.nodes.iter().map(|node| node.path.clone()).collect();
            // One function may show in several classes of sysfs; the more particular family has it.
            let taken = own.first().is_some_and(|node| nodes.contains(node));
            if !taken && ids.insert(device.id.clone()) {
                of_family.extend(own);
                inventory.devices.push(device);
            }
        }
        nodes.extend(of_family);
        inventory.gaps.extend(found.gaps);
    }
    for device in &mut inventory.devices {
        match config.slots(device) {
            Ok(slots) => device.slots = slots,
            // What cannot work is said, and the device is not shared.
            Err(error) => inventory.gaps.push(Gap::new("sharing", error.to_string())),
        }
    }
    inventory
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Kind, Node, Role};
    use crate::families::Found;

    struct Fixed(&'static str, &'static str, &'static str);

    impl Family for Fixed {
        fn name(&self) -> &'static str {
            self.0
        }

        fn scan(&self, _: &HostRoot, _: &Config) -> Found {
            let mut device = Device::new(self.1, self.0, Kind::Other, "test");
            device.aliases.push(format!("{}-alias", self.1));
            device.nodes.push(Node {
                path: self.2.into(),
                role: Role::Own,
                block: false,
                major: 10,
                minor: 229,
                access: None,
            });
            Found {
                devices: vec![device],
                gaps: vec![Gap::new(self.0, "a test")],
            }
        }
    }

    #[test]
    fn what_the_operator_declares_is_with_the_device_or_a_gap() {
        let declared = |slots: u32| {
            let text = format!("[[sharing]]\ndevice = \"a\"\nslots = {slots}\n");
            let config = Config::parse(&text).unwrap();
            scan_families(
                &HostRoot::new("/none"),
                &config,
                &[&Fixed("first", "a", "/dev/a")],
            )
        };
        assert_eq!(declared(4).devices[0].slots, Some(4));
        assert_eq!(declared(4).gaps.len(), 1);
    }

    #[test]
    fn the_more_particular_family_keeps_a_device() {
        let first = Fixed("first", "a", "/dev/a");
        let same_node = Fixed("second", "b", "/dev/a");
        let same_id = Fixed("third", "a", "/dev/c");
        let other = Fixed("fourth", "d", "/dev/d");
        let all: [&dyn Family; 4] = [&first, &same_node, &same_id, &other];
        let inventory = scan_families(&HostRoot::new("/none"), &Config::default(), &all);
        let ids: Vec<_> = inventory.devices.iter().map(|d| d.id.as_str()).collect();
        assert_eq!(ids, ["a", "d"]);
        assert_eq!(inventory.gaps.len(), 4);
        assert_eq!(inventory.find("d-alias").unwrap().id, "d");
        assert!(inventory.find("x").is_none());
    }
}
