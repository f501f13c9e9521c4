//! What NFD's demands ask of a node: configuration, distribution, PCI functions, processor. Read only
//! where an image has such demands.

use super::HostFacts;
use dunnage_host::{HostRoot, drain};
use dunnage_inventory::pci;
use std::collections::BTreeMap;

/// A kernel's configuration, unpacked, has some 300 kilobytes.
const CONFIG: usize = 4 << 20;

pub(super) fn read(host: &HostRoot, facts: &mut HostFacts) {
    facts.config = config(host, facts.kernel.as_deref());
    facts.os_release = os_release(host);
    facts.pci = functions(host);
    facts.cpu_model = processor(host);
}

/// `CONFIG_VFIO=m` is the element VFIO; what is not set is not there.
fn config(host: &HostRoot, kernel: Option<&str>) -> Option<BTreeMap<String, String>> {
    let packed = host.open("/proc/config.gz").ok();
    let packed = packed.and_then(|file| drain(flate2::read::GzDecoder::new(file), CONFIG).ok());
    let bytes = packed.or_else(|| {
        let kernel = kernel?;
        let places = [
            format!("/boot/config-{kernel}"),
            format!("/lib/modules/{kernel}/config"),
        ];
        places.iter().find_map(|path| host.read(path, CONFIG).ok())
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let set = text
        .lines()
        .filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='));
    // NFD writes true for what is built in or a module.
    let value = |value: &str| {
        if matches!(value, "y" | "m") {
            "true"
        } else {
            value
        }
        .to_owned()
    };
    Some(
        set.map(|(name, text)| (name.to_owned(), value(text)))
            .collect(),
    )
}

fn os_release(host: &HostRoot) -> Option<BTreeMap<String, String>> {
    let text = host
        .fact("/etc/os-release")
        .or_else(|| host.fact("/usr/lib/os-release"))?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let plain = |value: &str| value.trim_matches(['"', '\'']).to_owned();
    Some(
        lines
            .map(|(name, value)| (name.to_owned(), plain(value)))
            .collect(),
    )
}

/// Vendor, device and class of every PCI function, as NFD writes them: four digits each.
fn functions(host: &HostRoot) -> Option<Vec<BTreeMap<String, String>>> {
    host.entries("/sys/bus/pci/devices", 1).ok()?;
    let places = pci::functions(host);
    let places = places
        .iter()
        .filter_map(|address| pci::place(host, address));
    let elements = places.map(|place| {
        BTreeMap::from([
            ("vendor".to_owned(), format!("{:04x}", place.vendor)),
            ("device".to_owned(), format!("{:04x}", place.device)),
            ("class".to_owned(), format!("{:04x}", place.class >> 8)),
        ])
    });
    Some(elements.collect())
}

/// NFD names vendors shortly; of others it is not known how.
fn processor(host: &HostRoot) -> Option<BTreeMap<String, String>> {
    let bytes = host.read("/proc/cpuinfo", CONFIG).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().to_owned())
    };
    let vendor = match &*value("vendor_id")? {
        "GenuineIntel" => "Intel",
        "AuthenticAMD" => "AMD",
        _ => return None,
    };
    Some(BTreeMap::from([
        ("vendor_id".to_owned(), vendor.to_owned()),
        ("family".to_owned(), value("cpu family")?),
        ("id".to_owned(), value("model")?),
    ]))
}
