//! Specifications: what is in them, and that the CDI library itself agrees.

use super::*;
use crate::offer::NodeKind;
use crate::offer::tests::{gpu, node};
use dunnage_inventory::{Kind, Role};
use std::collections::BTreeMap;

fn rack() -> Inventory {
    let mut port = Device::new("dfl-port.0", "dfl", Kind::Fpga, "intel");
    port.nodes = vec![node("/dev/dfl-port.0", Role::Own, (240, 1), (0o600, 0))];
    let bare = Device::new("accel0", "accel", Kind::Npu, "intel");
    Inventory {
        devices: vec![
            gpu("intel_gpu", "i915", 0),
            gpu("intel_gpu", "xe", 1),
            port,
            bare,
        ],
        gaps: Vec::new(),
    }
}

fn written(inventory: &Inventory) -> (Vec<Spec>, Vec<Gap>) {
    let dir = tempfile::tempdir().unwrap();
    specs(&HostRoot::new(dir.path()), inventory, &Options::default())
}

#[test]
fn one_for_each_kind_and_nothing_for_what_cannot_be_given() {
    let (specs, gaps) = written(&rack());
    let told: Vec<_> = specs
        .iter()
        .map(|spec| {
            (
                spec.kind.as_str(),
                spec.cdi_version.as_str(),
                spec.file_name(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "intel.com/fpga",
                "0.5.0",
                "dunnage-intel.com-fpga.json".to_owned()
            ),
            (
                "intel.com/gpu",
                "0.7.0",
                "dunnage-intel.com-gpu.json".to_owned()
            ),
        ]
    );
    let names: Vec<_> = specs[1]
        .devices
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "0",
            "0000:03:00.0",
            "host-0",
            "1",
            "0000:04:00.0",
            "host-1",
            "all"
        ]
    );
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].why.contains("no device node"));
}

#[test]
fn the_text_says_all_and_reads_back() {
    let (specs, _) = written(&rack());
    let spec = &specs[1];
    assert_eq!(
        serde_json::from_str::<Spec>(&spec.to_json()).unwrap(),
        *spec
    );
    let value: serde_json::Value = serde_json::from_str(&spec.to_json()).unwrap();
    assert_eq!(
        value["devices"][3]["containerEdits"]["deviceNodes"][0],
        serde_json::json!({
            "path": "/dev/dri/renderD128", "hostPath": "/dev/dri/renderD129", "type": "c",
            "major": 226, "minor": 129, "fileMode": 0o660, "permissions": "rw", "uid": 0, "gid": 104
        })
    );
    let paths = spec.referenced_paths();
    assert!(paths.contains(&"/dev/dri/renderD129".into()));
    assert_eq!(
        paths.len(),
        4 + 3,
        "nodes, and three folders of links: {paths:?}"
    );
}

#[test]
fn names_that_can_be_combined_share_no_place() {
    let (specs, _) = written(&rack());
    let mut places = BTreeMap::new();
    let host_names = specs[1]
        .devices
        .iter()
        .filter(|one| one.name.starts_with("host-"));
    for one in host_names {
        assert!(one.container_edits.mounts.is_empty() && one.container_edits.env.is_empty());
        for node in &one.container_edits.device_nodes {
            assert_eq!(
                places.insert(node.path.clone(), &one.name),
                None,
                "{node:?}"
            );
        }
    }
}

#[test]
fn engines_of_old_get_what_they_can_read() {
    let (specs, _) = written(&rack());
    let old = specs[1].clone().without_groups();
    assert_eq!(old.cdi_version, "0.5.0");
    assert!(!old.to_json().contains("ids\"") && !old.to_json().contains("\"gid\""));
}

#[test]
fn the_lowest_version_is_that_of_the_newest_field() {
    let version = |name: &str, edits: &Edits| {
        let entries = vec![entry(name.to_owned(), ContainerEdits::from(edits))];
        Spec::new("v.com/c".to_owned(), entries, ContainerEdits::default()).cdi_version
    };
    let mut edits = Edits::default();
    edits.nodes.push(DeviceNode {
        path: "/dev/a".into(),
        host_path: "/dev/a".into(),
        kind: NodeKind::Block,
        major: 7,
        minor: 0,
        mode: None,
        uid: None,
        gid: None,
        permissions: "rw",
    });
    assert_eq!(version("a", &edits), "0.3.0");
    assert_eq!(version("0", &edits), "0.5.0");
    edits.nodes[0].host_path = "/dev/b".into();
    assert_eq!(version("a", &edits), "0.5.0");
    edits.additional_gids.push(44);
    assert_eq!(version("a", &edits), "0.7.0");
}
