//! Waits in fsync where the file systems are modules of the kernel: ext4 and XFS, in a virtual machine.
//! Who syncs small writes is harmed by who writes much, and by nobody while it is alone.
//!
//! QEMU moves so many bytes a second and no more, so that what one container writes the others wait for,
//! however fast the emulated CPU is. The guest's part is `fsync_vm/guest.sh`.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::{list, number, summary, text};
use dunnage_tests::dunnage::binary;
use dunnage_tests::guest;
use dunnage_tests::keeper::own_folder;
use dunnage_tests::machine::machine;
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

const FILESYSTEMS: [&str; 2] = ["ext4", "xfs"];

/// Of each disk; what nobody writes takes no room.
const SIZE: u64 = 1 << 30;

#[test]
fn fsync_on_file_systems_that_are_modules() -> Result<()> {
    let _alone = machine()?;
    let folder = own_folder("fsync")?;
    let told = told(&folder);
    fs::remove_dir_all(&folder)?;
    told
}

fn told(folder: &Path) -> Result<()> {
    let mut devices = String::new();
    let mut pairs = String::new();
    for (at, kind) in FILESYSTEMS.iter().enumerate() {
        let image = folder.join(kind);
        File::create(&image)?.set_len(SIZE)?;
        devices.push_str(&format!(
            " -drive if=none,id={kind},file={},format=raw,cache=unsafe,throttling.bps-total=20000000 \
             -device virtio-blk-pci,addr=0x1{at},drive={kind},serial=of-{kind}",
            image.display()
        ));
        pairs.push_str(&format!(" {kind}=of-{kind}"));
    }
    let command = format!(
        "'{}' '{}' '{}'{pairs}",
        dunnage_tests::workspace()
            .join("tests/suite/fsync_vm/guest.sh")
            .display(),
        guest::kernels()?.display(),
        binary()?.canonicalize()?.display()
    );
    // Programs come and go at events that the disks bring all the time.
    let machine = [
        ("DUNNAGE_VM_QEMU", devices.as_str()),
        ("DUNNAGE_VM_CPUS", "1"),
    ];
    let guest = guest::run_on(&machine, &command, Duration::from_secs(240))?;
    ensure!(
        guest.status()? == 0,
        "the guest's part failed:\n{}",
        guest.file("output")?
    );
    let alone = of_disks(&guest.json("alone.json")?)?;
    ensure!(alone.is_empty(), "harmed while alone: {alone:?}");
    let blame = guest.json("blame.json")?;
    let verdicts = of_disks(&blame)?;
    for (at, kind) in FILESYSTEMS.iter().enumerate() {
        named(at, &verdicts).with_context(|| format!("on {kind}: {}", summary(&blame)))?;
    }
    ensure!(
        verdicts.len() == FILESYSTEMS.len(),
        "somebody else is harmed: {}",
        summary(&blame)
    );
    Ok(())
}

fn of_disks(document: &Value) -> Result<Vec<Value>> {
    let mut verdicts = Vec::new();
    for verdict in list(document, "verdicts")? {
        if text(verdict, "resource")? == "disk" {
            verdicts.push(verdict.clone());
        }
    }
    Ok(verdicts)
}

/// Whether who syncs on the file system with this number is told to wait in fsync for who writes there.
fn named(at: usize, verdicts: &[Value]) -> Result<()> {
    let group = |letter: &str| format!("/docker/{letter}{at:063}");
    let (victim, culprit) = (group("a"), group("b"));
    let harmed = |verdict: &&Value| text(verdict, "victim.cgroup").is_ok_and(|own| own == victim);
    let verdict = verdicts.iter().find(harmed).context("nobody is harmed")?;
    let culprits = list(verdict, "culprits")?;
    ensure!(
        text(verdict, "cause")? == "neighbour"
            && culprits.len() == 1
            && text(&culprits[0], "party.cgroup")? == culprit
            && number(&culprits[0], "share")? > 0.9,
        "{verdict}"
    );
    let synced = number(verdict, "facts.fsync_seconds")?;
    ensure!(
        synced > 0.5 * number(verdict, "facts.request_wait_seconds")?,
        "only {synced} s inside fsync: {verdict}"
    );
    Ok(())
}
