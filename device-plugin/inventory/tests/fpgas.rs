//! FPGAs, QAT, DSA, VFIO groups and rules of the configuration, on trees of real hosts and on trees
//! that nobody should make. Where each tree comes from stands at its head.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod tree;

#[path = "fpgas/dfl.rs"]
mod dfl;
#[path = "fpgas/hostile.rs"]
mod hostile;
#[path = "fpgas/idxd.rs"]
mod idxd;
#[path = "fpgas/qat.rs"]
mod qat;
#[path = "fpgas/rules.rs"]
mod rules;
#[path = "fpgas/vfio.rs"]
mod vfio;
#[path = "fpgas/xrt.rs"]
mod xrt;

use dunnage_inventory::{Config, Device, Health, scan};
use tree::Tree;

/// The devices of one family.
fn devices(tree: &Tree, family: &str) -> Vec<Device> {
    devices_with(tree, family, "")
}

/// The same with a configuration.
fn devices_with(tree: &Tree, family: &str, config: &str) -> Vec<Device> {
    let config = Config::parse(config).unwrap();
    let inventory = scan(&tree.host(), &config);
    assert_eq!(inventory.gaps, []);
    inventory
        .devices
        .into_iter()
        .filter(|device| device.family == family)
        .collect()
}

/// The paths of a device's nodes.
fn nodes(device: &Device) -> Vec<&str> {
    device
        .nodes
        .iter()
        .map(|node| node.path.to_str().unwrap())
        .collect()
}

/// Why a device cannot be used, or why it cannot be told; empty for a healthy one.
fn why(device: &Device) -> &str {
    match &device.health {
        Health::Healthy => "",
        Health::Unhealthy(why) | Health::Unknown(why) => why,
    }
}
