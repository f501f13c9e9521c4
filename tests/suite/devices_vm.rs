//! Devices of the kernel's own making, in a virtual machine: FPGA ports on the kernel's DFL stack, DRM
//! render nodes and an accelerator, VFIO groups behind an IOMMU, functions of an SR-IOV disk, a mediated
//! device. `dunnage-devices` tells what there is; containers open what they were given and nothing else;
//! what is unplugged goes from the CDI specifications.
//!
//! The guest's part is `devices_vm/guest.sh`; `tests/setup/kmods.sh` prepares kernel and modules.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::{list, text};
use dunnage_tests::guest::{self, Guest};
use dunnage_tests::machine::machine;
use dunnage_tests::rack::binary;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

/// QEMU: an IOMMU; shared memory for four FPGA cards (see `tests/kmod/fake_dfl.c`); a device for VFIO; a
/// disk with two virtual functions behind a port of its own.
const QEMU: &str = "-machine q35 -device intel-iommu \
    -object memory-backend-ram,id=card0,size=1M,share=on -device ivshmem-plain,memdev=card0 \
    -object memory-backend-ram,id=card1,size=1M,share=on -device ivshmem-plain,memdev=card1 \
    -object memory-backend-ram,id=card2,size=1M,share=on -device ivshmem-plain,memdev=card2 \
    -object memory-backend-ram,id=card3,size=1M,share=on -device ivshmem-plain,memdev=card3 \
    -device edu -device pcie-root-port,id=slot1,chassis=1,slot=1 -device nvme-subsys,id=disks \
    -device nvme,bus=slot1,serial=dunnage,subsys=disks,sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2";

/// One start of the guest, one test: a start takes as long as all that is looked at.
#[test]
fn devices_in_a_virtual_machine() -> Result<()> {
    let _alone = machine()?;
    let (kernel, modules) = kernel_and_modules()?;
    let environment = [
        ("DUNNAGE_VM_KERNEL", kernel.as_str()),
        ("DUNNAGE_VM_QEMU", QEMU),
        ("DUNNAGE_VM_APPEND", "intel_iommu=on"),
    ];
    let script = dunnage_tests::workspace().join("tests/suite/devices_vm/guest.sh");
    let command = format!(
        "'{}' '{kernel}' '{modules}' '{}'",
        script.display(),
        binary()?.canonicalize()?.display()
    );
    let guest = guest::run_on(&environment, &command, Duration::from_secs(420))?;
    ensure!(
        guest.status()? == 0,
        "the guest's part failed:\n{}",
        guest.file("output")?
    );
    // All of it is told, since a second look costs a second start.
    let outcomes = [inventory(&guest), containers(&guest), changes(&guest)];
    let failures: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .map(|error| format!("{error:#}"))
        .collect();
    let output = guest.file("output")?;
    ensure!(failures.is_empty(), "{}\n\n{output}", failures.join("\n\n"));
    Ok(())
}

fn kernel_and_modules() -> Result<(String, String)> {
    let output = Command::new(dunnage_tests::script("kmods.sh"))
        .output()
        .context("start tests/setup/kmods.sh")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tests/setup/kmods.sh: {said}");
    let stdout = String::from_utf8(output.stdout)?;
    let mut lines = stdout.lines().map(str::to_owned);
    lines
        .next()
        .zip(lines.next())
        .with_context(|| format!("tests/setup/kmods.sh printed {stdout:?}: {said}"))
}

// ---- what there is --------------------------------------------------------------------------------

/// The device of this name.
fn device<'v>(document: &'v Value, name: &str) -> Result<&'v Value> {
    let called = |device: &&Value| {
        device["id"] == name
            || device["aliases"]
                .as_array()
                .is_some_and(|aliases| aliases.iter().any(|alias| alias == name))
    };
    list(document, "devices")?
        .iter()
        .find(called)
        .with_context(|| format!("no device is called {name}"))
}

fn nodes(device: &Value) -> Vec<&str> {
    let nodes = device["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    nodes.iter().filter_map(Value::as_str).collect()
}

/// The addresses that the guest wrote down: `edu=... disk=...`.
fn places(guest: &Guest) -> Result<BTreeMap<String, String>> {
    Ok(guest
        .file("places")?
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(name, address)| (name.to_owned(), address.to_owned()))
        .collect())
}

fn inventory(guest: &Guest) -> Result<()> {
    let all = guest.json("all.json")?;
    for (port, health, why) in [
        ("dfl-port.0", "healthy", ""),
        ("dfl-port.1", "healthy", ""),
        ("dfl-port.2", "unhealthy", "errors=0x4"),
        ("dfl-port.3", "unhealthy", "all ones"),
    ] {
        let found = device(&all, port)?;
        ensure!(
            found["health"] == health && found["why"].as_str().unwrap_or_default().contains(why),
            "{port} is {}: {}",
            found["health"],
            found["why"]
        );
        ensure!(found["kind"] == "fpga", "{port} is {}", found["kind"]);
        let number = port.trim_start_matches("dfl-port.");
        ensure!(
            nodes(found) == [format!("/dev/{port}"), format!("/dev/dfl-fme.{number}")],
            "{port} has {:?}",
            nodes(found)
        );
    }
    let attributes = &device(&all, "dfl-port.0")?["attributes"];
    ensure!(
        attributes["afu_id"] == "d8424dc4a4a3c4139aeffe5f84570612"
            && attributes["interface_id"] == "69528db6eb31577a9926ab6d6c925a68",
        "the first port's ids: {attributes}"
    );
    for (name, kind, node) in [
        ("renderD128", "gpu", "/dev/dri/renderD128"),
        ("renderD129", "gpu", "/dev/dri/renderD129"),
        ("accel0", "npu", "/dev/accel/accel0"),
    ] {
        let found = device(&all, name)?;
        ensure!(
            found["kind"] == kind && nodes(found).first() == Some(&node),
            "{name}: {found}"
        );
    }
    groups(guest, &all)
}

/// The VFIO groups: the edu device, the disk's functions each in a group of its own, the mediated device.
fn groups(guest: &Guest, all: &Value) -> Result<()> {
    let places = places(guest)?;
    let (edu, disk) = places
        .get("edu")
        .zip(places.get("disk"))
        .with_context(|| format!("the guest's places are {places:?}"))?;
    let function = |number: u32| disk.replace(".0", &format!(".{number}"));
    let names = [
        edu.clone(),
        function(1),
        function(2),
        "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".to_owned(),
    ];
    let mut seen = BTreeSet::new();
    for name in &names {
        let found = device(all, name)?;
        ensure!(found["health"] == "healthy", "{name}: {found}");
        let nodes = nodes(found);
        ensure!(
            nodes.len() == 2 && nodes[1] == "/dev/vfio/vfio",
            "{name}: {nodes:?}"
        );
        ensure!(seen.insert(nodes[0]), "{} is there twice", nodes[0]);
    }
    let parent = text(device(all, &function(1))?, "parent")?;
    ensure!(parent == disk, "the function's parent is {parent}");
    Ok(())
}

// ---- what containers open -------------------------------------------------------------------------

/// What one container saw: nodes in it with what open(2) said, and which of the host's devices opened
/// after mknod(2) by their numbers.
#[derive(Default)]
struct Seen {
    given: BTreeMap<String, String>,
    opened: BTreeSet<String>,
    refused: BTreeSet<String>,
}

fn seen(guest: &Guest, name: &str) -> Result<Seen> {
    let text = guest.file(&format!("container.{name}"))?;
    let mut seen = Seen::default();
    let mut ended = false;
    for line in text.lines() {
        match line.split('|').collect::<Vec<_>>().as_slice() {
            ["given", path, _, said] => {
                seen.given.insert((*path).to_owned(), (*said).to_owned());
            }
            ["made", path, "opens"] => {
                seen.opened.insert((*path).to_owned());
            }
            ["made", path, "Operation not permitted"] => {
                seen.refused.insert((*path).to_owned());
            }
            ["status", "0"] => ended = true,
            _ => anyhow::bail!("container {name}: {line:?} in\n{text}"),
        }
    }
    ensure!(ended, "container {name} did not end well:\n{text}");
    Ok(seen)
}

fn containers(guest: &Guest) -> Result<()> {
    let all = guest.json("all.json")?;
    let places = places(guest)?;
    let edu = places.get("edu").context("no edu")?;
    let function = places
        .get("disk")
        .map(|disk| disk.replace(".0", ".2"))
        .context("no disk")?;
    let cases: [(&str, &[&str]); 9] = [
        ("nothing", &[]),
        ("port", &["dfl-port.0"]),
        ("card", &["dfl-port.1"]),
        ("render", &["renderD129"]),
        ("accel", &["accel0"]),
        ("vfio", &[edu]),
        ("function", &[&function]),
        ("mediated", &["83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"]),
        ("two", &["dfl-port.0", "accel0"]),
    ];
    for (name, devices) in cases {
        let mut wanted = BTreeSet::new();
        for device in devices {
            wanted.extend(nodes(self::device(&all, device)?));
        }
        if name != "card" {
            // Nodes for administration are given to whom asks for them alone.
            wanted.retain(|path| !path.contains("dfl-fme"));
        }
        let seen = seen(guest, name)?;
        let opened: BTreeSet<&str> = seen.opened.iter().map(String::as_str).collect();
        ensure!(
            opened == wanted,
            "container {name} opens {opened:?}, it was given {wanted:?}"
        );
        ensure!(
            seen.refused.len() >= 15,
            "container {name} was refused only {:?}",
            seen.refused
        );
        ensure!(
            seen.given.len() == wanted.len() && seen.given.values().all(|said| said == "opens"),
            "container {name} has the nodes {:?}",
            seen.given
        );
    }
    // The second GPU is the first one inside, as media programs expect.
    let given = seen(guest, "render")?.given;
    ensure!(
        given.contains_key("/dev/dri/renderD128"),
        "the render node is called {given:?}"
    );
    Ok(())
}

// ---- what comes and goes --------------------------------------------------------------------------

fn changes(guest: &Guest) -> Result<()> {
    let text = guest.file("changes")?;
    let seen: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('|'))
        .collect();
    for change in [
        "driver unbound",
        "function removed",
        "module removed",
        "module loaded",
        "mediated device removed",
    ] {
        let took = seen.get(change).copied().unwrap_or("not tried");
        ensure!(
            took.parse::<u64>().is_ok(),
            "{change}: the specifications changed {took}"
        );
    }
    let after = guest.json("after.json")?;
    let left: Vec<&str> = list(&after, "devices")?
        .iter()
        .flat_map(nodes)
        .filter(|node| *node == "/dev/dfl-port.0")
        .collect();
    ensure!(left.is_empty(), "the unbound card is still listed");
    Ok(())
}
