//! Every sort of block device without and with an I/O scheduler, in a virtual machine: virtio, NVMe, SATA,
//! device-mapper and loop. Who reads with eight requests outstanding is named by who has one. Kyber and bfq
//! are left out: they look after the one that waits, so that whether it is harmed depends on the moment.
//!
//! QEMU answers so many requests a second and no more, so that what one container has the others wait
//! for, however fast the emulated CPU is. The guest's part is `disks_vm/guest.sh`.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::{list, summary, text};
use dunnage_tests::dunnage::binary;
use dunnage_tests::guest::{self, Guest};
use dunnage_tests::machine::machine;
use std::collections::BTreeSet;
use std::time::Duration;

/// What each disk is attached with, and the disk's name.
const DISKS: [(&str, &str); 5] = [
    ("virtio-blk-pci,addr=0x10,serial=virtio", "virtio"),
    ("nvme,serial=nvme", "nvme"),
    ("ide-hd,bus=sata.0", "disk"),
    ("virtio-blk-pci,addr=0x11,serial=beneath-dm", "dm"),
    ("virtio-blk-pci,addr=0x12,serial=beneath-loop", "loop"),
];

/// Of the guest's, in `guest.sh`.
const SORTS: [&str; 5] = ["virtio", "nvme", "sata", "device-mapper", "loop"];

#[test]
fn disk_on_every_sort_of_device() -> Result<()> {
    let _alone = machine()?;
    let mut devices = "-device ahci,id=sata".to_owned();
    for (device, id) in DISKS {
        devices.push_str(&format!(
            " -drive if=none,id={id},driver=null-co,size=1G,read-zeroes=on,throttling.iops-total=200 \
             -device {device},drive={id}"
        ));
    }
    let command = format!(
        "'{}' '{}' '{}'",
        dunnage_tests::workspace()
            .join("tests/suite/disks_vm/guest.sh")
            .display(),
        guest::kernels()?.display(),
        binary()?.canonicalize()?.display()
    );
    let machine = [("DUNNAGE_VM_QEMU", devices.as_str())];
    let guest = guest::run_on(&machine, &command, Duration::from_secs(300))?;
    ensure!(
        guest.status()? == 0,
        "the guest's part failed:\n{}",
        guest.file("output")?
    );
    let watched = guest.file("watched")?;
    let mut sorts = BTreeSet::new();
    let mut failures = Vec::new();
    for line in watched.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [scheduler, sort, device, beneath] = words[..] else {
            continue;
        };
        sorts.insert(sort);
        if let Err(error) = told(&guest, scheduler, sort, &[device, beneath]) {
            failures.push(format!("{sort} under {scheduler}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    ensure!(
        sorts == BTreeSet::from(SORTS),
        "watched were {watched}\n{}",
        guest.file("output")?
    );
    eprintln!("victim and culprit were named on:\n{watched}");
    Ok(())
}

/// Whether the reader with one request outstanding is told to wait for the other, and nobody else for
/// either. `on` are the device and the one that it lies on: a request waits on both.
fn told(guest: &Guest, scheduler: &str, sort: &str, on: &[&str]) -> Result<()> {
    let number = SORTS.iter().position(|name| *name == sort);
    let number = number.with_context(|| format!("no sort is called {sort}"))?;
    let group = |letter: &str| format!("/docker/{letter}{number:063}");
    let (victim, culprit) = (group("a"), group("b"));
    let blame = guest.json(&format!("{scheduler}.json"))?;
    let mut found = false;
    for verdict in list(&blame, "verdicts")? {
        if text(verdict, "resource")? != "disk" {
            continue;
        }
        let harmed = text(verdict, "victim.cgroup")?;
        ensure!(harmed != culprit, "the culprit is a victim: {verdict}");
        if harmed == victim {
            let culprits = list(verdict, "culprits")?;
            ensure!(
                text(verdict, "cause")? == "neighbour"
                    && on.contains(&text(verdict, "facts.device")?)
                    && culprits.len() == 1
                    && text(&culprits[0], "party.cgroup")? == culprit,
                "{verdict}"
            );
            found = true;
        }
    }
    ensure!(found, "no verdict for the victim: {}", summary(&blame));
    Ok(())
}
