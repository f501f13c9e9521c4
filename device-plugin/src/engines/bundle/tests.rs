//! Changes to OCI configurations, and that no shape of one brings it down.

use super::*;
use crate::offer::tests::{gpu, node};
use crate::offer::{Options, edits_for};
use dunnage_host::HostRoot;
use dunnage_inventory::{Device, Inventory, Kind, Role};
use proptest::prelude::*;

fn edits() -> Edits {
    let dir = tempfile::tempdir().unwrap();
    let host = HostRoot::new(dir.path());
    let mut port = Device::new("p", "dfl", Kind::Fpga, "intel");
    port.nodes = vec![node("/dev/dfl-port.0", Role::Own, (240, 1), (0o600, 0))];
    let gpu = gpu("intel_gpu", "i915", 1);
    edits_for(
        &host,
        &Inventory::default(),
        &[&gpu, &port],
        &Options::default(),
    )
    .unwrap()
}

#[test]
fn everything_is_added_once_however_often_it_is_applied() {
    let mut config = json!({
        "process": {"user": {"uid": 1000, "gid": 100, "additionalGids": [44]},
                    "env": ["PATH=/bin", "LIBVA_DRIVER_NAME=i965"]},
        "mounts": [{"destination": "/dev/dri/by-path", "source": "/x"}, {"destination": "/proc"}],
        "linux": {"devices": [{"path": "/dev/dri/renderD128", "major": 1}],
                  "resources": {"devices": [{"allow": false, "access": "rwm"}]}},
        "kept": 18_446_744_073_709_551_615_u64
    });
    apply(&mut config, &edits()).unwrap();
    let once = config.clone();
    assert_eq!(
        once["process"]["env"],
        json!(["PATH=/bin", "LIBVA_DRIVER_NAME=iHD"])
    );
    assert_eq!(once["process"]["user"]["additionalGids"], json!([44, 104]));
    assert_eq!(once["kept"], json!(u64::MAX));
    assert_eq!(
        once["linux"]["devices"],
        json!([
            {"path": "/dev/dri/renderD128", "type": "c", "major": 226, "minor": 129,
             "fileMode": 0o660, "uid": 0, "gid": 104},
            {"path": "/dev/dri/card0", "type": "c", "major": 226, "minor": 1,
             "fileMode": 0o660, "uid": 0, "gid": 44},
            {"path": "/dev/dfl-port.0", "type": "c", "major": 240, "minor": 1,
             "fileMode": 0o600, "uid": 1000, "gid": 100}])
    );
    assert_eq!(
        once["linux"]["resources"]["devices"][1],
        json!({"allow": true, "type": "c", "major": 226, "minor": 129, "access": "rw"})
    );
    let mounts = once["mounts"].as_array().unwrap();
    assert_eq!(mounts.len(), 2);
    assert_eq!(mounts[1]["destination"], "/dev/dri/by-path");
    apply(&mut config, &edits()).unwrap();
    assert_eq!(config["linux"]["devices"], once["linux"]["devices"]);
    assert_eq!(config["mounts"], once["mounts"]);
}

#[test]
fn a_bundle_without_rules_is_closed() {
    let mut config = json!({});
    apply(&mut config, &edits()).unwrap();
    assert_eq!(
        config["linux"]["resources"]["devices"][0],
        json!({"allow": false, "access": "rwm"})
    );
}

#[test]
fn what_is_no_configuration_is_refused() {
    for mut bad in [
        json!([]),
        json!({"linux": 7}),
        json!({"mounts": {}}),
        json!(null),
    ] {
        assert!(apply(&mut bad, &edits()).is_err(), "{bad}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z/]{0,8}".prop_map(Value::from)
    ];
    let key = prop_oneof![
        Just("process"),
        Just("user"),
        Just("env"),
        Just("mounts"),
        Just("linux"),
        Just("devices"),
        Just("resources"),
        Just("destination"),
        Just("path")
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            })
        ]
    })
}

proptest! {
    #[test]
    fn no_shape_brings_it_down(mut config in any_json()) {
        let edits = edits();
        if apply(&mut config, &edits).is_ok() {
            let rules = config["linux"]["resources"]["devices"].as_array().unwrap();
            prop_assert!(rules.len() >= edits.nodes.len());
        }
    }
}
