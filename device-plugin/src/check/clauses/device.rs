//! The device: there, healthy, bound to the driver that the software speaks to.

use super::Clause;
use super::asks::{Ask, Stack};
use crate::check::host::HostFacts;
use dunnage_inventory::{Device, Health, Inventory, Role};

/// What any device must be.
pub(super) fn clauses(device: &Device, ask: &Ask) -> Vec<Clause> {
    let model = device.model.as_deref().unwrap_or(&device.id);
    let is_there = Clause::new(format!("a device for {}", ask.stack.name()))
        .wanted(ask.stack.device(), &*ask.by)
        .there(model)
        .there_by(&*device.id)
        .yes();
    vec![is_there, health(device), driver(device, ask)]
}

fn health(device: &Device) -> Clause {
    let clause = Clause::new("health of the device").there_by(&*device.id);
    match &device.health {
        Health::Healthy => clause.there("healthy").yes(),
        Health::Unhealthy(why) => clause
            .there(why)
            .no("repair or reset the device, or choose another one (--device)"),
        // Without the vendor's library most devices do not tell; that says nothing against them.
        Health::Unknown(why) => clause.there(why).beside(),
    }
}

/// The kernel drivers that a stack's software speaks to.
fn drivers(stack: Stack) -> &'static [&'static str] {
    match stack {
        Stack::Cuda => &["nvidia"],
        Stack::Rocm => &["amdgpu"],
        Stack::LevelZero => &["i915", "xe"],
        Stack::IntelNpu => &["intel_vpu", "ivpu"],
        Stack::Dfl => &[
            "dfl-port",
            "dfl-pci",
            "dfl-afu",
            "intel-fpga-afu",
            "intel-fpga-pci",
        ],
        Stack::Xrt => &["xocl", "xocl_v2", "xrt"],
        Stack::Habana => &["habanalabs"],
        Stack::Media => &["i915", "xe", "amdgpu", "radeon", "nvidia"],
        Stack::Qat | Stack::Dsa | Stack::OpenCl => &[],
    }
}

fn driver(device: &Device, ask: &Ask) -> Clause {
    let wanted = drivers(ask.stack);
    let clause = Clause::new("kernel driver of the device");
    if wanted.is_empty() {
        return clause.beside();
    }
    let clause = clause
        .wanted(wanted.join(" or "), &*ask.by)
        .there_by(&*device.id);
    match &device.driver {
        Some(driver) if wanted.contains(&&*driver.name) => clause.there(&driver.name).yes(),
        Some(driver) => clause.there(&driver.name).no(format!(
            "bind the device to {} instead of {}",
            wanted[0], driver.name
        )),
        None => clause.there("none").no(format!(
            "load the module {} and bind the device to it",
            wanted[0]
        )),
    }
}

/// A node of the device that the software opens.
pub(super) fn node(device: &Device, role: Role, name: &str, by: &str, remedy: &str) -> Clause {
    let clause = Clause::new(format!("device node {name}")).wanted(name, by);
    let mut nodes = device.nodes.iter().filter(|node| node.role == role);
    match nodes.find(|node| role != Role::Control || node.path.ends_with(name)) {
        Some(node) if node.access.is_some() => clause
            .there("there")
            .there_by(node.path.to_string_lossy())
            .yes(),
        Some(node) => clause
            .there("the kernel tells of it, and /dev has it not")
            .there_by(node.path.to_string_lossy())
            .no(remedy),
        None => clause.there("none").there_by("/dev").no(remedy),
    }
}

/// No device serves what the image asks for.
pub(super) fn none(
    host: &HostFacts,
    inventory: &Inventory,
    wanted: Option<&Device>,
    asks: &[Ask],
) -> Vec<Clause> {
    let there = match wanted {
        Some(device) => device.model.clone().unwrap_or_else(|| device.id.clone()),
        None if inventory.devices.is_empty() => "no accelerator".to_owned(),
        None => others(inventory),
    };
    asks.iter()
        .map(|ask| {
            let clause = Clause::new(format!("a device for {}", ask.stack.name()))
                .wanted(ask.stack.device(), &*ask.by)
                .there(&*there)
                .there_by("/sys");
            absent(clause, host, inventory, ask)
        })
        .collect()
}

fn absent(clause: Clause, host: &HostFacts, inventory: &Inventory, ask: &Ask) -> Clause {
    if !ask.meant {
        return clause
            .unknown("the image can use such a device and may do without; name one with --device");
    }
    // What could not be looked at may be there.
    let unread = inventory.gaps.iter().find(|gap| {
        let what = gap.what.to_ascii_lowercase();
        family_words(ask.stack)
            .iter()
            .any(|word| what.contains(word))
    });
    if let Some(gap) = unread {
        return clause.unknown(format!("{} could not be looked at: {}", gap.what, gap.why));
    }
    let module = drivers(ask.stack)
        .iter()
        .find(|name| host.installed.contains(**name));
    match module {
        Some(module) => clause.no(format!(
            "put in such a device; where one is, load its driver (modprobe {module})"
        )),
        None => {
            clause.no("put in such a device and install its driver, or run the image elsewhere")
        }
    }
}

fn family_words(stack: Stack) -> &'static [&'static str] {
    match stack {
        Stack::Cuda => &["nvidia", "nvml"],
        Stack::Rocm => &["amd", "kfd"],
        Stack::LevelZero => &["intel", "i915"],
        Stack::IntelNpu => &["accel", "npu"],
        Stack::Dfl => &["dfl", "fpga"],
        Stack::Xrt => &["xrt", "xilinx"],
        Stack::Habana => &["habana"],
        Stack::Qat => &["qat"],
        Stack::Dsa => &["idxd", "dsa"],
        Stack::Media | Stack::OpenCl => &["drm", "gpu"],
    }
}

/// The devices of other sorts, in short.
fn others(inventory: &Inventory) -> String {
    let names = inventory.devices.iter().take(4).map(|device| {
        let model = device.model.clone();
        model.unwrap_or_else(|| format!("{} {}", device.vendor, device.kind.as_str()))
    });
    let mut names: Vec<String> = names.collect();
    names.dedup();
    names.join(", ")
}
