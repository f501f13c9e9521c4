//! Swarm: generic resources. The scheduler counts named resources that daemon.json declares, and tells
//! a task which it got by the environment variable `DOCKER_RESOURCE_<NAME>`, and by nothing else: the
//! OCI runtime of this program turns that into the device.

use super::docker;
use dunnage_inventory::{Device, Inventory, Shares};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// The resource that a device is counted under: `GPU`, `FPGA`, ...
#[must_use]
pub fn resource(device: &Device) -> String {
    device.kind.as_str().to_uppercase()
}

/// What stands in daemon.json: the resources of this host, and the runtime as the default one, because
/// a service cannot choose its runtime. `program` is this program's path, `config`
/// the configuration's.
///
/// Devices without nodes are left out: nobody could be given them. Devices of which parts are given
/// are left out too, so that none is counted twice.
#[must_use]
pub fn daemon(inventory: &Inventory, program: &str, config: Option<&Path>) -> Value {
    let wholes: BTreeSet<&str> = inventory
        .devices
        .iter()
        .filter_map(|device| device.parent.as_deref())
        .collect();
    let resources: Vec<String> = inventory
        .devices
        .iter()
        .filter(|device| !device.nodes.is_empty() && !wholes.contains(device.id.as_str()))
        // Of a GPU that is cut into parts nothing is left to give.
        .filter(|device| is_plain(&device.id) && device.shares != Shares::UpTo(0))
        .flat_map(|device| {
            let name = resource(device);
            slots(device).map(move |id| format!("{name}={id}"))
        })
        .collect();
    json!({
        "node-generic-resources": resources,
        "default-runtime": "dunnage",
        "runtimes": docker::runtime(program, config),
    })
}

/// What stands between a device's id and the number of its slot.
const SLOT: &str = "::";

/// The ids under which Swarm counts a device: one, or one for each slot that was declared.
fn slots(device: &Device) -> impl Iterator<Item = String> {
    let many = device.slots.filter(|slots| *slots > 1);
    let id = device.id.clone();
    (0..many.unwrap_or(1)).map(move |slot| match many {
        Some(_) => format!("{id}{SLOT}{slot}"),
        None => id.clone(),
    })
}

/// The device's id of what Swarm chose.
#[must_use]
pub fn without_slot(chosen: &str) -> &str {
    match chosen.rsplit_once(SLOT) {
        Some((id, slot)) if !slot.is_empty() && slot.bytes().all(|b| b.is_ascii_digit()) => id,
        _ => chosen,
    }
}

/// Whether Swarm can carry an id: it splits at `,` and `=`.
fn is_plain(id: &str) -> bool {
    !id.is_empty()
        && id
            .chars()
            .all(|c| c.is_ascii_graphic() && !",=\"".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::tests::gpu;

    #[test]
    fn a_shared_device_is_counted_once_for_each_slot() {
        let mut shared = gpu("intel_gpu", "xe", 5);
        shared.id = "0000:03:00.0".to_owned();
        shared.slots = Some(2);
        let inventory = Inventory {
            devices: vec![shared],
            ..Inventory::default()
        };
        let daemon = daemon(&inventory, "/x", Some(Path::new("/etc/d.toml")));
        let names = json!(["GPU=0000:03:00.0::0", "GPU=0000:03:00.0::1"]);
        assert_eq!(daemon["node-generic-resources"], names);
        assert_eq!(
            daemon["runtimes"]["dunnage"]["runtimeArgs"],
            json!(["runtime", "--config=/etc/d.toml", "--"])
        );
        assert_eq!(without_slot("0000:03:00.0::1"), "0000:03:00.0");
        for id in ["0000:03:00.0", "GPU-5ab", "a::b", "a::"] {
            assert_eq!(without_slot(id), id);
        }
    }

    #[test]
    fn each_device_is_a_named_resource() {
        let mut part = gpu("intel_gpu", "xe", 5);
        part.parent = Some("0000:03:00.0".to_owned());
        let mut odd = gpu("intel_gpu", "xe", 6);
        odd.id = "a,b".to_owned();
        let inventory = Inventory {
            devices: vec![
                gpu("intel_gpu", "i915", 0),
                gpu("intel_gpu", "i915", 1),
                part,
                odd,
            ],
            gaps: Vec::new(),
        };
        let value = daemon(&inventory, "/usr/bin/dunnage-devices", None);
        assert_eq!(
            value["node-generic-resources"],
            json!(["GPU=0000:04:00.0", "GPU=0000:08:00.0"])
        );
        assert_eq!(
            value["runtimes"]["dunnage"]["runtimeArgs"],
            json!(["runtime", "--"])
        );
    }
}
