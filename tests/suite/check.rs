//! `devices check`: the pairs of images and hosts that are made from real packages, and the command
//! itself on a real image.

use anyhow::{Context, Result, ensure};
use dunnage_tests::{script, target, workspace};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The unpacked packages, fetched once.
fn pieces() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").context("no HOME to keep packages in")?;
    let folder = Path::new(&home).join(".cache/dunnage/check-pieces");
    let status = Command::new(script("check-pieces.sh"))
        .arg(&folder)
        .status()?;
    ensure!(status.success(), "the packages cannot be fetched: {status}");
    Ok(folder.join("unpacked"))
}

#[test]
fn check_a_hundred_pairs_of_real_packages() -> Result<()> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "test",
            "-p",
            "dunnage-device-plugin",
            "--test",
            "pairs",
            "--",
            "--nocapture",
        ])
        .current_dir(workspace())
        .env("DUNNAGE_PIECES", pieces()?)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let figures = said
        .lines()
        .find(|line| line.contains(" pairs: "))
        .unwrap_or("nothing");
    println!("{figures}");
    ensure!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// `dunnage-devices check` of a root folder or an archive against a host without accelerators.
fn check(arguments: &[&str], host: &Path, cache: &Path) -> Result<(Output, Duration)> {
    let program = target().join("release/dunnage-devices");
    ensure!(
        program.exists(),
        "{} is missing: cargo build --release -p dunnage-device-plugin",
        program.display()
    );
    let start = Instant::now();
    let output = Command::new(program)
        .args(["--json", "--host-root"])
        .arg(host)
        .arg("check")
        .args(arguments)
        .env("XDG_CACHE_HOME", cache)
        .output()?;
    Ok((output, start.elapsed()))
}

#[test]
fn check_answers_by_document_and_exit_code() -> Result<()> {
    let pieces = pieces()?;
    let folder = target().join("check-suite");
    let _ = std::fs::remove_dir_all(&folder);
    let (host, cache) = (folder.join("host"), folder.join("cache"));
    std::fs::create_dir_all(host.join("proc"))?;
    for (package, code, verdict) in [
        ("bookworm-hello", 0, "yes"),
        ("bookworm-libcudart11.0", 3, "no"),
    ] {
        let rootfs = pieces.join(package);
        let rootfs = rootfs.to_str().context("a path that is no text")?;
        let (output, _) = check(&["--rootfs", rootfs], &host, &cache)?;
        let document: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(document["schema"] == "dunnage.check/1", "{document}");
        ensure!(document["verdict"] == verdict, "{package}: {document}");
        ensure!(
            output.status.code() == Some(code),
            "{package}: {}",
            output.status
        );
        // The same as an archive, cold and then from the cache.
        let archive = folder.join(format!("{package}.tar"));
        let packed = Command::new("tar")
            .arg("-cf")
            .arg(&archive)
            .args(["-C", rootfs, "."])
            .status()?;
        ensure!(packed.success(), "tar: {packed}");
        let archive = archive.to_str().context("a path that is no text")?;
        let (output, _) = check(&["--image", archive], &host, &cache)?;
        ensure!(output.status.code() == Some(code), "{package}: {output:?}");
    }
    let (output, _) = check(&["--image", "/no/such/image"], &host, &cache)?;
    ensure!(
        output.status.code() == Some(1),
        "no image, and {}",
        output.status
    );
    Ok(())
}

/// The bench of large images, on a small one: every form is made and answered about, and what each layer
/// holds was seen. How long it takes is the bench's own matter.
#[test]
fn check_reads_every_form_of_one_image() -> Result<()> {
    let programs = target().join("release");
    let output = Command::new(programs.join("dunnage-bench"))
        .args(["images", "--size", "50", "--rounds", "1", "--json"])
        .arg("--binary")
        .arg(programs.join("dunnage-devices"))
        .output()
        .context("starting dunnage-bench; cargo build --release -p dunnage-bench makes it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let document: Value =
        serde_json::from_slice(&output.stdout).with_context(|| said.into_owned())?;
    let figures = document["figures"].as_array().context("no figures")?;
    let named = |end: &str| {
        figures
            .iter()
            .filter(|figure| {
                figure["what"]
                    .as_str()
                    .is_some_and(|what| what.ends_with(end))
            })
            .count()
    };
    // Layout, registry and archive in two packings, `docker save`, and two folders, which are not kept.
    ensure!(
        named("first answer") == 9 && named("second answer") == 7,
        "{document}"
    );
    for figure in figures.iter().filter(|figure| figure["unit"] == "MiB") {
        let most = figure["value"].as_f64().context("no value")?;
        ensure!(most <= 100.0, "{figure}");
    }
    Ok(())
}
