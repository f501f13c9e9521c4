//! The files of NVIDIA's driver: the same as NVIDIA's own tool finds on real drivers of three branches,
//! and given to containers so that they load in every sort of image, without anything running.

mod host;
mod loads;
mod referee;

use anyhow::{Context, Result, ensure};
use dunnage_device_plugin::offer::Options;
use dunnage_host::HostRoot;
use dunnage_inventory::{Device, Inventory, Kind, Role, nodes};
use dunnage_tests::script;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The driver branches that are unpacked: the oldest that is still in use, and the two of Debian's
/// last releases.
const BRANCHES: &[&str] = &["470", "535", "550"];

/// Runs a script of `tests/setup` that prints a path.
fn prepared(name: &str, argument: &str) -> Result<PathBuf> {
    said(Command::new(script(name)).arg(argument)).map(PathBuf::from)
}

/// The last line that a command prints.
fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().last().unwrap_or_default().to_owned())
}

/// Where hard links to the unpacked drivers can be made.
fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").context("no HOME")?).join(".cache"),
    };
    Ok(base.join("dunnage/nvidia"))
}

/// A folder that goes away with its owner.
struct Scratch(PathBuf);

impl Scratch {
    /// A copy of `tree` by hard links: its files are shared and must be replaced, never written.
    fn copy_of(tree: &Path, name: &str) -> Result<Scratch> {
        let scratch = Scratch(cache()?.join(format!("test-{}-{name}", std::process::id())));
        said(Command::new("cp").arg("-al").arg(tree).arg(&scratch.0))?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// GPUs as the NVIDIA family describes them, with the nodes that `host` has.
fn gpus(host: &HostRoot, each: &[(&str, &[(&str, Role)])]) -> Inventory {
    let devices = each
        .iter()
        .map(|(id, own)| {
            let mut gpu = Device::new(*id, "nvidia", Kind::Gpu, "nvidia");
            gpu.nodes = own
                .iter()
                .filter_map(|(path, role)| nodes::at(host, path, *role))
                .collect();
            gpu
        })
        .collect();
    Inventory {
        devices,
        gaps: Vec::new(),
    }
}

fn options(driver_root: &Path, scratch: &Scratch) -> Options {
    Options {
        driver_root: driver_root.to_path_buf(),
        links_dir: scratch.0.join("links"),
        ..Options::default()
    }
}
