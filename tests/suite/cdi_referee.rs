//! Our CDI files before a referee: the library that engines read them with.

use anyhow::{Context, Result, ensure};
use dunnage_device_plugin::cdi::{names, specs};
use dunnage_device_plugin::engines::bundle;
use dunnage_device_plugin::offer::{Options, edits_for};
use dunnage_host::HostRoot;
use dunnage_inventory::device::Access;
use dunnage_inventory::{Config, Device, Driver, Inventory, Kind, Node, PciPlace, Role};
use dunnage_tests::engine::said;
use dunnage_tests::keeper::own_folder;
use dunnage_tests::rack::Rack;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn referee() -> Result<PathBuf> {
    let mut command = Command::new(dunnage_tests::script("cdi-referee.sh"));
    said(&mut command).map(PathBuf::from)
}

fn any_node(index: u32) -> impl Strategy<Value = Node> {
    let place = prop_oneof![
        Just((format!("/dev/dri/renderD{}", 128 + index), Role::Render)),
        Just((format!("/dev/dri/card{index}"), Role::Card)),
        Just((format!("/dev/accel/accel{index}"), Role::Own)),
        Just((format!("/dev/vfio/{index}"), Role::Own)),
        Just((format!("/dev/x{index}"), Role::Management)),
    ];
    let access = proptest::option::of((0_u32..0o1000, 0_u32..3, 0_u32..3).prop_map(
        |(mode, uid, gid)| Access {
            mode,
            uid,
            gid: gid * 50,
        },
    ));
    (place, access, any::<bool>(), 1_u32..4000, 0_u32..1 << 20).prop_map(
        |((path, role), access, block, major, minor)| Node {
            path: path.into(),
            role,
            block,
            major,
            minor,
            access,
        },
    )
}

fn any_device(index: u32) -> impl Strategy<Value = Device> {
    let id = prop_oneof![
        Just(format!("0000:{index:02x}:00.0")),
        "[ -~]{1,12}",
        ".{1,6}",
        Just(format!("{index}")),
    ];
    let vendor = prop_oneof![
        Just("intel".to_owned()),
        Just("amd".to_owned()),
        ".{0,8}",
        "0x[0-9a-f]{4}"
    ];
    let driver = prop_oneof![Just("i915"), Just("amdgpu"), Just("x")];
    let kind = prop_oneof![
        Just(Kind::Gpu),
        Just(Kind::Npu),
        Just(Kind::Fpga),
        Just(Kind::Other)
    ];
    let nodes = proptest::collection::vec(any_node(index), 0..4);
    (id, vendor, driver, kind, nodes).prop_map(|(id, vendor, driver, kind, nodes)| {
        let mut device = Device::new(id.clone(), "test", kind, vendor);
        device.driver = Some(Driver {
            name: driver.to_owned(),
            version: None,
        });
        device.pci = Some(PciPlace {
            address: id,
            ..PciPlace::default()
        });
        device.nodes = nodes;
        device
    })
}

/// Inventories with devices of all sorts, whose ids differ as a scan makes sure.
fn any_inventory() -> impl Strategy<Value = Inventory> {
    (any_device(0), any_device(1), any_device(2)).prop_map(|(a, b, c)| {
        let mut devices: Vec<Device> = Vec::new();
        for device in [a, b, c] {
            if devices.iter().all(|other| other.id != device.id) {
                devices.push(device);
            }
        }
        Inventory {
            devices,
            gaps: Vec::new(),
        }
    })
}

#[test]
fn cdi_files_are_taken_and_no_lower_version_would_be() -> Result<()> {
    let referee = referee()?;
    let folder = own_folder("referee")?;
    let host = HostRoot::new(folder.join("root"));
    let mut runner = TestRunner::deterministic();
    let strategy = any_inventory();
    let mut files = Vec::new();
    for round in 0..200 {
        let inventory = strategy
            .new_tree(&mut runner)
            .map_err(|why| anyhow::anyhow!("no inventory: {why}"))?
            .current();
        let (written, _) = specs(&host, &inventory, &Options::default());
        for (number, spec) in written.into_iter().enumerate() {
            for (sort, spec) in [("new", spec.clone()), ("old", spec.without_groups())] {
                let file = folder.join(format!("{round}-{number}-{sort}.json"));
                fs::write(&file, spec.to_json())?;
                files.push(file);
            }
        }
    }
    ensure!(files.len() > 400, "only {} files", files.len());
    let said = said(Command::new(&referee).arg("validate").args(&files))?;
    let verdicts: Vec<Value> = said
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(
        verdicts.len() == files.len(),
        "{} of {}",
        verdicts.len(),
        files.len()
    );
    for verdict in verdicts {
        ensure!(
            verdict["version"] == verdict["lowest"] && verdict["taken"] == json!([]),
            "a lower version would do: {verdict}"
        );
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}

#[test]
fn cdi_injection_is_what_the_runtime_applies() -> Result<()> {
    let referee = referee()?;
    let rack = Rack::start("rack")?;
    let folder = rack.place("cdi")?;
    for spec in rack.specs()? {
        fs::write(folder.join(spec.file_name()), spec.to_json())?;
    }
    let host = HostRoot::new(rack.root());
    let inventory = dunnage_inventory::scan(&host, &Config::default());
    for user in [0, 1000] {
        for device in &inventory.devices {
            let config = configuration(user);
            let name = names::qualified_name(device, &inventory);
            let theirs = injected(&referee, &folder, &config, &name)?;
            let edits = edits_for(&host, &inventory, &[device], &Options::default())?;
            let mut ours = config;
            bundle::apply(&mut ours, &edits)?;
            ensure!(
                essence(&ours) == essence(&theirs),
                "{name} for user {user}:\nours {}\ntheirs {}",
                essence(&ours),
                essence(&theirs)
            );
        }
    }
    Ok(())
}

fn configuration(user: u32) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": user, "gid": user}, "env": ["PATH=/bin", "LIBVA_DRIVER_NAME=x"],
                    "args": ["a"], "cwd": "/"},
        "mounts": [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
        "linux": {"resources": {"devices": [{"allow": false, "access": "rwm"}]}}
    })
}

fn injected(referee: &Path, folder: &Path, config: &Value, name: &str) -> Result<Value> {
    let file = folder.with_extension("config");
    fs::write(&file, config.to_string())?;
    let mut command = Command::new(referee);
    command.arg("inject").arg(folder).arg(&file).arg(name);
    serde_json::from_str(&said(&mut command)?).context("the referee's configuration")
}

/// What injection is about, in an order of our own. The library leaves a bind mount's type empty.
fn essence(config: &Value) -> Value {
    let sorted = |value: &Value| {
        let mut items = value.as_array().cloned().unwrap_or_default();
        for item in &mut items {
            if let Some(object) = item.as_object_mut() {
                object
                    .remove("type")
                    .filter(|kind| kind != "bind")
                    .map(|kind| object.insert("type".to_owned(), kind));
            }
        }
        items.sort_by_key(Value::to_string);
        items
    };
    json!({
        "env": sorted(&config["process"]["env"]),
        "user": config["process"]["user"],
        "devices": sorted(&config["linux"]["devices"]),
        "rules": sorted(&config["linux"]["resources"]["devices"]),
        "mounts": sorted(&config["mounts"]),
    })
}
