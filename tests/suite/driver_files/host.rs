//! A host with a real driver and two GPUs that are not there: device nodes, DRM nodes in sysfs, sockets of
//! the daemons, a stand-in for the management library, and nvidia-ctk.

use super::{Scratch, gpus, options, prepared, said};
use anyhow::{Context, Result, ensure};
use dunnage_device_plugin::cdi;
use dunnage_host::HostRoot;
use dunnage_inventory::{Inventory, Role};
use dunnage_tests::script;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

/// nvidia-ctk, built from its public module.
pub(super) fn tool() -> Result<PathBuf> {
    prepared("nvidia-ctk.sh", "")
}

/// What the tool writes. Its environment decides where it looks, so it gets one of ours.
pub(super) fn generated(command: &mut Command) -> Result<Value> {
    let output = command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("nvidia-ctk: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A host with a driver and two GPUs.
pub(super) struct Host {
    pub(super) root: Scratch,
    /// The daemons' sockets exist while they are listened on.
    _sockets: Vec<UnixListener>,
}

/// The GPUs of the stand-in, with the minor numbers of their nodes.
const GPUS: &[(&str, &str, u64)] = &[
    (
        "GPU-11111111-1111-1111-1111-111111111111",
        "0000:65:00.0",
        0,
    ),
    (
        "GPU-22222222-2222-2222-2222-222222222222",
        "0000:b3:00.0",
        1,
    ),
];
/// The group of the DRM nodes.
const VIDEO: u32 = 44;

impl Host {
    pub(super) fn new(branch: &str) -> Result<Host> {
        let tree = prepared("nvidia-driver.sh", branch)?;
        let root = Scratch::copy_of(&tree, &format!("host-{branch}"))?;
        let at = |path: &str| root.0.join(path);
        for folder in [
            "dev/dri",
            "run/nvidia-persistenced",
            "run/nvidia-fabricmanager",
            "usr/lib64",
            "tmp/nvidia-mps",
        ] {
            fs::create_dir_all(at(folder))?;
        }
        let node = |path: &str, major: u64, minor: u64, mode: u32| -> Result<PathBuf> {
            let path = at(path);
            let mode = Mode::from_bits_truncate(mode);
            mknod(&path, SFlag::S_IFCHR, mode, makedev(major, minor))?;
            Ok(path)
        };
        for (name, minor) in [
            ("ctl", 255),
            ("-modeset", 254),
            ("-uvm", 0),
            ("-uvm-tools", 1),
        ] {
            node(&format!("dev/nvidia{name}"), 195, minor, 0o666)?;
        }
        for (_, address, minor) in GPUS {
            node(&format!("dev/nvidia{minor}"), 195, *minor, 0o666)?;
            for (name, number) in [("card", *minor), ("renderD", 128 + minor)] {
                let path = node(&format!("dev/dri/{name}{number}"), 226, number, 0o660)?;
                chown(&path, None, Some(VIDEO))?;
                let drm = format!("sys/bus/pci/devices/{address}/drm/{name}{number}");
                fs::create_dir_all(at(&drm))?;
            }
        }
        let sockets = ["persistenced", "fabricmanager"]
            .map(|daemon| UnixListener::bind(at(&format!("run/nvidia-{daemon}/socket"))));
        let host = Host {
            _sockets: sockets.into_iter().collect::<std::io::Result<_>>()?,
            root,
        };
        host.stand_in()?;
        host.add_tool()?;
        Ok(host)
    }

    /// Puts the stand-in in the place of libnvidia-ml, under the same name.
    fn stand_in(&self) -> Result<()> {
        let library = said(Command::new("find").arg(&self.root.0).args([
            "-name",
            "libnvidia-ml.so.*.*",
            "-type",
            "f",
        ]))?;
        let version = library.rsplit_once(".so.").context("no libnvidia-ml")?.1;
        fs::remove_file(&library)?;
        said(
            Command::new("gcc")
                .args(["-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1"])
                .arg(format!("-DDRIVER_VERSION=\"{version}\""))
                .args(["-o", &library])
                .arg(script("nvidia-ml.c")),
        )
        .map(drop)
    }

    /// Puts nvidia-ctk and the C library that it needs into the tree.
    fn add_tool(&self) -> Result<()> {
        let tool = tool()?;
        fs::copy(&tool, self.root.0.join("nvidia-ctk"))?;
        if !self.root.0.join("lib64").exists() {
            symlink("usr/lib64", self.root.0.join("lib64"))?;
        }
        let needed = Command::new("ldd").arg(&tool).output()?.stdout;
        for word in String::from_utf8(needed)?.split_whitespace() {
            if let Some(path) = word.strip_prefix('/') {
                fs::copy(word, self.root.0.join(path)).with_context(|| format!("copy {word}"))?;
            }
        }
        Ok(())
    }

    /// What nvidia-ctk says with the tree as its root.
    pub(super) fn generate(&self, mode: &str) -> Result<Value> {
        generated(
            Command::new("chroot")
                .arg(&self.root.0)
                .args(["/nvidia-ctk", "--quiet", "cdi", "generate", "--format=json"])
                .arg(format!("--mode={mode}")),
        )
    }

    /// What we say for the same tree.
    pub(super) fn ours(&self) -> Result<Value> {
        let host = HostRoot::new(&self.root.0);
        let (specs, gaps) = cdi::specs(
            &host,
            &self.inventory(&host),
            &options("/".as_ref(), &self.root),
        );
        // The host has no /dev/dri/by-path and no folder for links.
        ensure!(gaps.is_empty(), "{gaps:?}");
        let spec = specs.first().context("no specification")?;
        Ok(serde_json::from_str(&spec.to_json())?)
    }

    fn inventory(&self, host: &HostRoot) -> Inventory {
        let nodes: Vec<Vec<(String, Role)>> = GPUS
            .iter()
            .map(|(_, _, minor)| {
                vec![
                    (format!("/dev/nvidia{minor}"), Role::Own),
                    (format!("/dev/dri/renderD{}", 128 + minor), Role::Render),
                    (format!("/dev/dri/card{minor}"), Role::Card),
                    ("/dev/nvidiactl".to_owned(), Role::Control),
                    ("/dev/nvidia-uvm".to_owned(), Role::Control),
                    ("/dev/nvidia-uvm-tools".to_owned(), Role::Control),
                    ("/dev/nvidia-modeset".to_owned(), Role::Control),
                ]
            })
            .collect();
        let borrowed: Vec<Vec<(&str, Role)>> = nodes
            .iter()
            .map(|of| {
                of.iter()
                    .map(|(path, role)| (path.as_str(), *role))
                    .collect()
            })
            .collect();
        let each: Vec<_> = GPUS
            .iter()
            .zip(&borrowed)
            .map(|((id, _, _), nodes)| (*id, nodes.as_slice()))
            .collect();
        gpus(host, &each)
    }
}
