//! Swarm: generic resources. The scheduler counts named resources that daemon.json declares, and tells
//! a task which it got by the environment variable `DOCKER_RESOURCE_<NAME>`, and by nothing else: the
//! OCI runtime of this program turns that into the device.

use super::docker;
use dunnage_inventory::{Device, Inventory};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The resource that a device is counted under: `GPU`, `FPGA`, ...
#[must_use]
pub fn resource(device: &Device) -> String {
    device.kind.as_str().to_uppercase()
}

/// What stands in daemon.json: the resources of this host, and the runtime as the default one, because
/// a service cannot choose its runtime. `program` is this program's path.
///
/// Devices without nodes are left out: nobody could be given them. Devices of which parts are given
/// are left out too, so that none is counted twice.
#[must_use]
pub fn daemon(inventory: &Inventory, program: &str) -> Value {
    let wholes: BTreeSet<&str> = inventory
        .devices
        .iter()
        .filter_map(|device| device.parent.as_deref())
        .collect();
    let resources: Vec<String> = inventory
        .devices
        .iter()
        .filter(|device| !device.nodes.is_empty() && !wholes.contains(device.id.as_str()))
        .filter(|device| is_plain(&device.id))
        .map(|device| format!("{}={}", resource(device), device.id))
        .collect();
    json!({
        "node-generic-resources": resources,
        "default-runtime": "dunnage",
        "runtimes": docker::runtime(program),
    })
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
        let value = daemon(&inventory, "/usr/bin/dunnage-devices");
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
