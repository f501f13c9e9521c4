//! `dunnage.devices/1`: the accelerators of this host.

use super::Word;
use super::part::{GapDocument, PartyDocument};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `dunnage devices --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DevicesDocument {
    /// `dunnage.devices/1`.
    pub schema: Word,
    /// In the order of the families, and within one in its own.
    pub devices: Vec<ListedDeviceDocument>,
    /// What could not be read.
    #[serde(default)]
    pub gaps: Vec<GapDocument>,
}

impl DevicesDocument {
    /// The schema's name.
    pub const SCHEMA: &'static str = "dunnage.devices/1";

    /// The document of these devices.
    #[must_use]
    pub fn new(devices: Vec<ListedDeviceDocument>, gaps: Vec<GapDocument>) -> DevicesDocument {
        DevicesDocument {
            schema: DevicesDocument::SCHEMA.into(),
            devices,
            gaps,
        }
    }
}

/// One accelerator, or the part of one that can be given away by itself. What is not known is left
/// out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListedDeviceDocument {
    /// Stable over restarts and unique on the host: a UUID, a PCI address, or the kernel's name.
    pub id: String,
    /// Other names for it: an index, `card1`, the PCI address.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// `gpu`, `fpga`, `npu`, `qat`, `dsa`, `media` or `other`.
    pub kind: Word,
    /// What found it: `nvidia`, `amd_gpu`, `dfl`, ...
    #[serde(default)]
    pub family: Word,
    /// `nvidia`, `amd`, `intel`, ... or the PCI vendor id in hex.
    pub vendor: String,
    /// The product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The kernel driver that is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverDocument>,
    /// Firmware version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The paths of its device nodes on the host, the device's own first.
    pub nodes: Vec<String>,
    /// The same nodes with their numbers and owners, in the same order.
    #[serde(default)]
    pub node_details: Vec<NodeDocument>,
    /// The place on the PCI bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci: Option<PciDocument>,
    /// The PCI Express link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkDocument>,
    /// The NUMA node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numa_node: Option<u32>,
    /// Other devices that are reached without crossing the host's memory.
    #[serde(default)]
    pub peers: Vec<PeerDocument>,
    /// Memory on board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// `healthy`, `unhealthy` or `unknown`.
    pub health: Word,
    /// Why it is not healthy, or why that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How many users it can have at the same time.
    #[serde(default)]
    pub shares: SharesDocument,
    /// How many containers may have it at the same time, where the operator declared it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// The id of the whole that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What only its family has: `afu_id`, `mig.profile`, `wq.mode`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The name to ask an engine for: `nvidia.com/gpu=0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cdi: Option<String>,
    /// Who has it open; left out where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<PartyDocument>>,
    /// The processes of these users; left out where they cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<DeviceProcessDocument>>,
    /// The containers that the kubelet gave it to, whether they have it open or not; left out where
    /// no kubelet tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_to: Option<Vec<HolderDocument>>,
}

/// A container that the kubelet gave a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderDocument {
    /// The resource that it asked for: `nvidia.com/gpu`.
    pub resource: String,
    /// Its name in the pod.
    pub container: String,
    /// The pod's namespace; left out with its name where the kubelet only told the uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The pod's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The pod's uid; left out where the kubelet only told the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
}

/// A kernel driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverDocument {
    /// As sysfs names it.
    pub name: String,
    /// The module's version; left out for drivers that go with the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A device node on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDocument {
    /// Where it is.
    pub path: String,
    /// `own`, `render`, `card`, `control` (shared by the family) or `management`.
    pub role: Word,
    /// `c` or `b`.
    #[serde(rename = "type")]
    pub kind: Word,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// The permission bits in octal (`0660`); these three are left out where there is no such node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A place on the PCI bus. Ids are in hex, as `lspci -n` writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciDocument {
    /// `0000:65:00.0`.
    pub address: String,
    /// `10de`.
    pub vendor: String,
    /// `2335`.
    pub device: String,
    /// `10de:18be`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subsystem: Option<String>,
    /// Base class, subclass and interface: `030200`.
    pub class: String,
    /// The bridges from the root complex down to the device.
    #[serde(default)]
    pub path: Vec<String>,
    /// The IOMMU group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iommu_group: Option<u32>,
    /// For a virtual function: the address of its physical one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_function: Option<String>,
}

/// A PCI Express link, as it runs and as it could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDocument {
    /// `16.0 GT/s PCIe`.
    pub speed: String,
    /// Lanes.
    pub width: u32,
    /// The best speed that the device can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_speed: Option<String>,
    /// The most lanes that the device can use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_width: Option<u32>,
}

/// A device that is reached directly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerDocument {
    /// Its id.
    pub id: String,
    /// `nvlink`, `xgmi`, `pcie`.
    pub over: Word,
    /// How many links.
    pub links: u32,
}

/// How many users a device can have at the same time: a number, or `"any"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SharesDocument {
    /// At most so many.
    Count(u32),
    /// `any`: as many as like to.
    Word(Word),
}

impl Default for SharesDocument {
    fn default() -> SharesDocument {
        SharesDocument::Word("any".into())
    }
}

/// A process that has a device open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceProcessDocument {
    /// Its id in the host's namespace.
    pub pid: i32,
    /// The name that it gave itself (`/proc/PID/comm`).
    pub command: String,
    /// Its cgroup, from the host's cgroup root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
}

/// What `dunnage devices cdi --json` prints: once, or with `--watch` a line for each change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CdiDocument {
    /// `dunnage.cdi/1`.
    pub schema: Word,
    /// The folder.
    pub directory: String,
    /// What changed on the host, as the kernel named it; empty at the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// With `--watch`: from the first event to the last file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Files that were taken back, or cut down, at once because they named something that is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<String>,
    /// Files that are new or changed.
    pub written: Vec<String>,
    /// Files that were as they should be.
    pub unchanged: Vec<String>,
    /// Files that nothing stands behind any more.
    pub removed: Vec<String>,
    /// Kinds that are not written because another file names the same devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<GapDocument>,
    /// What could not be written or removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<GapDocument>,
    /// What could not be read.
    #[serde(default)]
    pub gaps: Vec<GapDocument>,
}

impl CdiDocument {
    /// The schema's name.
    pub const SCHEMA: &'static str = "dunnage.cdi/1";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the contract.
    const CONTRACT: &str = r#"{"schema":"dunnage.devices/1","devices":[{"id":"0000:65:00.0","kind":"gpu",
        "vendor":"nvidia","model":"T4","driver":{"name":"nvidia","version":"580.1"},
        "nodes":["/dev/nvidia0"],"numa_node":0,"health":"healthy","why":"all in order",
        "cdi":"nvidia.com/gpu=0","users":[{"kind":"container","name":"web"}]}]}"#;

    #[test]
    fn the_contracts_fields_are_read_and_written() {
        let document: DevicesDocument = serde_json::from_str(CONTRACT).unwrap();
        let device = &document.devices[0];
        assert_eq!(device.cdi.as_deref(), Some("nvidia.com/gpu=0"));
        assert_eq!(device.users.as_ref().unwrap()[0].name, "web");
        let contract: serde_json::Value = serde_json::from_str(CONTRACT).unwrap();
        let written = serde_json::to_value(&document).unwrap();
        for (key, value) in contract["devices"][0].as_object().unwrap() {
            assert_eq!(&written["devices"][0][key], value, "{key}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let document: DevicesDocument = serde_json::from_str(CONTRACT).unwrap();
        let written = serde_json::to_value(&document.devices[0]).unwrap();
        for key in [
            "firmware",
            "memory_bytes",
            "parent",
            "pci",
            "link",
            "processes",
        ] {
            assert!(written.get(key).is_none(), "{key}");
        }
        assert_eq!(written["shares"], "any");
    }
}
