//! Health that a device's own registers tell: counters of errors, the state of its link, temperatures.
//!
//! No event tells of them, so they are read when something else happened, and now and then
//! ([`Registers::again`]). Each register is a file here and a line in one of the two tables. A device
//! that sleeps is not woken to be read: what was read last stands.

mod dfl;
mod fatal_counters;
mod link;
mod ras;
mod temperature;

use crate::device::{Device, Health};
use crate::pci;
use crate::scan::Inventory;
use dunnage_host::HostRoot;
use std::collections::BTreeMap;
use std::path::Path;

/// Registers of a PCI function, whose directory in sysfs they get; its parts share it.
const OF_FUNCTIONS: &[OfFunction] = &[
    ras::read,
    fatal_counters::read,
    link::read,
    temperature::read,
];

/// Registers that each device has for itself.
const OF_DEVICES: &[OfDevice] = &[dfl::read];

/// `None` where the function has no such register.
type OfFunction = fn(&HostRoot, &Path, &Device, &mut History) -> Option<Reading>;

/// `None` where the device has no such register.
type OfDevice = fn(&HostRoot, &Device) -> Option<Reading>;

/// What one register says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reading {
    /// Why the device cannot be used, where it cannot.
    ill: Option<String>,
    /// What is told of it besides.
    attributes: Vec<(&'static str, String)>,
}

impl Reading {
    fn of(ill: Option<String>) -> Reading {
        Reading {
            ill,
            attributes: Vec::new(),
        }
    }
}

/// What was seen of a function before, where one reading alone does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct History {
    /// The most lanes that its link ever had.
    widest: u32,
    /// Whether it was too hot when it was read last.
    hot: bool,
}

/// All registers of all devices, as they were read last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    functions: BTreeMap<String, (History, Vec<Reading>)>,
    devices: BTreeMap<String, Vec<Reading>>,
}

impl Registers {
    /// Reads the registers of the devices of `inventory`; those of others are forgotten.
    pub fn read(&mut self, host: &HostRoot, inventory: &Inventory) {
        let mut before = std::mem::take(self);
        for device in &inventory.devices {
            if let Some(place) = &device.pci
                && !self.functions.contains_key(&place.address)
            {
                let (mut history, last) =
                    before.functions.remove(&place.address).unwrap_or_default();
                let directory = pci::directory(&place.address);
                let readings = if is_asleep(host, &directory) {
                    last
                } else {
                    let read =
                        |register: &OfFunction| register(host, &directory, device, &mut history);
                    OF_FUNCTIONS.iter().filter_map(read).collect()
                };
                self.functions
                    .insert(place.address.clone(), (history, readings));
            }
            let readings: Vec<Reading> = OF_DEVICES
                .iter()
                .filter_map(|register| register(host, device))
                .collect();
            if !readings.is_empty() {
                self.devices.insert(device.id.clone(), readings);
            }
        }
    }

    /// Whether there is anything to be read again: without it nobody needs to wake up for it.
    #[must_use]
    pub fn again(&self) -> bool {
        let of_function = |(_, readings): &(History, Vec<Reading>)| !readings.is_empty();
        !self.devices.is_empty() || self.functions.values().any(of_function)
    }

    /// Marks the devices that their registers speak against, and adds what they tell besides. What
    /// was found before goes before it.
    pub fn mark(&self, inventory: &mut Inventory) {
        for device in &mut inventory.devices {
            let of_function = device
                .pci
                .as_ref()
                .and_then(|place| self.functions.get(&place.address))
                .map(|(_, readings)| readings);
            let readings = of_function
                .into_iter()
                .chain(self.devices.get(&device.id))
                .flatten();
            for reading in readings {
                device.attributes.extend(reading.attributes.iter().cloned());
                if let Some(why) = &reading.ill
                    && !matches!(device.health, Health::Unhealthy(_))
                {
                    device.health = Health::Unhealthy(why.clone());
                }
            }
        }
    }
}

/// Whether the kernel has suspended a function (`Documentation/ABI/testing/sysfs-devices-power`): some
/// registers would wake it, and the others read as if it were gone.
fn is_asleep(host: &HostRoot, directory: &Path) -> bool {
    let is = |file: &str, sleeps: fn(&str) -> bool| {
        host.fact(directory.join(file))
            .is_some_and(|text| sleeps(&text))
    };
    is("power/runtime_status", |text| text == "suspended")
        || is("power_state", |text| text.starts_with("D3"))
}

#[cfg(test)]
mod tests;
