//! Intel GPUs, of the drivers i915 and xe.
//!
//! User space for one driver does not work with the other, nor with the i915 that Intel ships outside
//! the kernel: the three are told apart here. Facts: `Documentation/ABI/testing/sysfs-driver-intel-*`
//! and `Documentation/gpu/xe/`.

use super::class_device::{self, line, number, numbered};
use super::drm::{self, Unit};
use super::pci_names::PciNames;
use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Health, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use dunnage_model::units::Bytes;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Intel GPUs, of the drivers i915 and xe.
pub(super) struct IntelGpu;

/// The name of the family.
const NAME: &str = "intel-gpu";

/// The drivers.
const DRIVERS: [&str; 2] = ["i915", "xe"];

/// The most that is read of a firmware report in debugfs, in bytes.
const REPORT_LIMIT: usize = 32 << 10;

impl Family for IntelGpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let (units, gaps) = drm::units(host);
        let names = PciNames::default();
        let mut devices: Vec<Device> = units
            .iter()
            .filter(|unit| DRIVERS.contains(&unit.driver.as_str()))
            .map(|unit| gpu(host, &names, unit))
            .collect();
        for driver in DRIVERS {
            let mut broken = drm::without_nodes(host, &names, &units, driver, NAME);
            for device in &mut broken {
                survivability(host, device);
            }
            devices.extend(broken);
        }
        if devices.is_empty() {
            return Found::default();
        }
        Found { devices, gaps }
    }
}

fn gpu(host: &HostRoot, names: &PciNames, unit: &Unit) -> Device {
    let mut device = unit.describe(host, names, NAME);
    let directory = &unit.parent.directory;
    device
        .attributes
        .insert("driver.origin", origin(host, &unit.driver).into());
    management(host, directory, &mut device);
    virtual_functions(host, directory, &mut device);
    tiles(host, unit, &mut device);
    device.memory = memory(host, unit);
    if !asleep(host, directory) {
        firmware(host, unit, &mut device);
        hangs(host, unit, &mut device);
    }
    survivability(host, &mut device);
    device
}

/// Whether the driver is the kernel's own: a module from elsewhere has the taint `O`
/// (`Documentation/admin-guide/tainted-kernels.rst`), and Intel's has a version of its own.
fn origin(host: &HostRoot, driver: &str) -> &'static str {
    let module = Path::new("/sys/module").join(driver);
    let tainted = host
        .fact(module.join("taint"))
        .is_some_and(|flags| flags.contains('O'));
    if tainted || host.fact(module.join("version")).is_some() {
        "out-of-tree"
    } else {
        "kernel"
    }
}

/// Whether the GPU is suspended. Some files would wake it, and looking must not cost power.
fn asleep(host: &HostRoot, directory: &Path) -> bool {
    host.fact(directory.join("power/runtime_status")).as_deref() == Some("suspended")
}

/// The nodes of the management engine on the card: `i915.mei-gsc.768/mei/mei1` below the GPU.
fn management(host: &HostRoot, directory: &Path, device: &mut Device) {
    let (children, _) = class_device::members(host, directory);
    for child in children.iter().filter(|name| name.contains(".mei-gsc")) {
        let engines = directory.join(child).join("mei");
        let (names, _) = class_device::members(host, &engines);
        device.nodes.extend(
            names
                .iter()
                .filter(|name| numbered(name, "mei").is_some())
                .filter_map(|name| {
                    nodes::of_sysfs(host, engines.join(name), Role::Management)
                }),
        );
    }
}

/// Marks a GPU of which virtual functions were made: whoever gives away those does not give away the
/// physical one.
fn virtual_functions(host: &HostRoot, directory: &Path, device: &mut Device) {
    let made = number(host, directory.join("sriov_numvfs"));
    let most = number(host, directory.join("sriov_totalvfs"));
    let virtual_function = device.parent.is_some();
    let attributes = &mut device.attributes;
    if let Some(most) = most.filter(|most| *most > 0) {
        attributes.insert("sriov.most", most.to_string());
    }
    if let Some(made) = made.filter(|made| *made > 0) {
        attributes.insert("sriov.functions", made.to_string());
        attributes.insert("sriov.role", "physical".into());
    } else if virtual_function {
        attributes.insert("sriov.role", "virtual".into());
    }
}

/// Tiles and graphics engines: `tile0/gt0` with xe, `card0/gt/gt0` with i915.
fn tiles(host: &HostRoot, unit: &Unit, device: &mut Device) {
    let of_xe = numbered_in(host, &unit.parent.directory, "tile");
    let places: Vec<PathBuf> = if of_xe.is_empty() {
        unit.card_directory()
            .map(|card| card.join("gt"))
            .into_iter()
            .collect()
    } else {
        device
            .attributes
            .insert("tiles", of_xe.len().to_string());
        of_xe
    };
    let engines: usize = places
        .iter()
        .map(|place| numbered_in(host, place, "gt").len())
        .sum();
    if engines > 0 {
        device.attributes.insert("gts", engines.to_string());
    }
}

/// Memory on the card, where the driver tells it: `lmem_total_bytes` of Intel's own i915,
/// `physical_vram_size_bytes` of some versions of xe. A GPU without memory of its own has neither.
fn memory(host: &HostRoot, unit: &Unit) -> Option<Bytes> {
    let of_i915 = unit
        .card_directory()
        .and_then(|card| number(host, card.join("lmem_total_bytes")));
    let of_xe = || {
        numbered_in(host, &unit.parent.directory, "tile")
            .iter()
            .filter_map(|tile| {
                let text = host.fact(tile.join("physical_vram_size_bytes"))?;
                u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
            })
            .reduce(u64::saturating_add)
    };
    of_i915.or_else(of_xe).filter(|bytes| *bytes > 0).map(Bytes)
}

/// The folders `<prefix>N` in `place`.
fn numbered_in(host: &HostRoot, place: &Path, prefix: &str) -> Vec<PathBuf> {
    let (names, _) = class_device::members(host, place);
    names
        .iter()
        .filter(|name| numbered(name, prefix).is_some())
        .map(|name| place.join(name))
        .collect()
}

/// GuC and HuC, which debugfs tells to root alone.
fn firmware(host: &HostRoot, unit: &Unit, device: &mut Device) {
    let engine = debug_directories(unit)
        .into_iter()
        .flat_map(|root| [root.join("gt0/uc"), root.join("gt/uc")])
        .find_map(|uc| Some((report(host, &uc.join("guc_info"))?, uc)));
    let Some((guc, uc)) = engine else { return };
    let attributes = &mut device.attributes;
    if let Some(status) = after(&guc, "status:") {
        attributes.insert("firmware.guc.status", status);
    }
    if let Some(huc) = report(host, &uc.join("huc_info")).and_then(|text| found_version(&text)) {
        attributes.insert("firmware.huc", huc);
    }
    device.firmware = found_version(&guc).map(|version| format!("guc {version}"));
}

/// debugfs names the folder by the card's number, newer kernels by the PCI address too.
fn debug_directories(unit: &Unit) -> Vec<PathBuf> {
    let root = Path::new("/sys/kernel/debug/dri");
    let numbers = unit.cards.iter().map(|card| root.join(card.to_string()));
    let address = unit.parent.pci.iter().map(|address| root.join(address));
    numbers.chain(address).collect()
}

fn report(host: &HostRoot, path: &Path) -> Option<String> {
    let bytes = host.read(path, REPORT_LIMIT).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The rest of the line that begins with `key`.
fn after(text: &str, key: &str) -> Option<String> {
    let rest = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(key))?
        .trim();
    (!rest.is_empty()).then(|| rest.chars().take(80).collect())
}

/// The version that was loaded: `version: wanted 70.5, found 70.5.1` of i915,
/// `found release 70.29.2` of xe.
fn found_version(text: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| Some(line.split_once("found ")?.1))
        .flat_map(str::split_whitespace)
        .find(|word| {
            word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
        .map(|word| word.chars().take(40).collect())
}

/// What i915 says of hangs: a wedged GPU refuses all work until the driver is bound again; one that
/// hung and was reset works on, and keeps a report.
fn hangs(host: &HostRoot, unit: &Unit, device: &mut Device) {
    let wedged = debug_directories(unit)
        .iter()
        .find_map(|root| host.fact(root.join("i915_wedged")))
        .is_some_and(|state| state.trim_start_matches("0x").parse::<u64>() != Ok(0));
    if wedged {
        device.health = Health::Unhealthy(
            "the driver gave up on it after a hang (i915_wedged); bind the driver again or restart the host".into(),
        );
    }
    if let Some(report) = unit.card_directory().and_then(|card| error_state(host, &card)) {
        device.attributes.insert("last_hang", report);
    }
}

/// The first line of the error state that i915 keeps after a hang. The file has megabytes then, and
/// only its head is read.
fn error_state(host: &HostRoot, card: &Path) -> Option<String> {
    let mut head = Vec::new();
    let file = host.open(card.join("error")).ok()?;
    file.take(256).read_to_end(&mut head).ok()?;
    first_error(&String::from_utf8_lossy(&head))
}

fn first_error(head: &str) -> Option<String> {
    let line = head.lines().next()?.trim();
    let none = line.is_empty() || line.to_ascii_lowercase().starts_with("no error state");
    (!none).then(|| line.chars().take(200).collect())
}

/// xe keeps a GPU whose firmware is damaged in a mode in which only the firmware can be written
/// (`Documentation/gpu/xe/xe_pcode.rst`, survivability mode); the file is there only then.
fn survivability(host: &HostRoot, device: &mut Device) {
    let Some(place) = &device.pci else { return };
    let file = pci::directory(&place.address).join("survivability_mode");
    if host.locate(&file).is_err() {
        return;
    }
    let which = line(host, &file).unwrap_or_default();
    device.attributes.insert("survivability", which);
    device.health = Health::Unhealthy(
        "xe holds it in survivability mode: its firmware is damaged and must be written again".into(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn firmware_reports_of_both_drivers_are_read() {
        let i915 = "GuC firmware: i915/tgl_guc_70.bin\n\tstatus: RUNNING\n\tversion: wanted 70.5.1, found 70.5.1\n";
        assert_eq!(found_version(i915).as_deref(), Some("70.5.1"));
        assert_eq!(after(i915, "status:").as_deref(), Some("RUNNING"));
        let xe = "GuC firmware: xe/bmg_guc_70.bin\n\tstatus: RUNNING\n\twanted release 70.29.2\n\tfound release 70.36.0\n";
        assert_eq!(found_version(xe).as_deref(), Some("70.36.0"));
        assert_eq!(found_version("found nothing\n"), None);
    }

    #[test]
    fn an_empty_error_state_is_no_hang() {
        assert_eq!(first_error("No error state collected\n"), None);
        assert_eq!(first_error("no error state collected\n"), None);
        assert_eq!(first_error(""), None);
        assert!(first_error("GPU HANG: ecode 9:1:0xfffffffe, in X [1234]\nKernel").is_some());
    }

    proptest! {
        #[test]
        fn any_report_can_be_read(text in "\\PC{0,200}") {
            let _ = (found_version(&text), after(&text, "status:"), first_error(&text));
        }
    }
}
