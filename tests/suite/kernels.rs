//! Every eBPF object on stock kernels, older and newer, each in a virtual machine: what the verifier of
//! the machine's own kernel takes, another may refuse.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::{list, text};
use dunnage_tests::dunnage::binary;
use dunnage_tests::guest;
use dunnage_tests::machine::machine;
use std::process::Command;
use std::time::Duration;

/// Debian's packages that depend on a kernel; those that this distribution does not have are left out.
const PACKAGES: [&str; 2] = ["linux-image-amd64", "linux-image-6.12-amd64"];

#[test]
fn every_ebpf_object_loads_on_stock_kernels() -> Result<()> {
    let _alone = machine()?;
    let mut seen = Vec::new();
    for package in PACKAGES {
        if !has(package)? {
            eprintln!("LEFT OUT: this distribution has no {package}");
            continue;
        }
        seen.push(loads(package).with_context(|| package.to_owned())?);
    }
    ensure!(!seen.is_empty(), "no kernel could be had");
    eprintln!("every eBPF object loads on {}", seen.join(", "));
    Ok(())
}

fn has(package: &str) -> Result<bool> {
    let shown = Command::new("apt-cache").args(["show", package]).output();
    Ok(shown
        .context("apt-cache, which finds kernels")?
        .status
        .success())
}

/// What the doctor says in a guest on this kernel: it opens every source. Returns the kernel's version.
fn loads(package: &str) -> Result<String> {
    let dunnage = binary()?.canonicalize()?;
    let command = format!(
        "uname -r >/out/kernel; '{}' doctor --json --no-engines >/out/doctor.json",
        dunnage.display()
    );
    let machine = [("DUNNAGE_VM_PACKAGE", package)];
    let guest = guest::run_on(&machine, &command, Duration::from_secs(240))?;
    let kernel = guest.file("kernel")?.trim().to_owned();
    let doctor = guest.json("doctor.json")?;
    let mut programs = 0;
    for check in list(&doctor, "checks")? {
        let name = text(check, "name")?;
        if name.starts_with("eBPF") || name == "waits in fsync" {
            programs += 1;
            ensure!(
                text(check, "status")? == "ok",
                "{name} on {kernel}: {}",
                text(check, "detail")?
            );
        }
    }
    ensure!(programs > 0, "the doctor tried no eBPF program on {kernel}");
    Ok(kernel)
}
