//! Health beyond what a family finds: what the kernel says of a device, kept until it is over, and what
//! the device's registers say.
//!
//! [`Ledger`] is pure: messages go in, and the devices of an inventory are marked with what stands
//! against them. [`Log`] reads them from `/dev/kmsg`, [`wedged`] finds them among the uevents.
//! [`Registers`] are read again and again.

pub mod kmsg;
mod log;
pub mod messages;
mod registers;
pub mod wedged;

pub use log::{Log, LogError};
pub use registers::Registers;

use crate::device::{Device, Health};
use crate::scan::Inventory;
use messages::{Message, Said};
use std::collections::BTreeMap;

/// Devices that something stands against; a machine has fewer.
const LEDGER_LIMIT: usize = 1024;

/// What stands against devices, by PCI address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    against: BTreeMap<String, String>,
}

impl Ledger {
    /// Notes a message; whether it changes anything.
    pub fn note(&mut self, message: Message) -> bool {
        let Message { address, said } = message;
        match said {
            Said::Ill(why) => {
                let room = self.against.len() < LEDGER_LIMIT;
                let new = self.against.get(&address) != Some(&why);
                if room || self.against.contains_key(&address) {
                    self.against.insert(address, why);
                }
                new && room
            }
            Said::Well => {
                let before = self.against.len();
                self.against
                    .retain(|of, _| !is_at(&address, of) && *of != address);
                self.against.len() != before
            }
        }
    }

    /// Forgets what stands against devices that are not there any more: what comes back in their place
    /// was reset on the way, or is another one.
    pub fn forget_the_gone(&mut self, inventory: &Inventory) {
        self.against.retain(|address, _| {
            inventory
                .devices
                .iter()
                .any(|device| stands_against(address, device))
        });
    }

    /// Marks the devices that something stands against. What their files say goes before it.
    pub fn mark(&self, inventory: &mut Inventory) {
        for (address, why) in &self.against {
            let parents: Vec<String> = inventory
                .devices
                .iter()
                .filter(|device| stands_against(address, device))
                .map(|device| device.id.clone())
                .collect();
            for device in &mut inventory.devices {
                let of_parent = device
                    .parent
                    .as_ref()
                    .is_some_and(|id| parents.contains(id));
                let meant = of_parent || parents.contains(&device.id);
                if meant && !matches!(device.health, Health::Unhealthy(_)) {
                    device.health = Health::Unhealthy(why.clone());
                }
            }
        }
    }
}

/// Whether what is noted at `address` is about `device`.
fn stands_against(address: &str, device: &Device) -> bool {
    let Some(pci) = &device.pci else { return false };
    is_at(&pci.address, address)
}

/// Whether `address` is `of`, or one of its functions where `of` means all of them.
fn is_at(address: &str, of: &str) -> bool {
    match of.strip_suffix('*') {
        Some(all) => address.starts_with(all),
        None => address == of,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Kind, PciPlace};

    fn gpu(id: &str, address: &str) -> Device {
        let mut gpu = Device::new(id, "nvidia", Kind::Gpu, "nvidia");
        gpu.health = Health::Healthy;
        gpu.pci = Some(PciPlace {
            address: address.to_owned(),
            ..PciPlace::default()
        });
        gpu
    }

    fn two() -> Inventory {
        let mut part = Device::new("MIG-1", "nvidia", Kind::Gpu, "nvidia");
        part.parent = Some("b".to_owned());
        Inventory {
            devices: vec![gpu("a", "0000:64:00.0"), gpu("b", "0000:65:00.0"), part],
            gaps: Vec::new(),
        }
    }

    fn said(text: &str) -> Message {
        messages::read(text).unwrap()
    }

    fn ill(inventory: &Inventory) -> Vec<&str> {
        let ill = |device: &&Device| matches!(device.health, Health::Unhealthy(_));
        inventory
            .devices
            .iter()
            .filter(ill)
            .map(|device| device.id.as_str())
            .collect()
    }

    #[test]
    fn the_right_device_and_its_parts_fall_ill_and_recover() {
        let mut ledger = Ledger::default();
        assert!(ledger.note(said("NVRM: Xid (PCI:0000:65:00): 48, pid=1, name=x")));
        assert!(!ledger.note(said("NVRM: Xid (PCI:0000:65:00): 48, pid=1, name=x")));
        let mut inventory = two();
        ledger.mark(&mut inventory);
        assert_eq!(ill(&inventory), ["b", "MIG-1"]);
        assert!(ledger.note(said(
            "NVRM: Xid (PCI:0000:65:00): 154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"
        )));
        let mut inventory = two();
        ledger.mark(&mut inventory);
        assert!(ill(&inventory).is_empty());
    }

    #[test]
    fn a_device_that_went_away_comes_back_well() {
        let mut ledger = Ledger::default();
        ledger.note(said(
            "NVRM: Xid (PCI:0000:65:00): 79, GPU has fallen off the bus.",
        ));
        let mut without = two();
        without.devices.remove(1);
        ledger.forget_the_gone(&without);
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn a_million_messages_of_made_up_devices_fill_no_memory() {
        let mut ledger = Ledger::default();
        for number in 0..100_000_u32 {
            let text = format!(
                "NVRM: Xid (PCI:{:04x}:{:02x}:00): 79, x",
                number >> 8 & 0xffff,
                number & 0xff
            );
            ledger.note(said(&text));
        }
        assert!(ledger.against.len() <= LEDGER_LIMIT);
    }
}
