//! The kubelet's checkpoint of devices, in the forms that it had:
//! `pkg/kubelet/cm/devicemanager/checkpoint` of Kubernetes, with ids by NUMA node since 1.20.
//!
//! Its checksum is of Go's own view of the data and cannot be computed elsewhere. What is torn is no
//! JSON any more: the kubelet writes by rename.

use super::{DEVICES_LIMIT, Holder, Holders, HoldersError};
use dunnage_host::HostRoot;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The file below the kubelet's folder.
pub const CHECKPOINT: &str = "device-plugins/kubelet_internal_checkpoint";

/// The largest file that is read: an allocation has some 1,000 bytes, with its answer in base64.
const SIZE_LIMIT: usize = 16 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    // Go writes an empty list as null.
    #[serde(default)]
    pod_device_entries: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(rename = "PodUID")]
    pod_uid: String,
    container_name: String,
    resource_name: String,
    #[serde(rename = "DeviceIDs", default)]
    device_ids: Option<Ids>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    /// By NUMA node, `-1` where it is not known.
    ByNode(BTreeMap<String, Option<Vec<String>>>),
    /// Before Kubernetes 1.20.
    Plain(Vec<String>),
}

/// Reads `path` of `host`.
pub(super) fn read(host: &HostRoot, path: &Path) -> Result<Holders, HoldersError> {
    let bytes = host.read(path, SIZE_LIMIT);
    let bytes = bytes.map_err(|source| HoldersError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    parse(&bytes).map_err(|source| HoldersError::Parse {
        path: path.to_path_buf(),
        source,
    })
}

/// Who holds what, by the text of a checkpoint.
pub(super) fn parse(bytes: &[u8]) -> Result<Holders, serde_json::Error> {
    let written: Written = serde_json::from_slice(bytes)?;
    let mut holders = Holders::default();
    let mut room = DEVICES_LIMIT;
    for entry in written.data.pod_device_entries.unwrap_or_default() {
        let holder = Holder {
            pod: None,
            pod_uid: Some(entry.pod_uid),
            container: entry.container_name,
        };
        let ids: Vec<String> = match entry.device_ids {
            Some(Ids::ByNode(nodes)) => nodes.into_values().flatten().flatten().collect(),
            Some(Ids::Plain(ids)) => ids,
            None => Vec::new(),
        };
        for id in ids {
            room = room.saturating_sub(1);
            if room > 0 {
                holders.add(&entry.resource_name, id, &holder);
            }
        }
    }
    Ok(holders)
}
