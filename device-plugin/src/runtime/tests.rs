//! Bundles that ask, and what becomes of them.

use super::*;
use crate::offer::tests::gpu;
use serde_json::json;

fn bundle(config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), config).unwrap();
    dir
}

fn rack() -> Inventory {
    Inventory {
        devices: vec![gpu("intel_gpu", "i915", 0), gpu("intel_gpu", "i915", 1)],
        gaps: Vec::new(),
    }
}

fn prepared(bundle: &Path) -> Result<bool, RuntimeError> {
    let root = tempfile::tempdir().unwrap();
    prepare(
        &HostRoot::new(root.path()),
        rack,
        bundle,
        &Options::default(),
    )
}

#[test]
fn who_asks_for_nothing_stays_untouched() {
    let text = r#"{ "process": {"env": ["A=b"]},  "odd": 1e3 }"#;
    let dir = bundle(text);
    let unasked = || -> Inventory { panic!("nobody asked") };
    let host = HostRoot::default();
    assert!(!prepare(&host, unasked, dir.path(), &Options::default()).unwrap());
    assert_eq!(
        fs::read_to_string(dir.path().join("config.json")).unwrap(),
        text
    );
}

#[test]
fn several_devices_are_composed_and_no_file_stays_behind() {
    let asks = json!({"annotations": {request::ANNOTATION: "intel.com/gpu=1,intel.com/gpu=0,0000:03:00.0"}});
    let dir = bundle(&asks.to_string());
    assert!(prepared(dir.path()).unwrap());
    let text = fs::read(dir.path().join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&text).unwrap();
    let devices: Vec<_> = config["linux"]["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            (
                node["path"].as_str().unwrap(),
                node["minor"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        devices,
        [
            ("/dev/dri/renderD128", 129),
            ("/dev/dri/card0", 1),
            ("/dev/dri/renderD129", 128),
            ("/dev/dri/card1", 0)
        ]
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_fulfilled_stops_the_container() {
    for asks in [
        json!({"annotations": {request::ANNOTATION: "intel.com/gpu=7"}}),
        json!({"process": {"env": ["DOCKER_RESOURCE_GPU=0000:03:00.0"]}}),
        json!({"annotations": {request::ANNOTATION: "0000:03:00.0"}, "linux": 3}),
    ] {
        let dir = bundle(&asks.to_string());
        assert!(prepared(dir.path()).is_err(), "{asks}");
        let text = fs::read_to_string(dir.path().join("config.json")).unwrap();
        assert_eq!(text, asks.to_string());
    }
    assert!(prepared(bundle("{").path()).is_err());
    assert!(prepared(Path::new("/none")).is_err());
}

#[test]
fn a_resource_gives_only_its_own_sort() {
    let request = request::Request {
        by: "DOCKER_RESOURCE_FPGA".to_owned(),
        names: vec!["0000:03:00.0".to_owned()],
    };
    assert!(resolve(&[request], &rack()).is_err());
}
