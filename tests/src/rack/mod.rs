//! A rack of devices that are none: a tree of sysfs and /dev made by hand after the kernel's
//! documentation, with nodes whose numbers open harmlessly and that no runtime allows by itself. And
//! engines that see it as their machine, in a mount namespace of their own.
//!
//! | device | driver | nodes |
//! | --- | --- | --- |
//! | Intel GPU 0000:00:02.0 | i915 | card0 4:40, renderD128 4:41 |
//! | Intel GPU 0000:03:00.0 | xe | card1 4:42, renderD129 10:237 |
//! | Intel NPU 0000:00:0b.0 | intel_vpu | accel0 4:45, root's alone |

pub mod engines;
pub mod rootless;

use crate::keeper::own_folder;
use anyhow::{Context, Result, bail, ensure};
use dunnage_device_plugin::cdi::{Spec, specs};
use dunnage_device_plugin::offer::Options;
use dunnage_host::HostRoot;
use dunnage_inventory::{Config, Inventory, scan};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The group of the render nodes, and that of the cards.
pub const GROUPS: [u64; 2] = [5104, 5044];

/// The rack, and the view of the machine in which it is.
#[derive(Debug)]
pub struct Rack {
    holder: Child,
    folder: PathBuf,
}

impl Rack {
    /// Makes the tree and the view.
    pub fn start(name: &str) -> Result<Rack> {
        let folder = own_folder(name)?;
        tree(&folder.join("root")).context("make the tree")?;
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(crate::script("rack.sh"))
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("rack.log"))?)
            .spawn()
            .context("start unshare: is util-linux installed?")?;
        let said = holder.stdout.take().context("its output is a pipe")?;
        let rack = Rack { holder, folder };
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        if line.trim() != "READY" {
            let log = fs::read_to_string(rack.folder.join("rack.log")).unwrap_or_default();
            bail!("tests/setup/rack.sh did not get ready: {log}");
        }
        Ok(rack)
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The words in front of a command that runs in this view.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        vec![
            "nsenter".to_owned(),
            format!("--mount=/proc/{}/ns/mnt", self.holder.id()),
            "--".to_owned(),
        ]
    }

    /// A command in this view.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program);
        command
    }

    /// What the families make of the tree.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        scan(&HostRoot::new(self.root()), &Config::default())
    }

    /// The CDI specifications of the tree.
    pub fn specs(&self) -> Result<Vec<Spec>> {
        let host = HostRoot::new(self.root());
        let (specs, gaps) = specs(&host, &self.inventory(), &Options::default());
        ensure!(gaps.is_empty(), "{gaps:?}");
        Ok(specs)
    }

    /// Has `dunnage-devices cdi` write the specifications, into /etc/cdi of the view in the end.
    pub fn write_specs(&self, old: bool) -> Result<()> {
        let folder = self.place("cdi")?.display().to_string();
        let mut words = vec!["cdi", "--output", &folder];
        words.extend(old.then_some("--without-groups"));
        self.devices(&words)?;
        let status = self
            .command("cp")
            .args(["--recursive", &format!("{folder}/."), "/etc/cdi/"])
            .status()?;
        ensure!(status.success(), "copy {folder}");
        Ok(())
    }

    /// Runs `dunnage-devices` on the tree and reads its JSON.
    pub fn devices(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(binary()?);
        command
            .arg("--json")
            .arg("--host-root")
            .arg(self.root())
            .args(arguments);
        let output = crate::engine::said(&mut command)?;
        if output.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&output).with_context(|| format!("its output {output:?}"))
    }

    /// The options that `dunnage-devices docker` shows under `key` for these devices.
    pub fn options(&self, devices: &[&str], key: &str) -> Result<Vec<String>> {
        let mut words = vec!["docker"];
        words.extend(devices.iter().flat_map(|device| ["--device", device]));
        let document = self.devices(&words)?;
        let options = document[key]
            .as_array()
            .with_context(|| format!("no {key} in {document}"))?;
        options
            .iter()
            .map(|option| Ok(option.as_str().context("an option is text")?.to_owned()))
            .collect()
    }

    /// A program for engines that call their runtime by a path: it runs ours on this tree, in front of
    /// the real one.
    pub fn wrapper(&self) -> Result<PathBuf> {
        let path = self.folder.join("dunnage-runtime");
        let text = format!(
            "#!/bin/sh\nexec {} --host-root {} runtime -- \"$@\"\n",
            binary()?.display(),
            self.root().display()
        );
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// A folder for a bundle or the like.
    pub fn place(&self, name: &str) -> Result<PathBuf> {
        let place = self.folder.join(name);
        fs::create_dir_all(&place)?;
        Ok(place)
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // It ends by itself when its standard input does.
        let _ = self.holder.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The slim program: the release build, or the one that `DUNNAGE_DEVICES_BIN` names.
pub fn binary() -> Result<PathBuf> {
    let path = std::env::var_os("DUNNAGE_DEVICES_BIN").map_or_else(
        || crate::target().join("release/dunnage-devices"),
        PathBuf::from,
    );
    ensure!(
        path.exists(),
        "{} is missing: run ./check, or `cargo build --release -p dunnage-device-plugin`",
        path.display()
    );
    Ok(path)
}

/// What a function of the tree is: address, class, id, driver, and its nodes.
struct Function {
    address: &'static str,
    class: &'static str,
    id: &'static str,
    driver: &'static str,
    nodes: &'static [NodeOf],
}

/// Class in sysfs, name, numbers, folder below /dev, permission bits and group.
type NodeOf = (
    &'static str,
    &'static str,
    (u64, u64),
    &'static str,
    u32,
    u64,
);

const FUNCTIONS: &[Function] = &[
    Function {
        address: "0000:00:02.0",
        class: "0x030000",
        id: "0x5912",
        driver: "i915",
        nodes: &[
            ("drm", "card0", (4, 40), "dri", 0o660, GROUPS[1]),
            ("drm", "renderD128", (4, 41), "dri", 0o660, GROUPS[0]),
        ],
    },
    Function {
        address: "0000:03:00.0",
        class: "0x030000",
        id: "0x56a0",
        driver: "xe",
        nodes: &[
            ("drm", "card1", (4, 42), "dri", 0o660, GROUPS[1]),
            ("drm", "renderD129", (10, 237), "dri", 0o660, GROUPS[0]),
        ],
    },
    Function {
        address: "0000:00:0b.0",
        class: "0x120000",
        id: "0x7d1d",
        driver: "intel_vpu",
        nodes: &[("accel", "accel0", (4, 45), "accel", 0o600, 0)],
    },
];

fn tree(root: &Path) -> Result<()> {
    let bus = root.join("sys/bus/pci/devices");
    fs::create_dir_all(&bus)?;
    for function in FUNCTIONS {
        let relative = format!("devices/pci0000:00/{}", function.address);
        let device = root.join("sys").join(&relative);
        let driver = root.join("sys/bus/pci/drivers").join(function.driver);
        fs::create_dir_all(&device)?;
        fs::create_dir_all(&driver)?;
        fs::write(device.join("vendor"), "0x8086\n")?;
        fs::write(device.join("device"), format!("{}\n", function.id))?;
        fs::write(device.join("class"), format!("{}\n", function.class))?;
        let to_driver = format!("../../../bus/pci/drivers/{}", function.driver);
        symlink(to_driver, device.join("driver"))?;
        symlink("../../../bus/pci", device.join("subsystem"))?;
        let from_bus = format!("../../../{relative}");
        symlink(from_bus, bus.join(function.address))?;
        for node in function.nodes {
            sysfs_node(root, &device, &relative, node)?;
            dev_node(root, node)?;
        }
    }
    Ok(())
}

fn sysfs_node(root: &Path, device: &Path, relative: &str, node: &NodeOf) -> Result<()> {
    let (class, name, (major, minor), folder, ..) = node;
    let own = device.join(class).join(name);
    let in_class = root.join("sys/class").join(class);
    fs::create_dir_all(&own)?;
    fs::create_dir_all(&in_class)?;
    fs::write(own.join("dev"), format!("{major}:{minor}\n"))?;
    let uevent = format!("MAJOR={major}\nMINOR={minor}\nDEVNAME={folder}/{name}\n");
    fs::write(own.join("uevent"), uevent)?;
    symlink("../..", own.join("device"))?;
    symlink(
        format!("../../../../../class/{class}"),
        own.join("subsystem"),
    )?;
    let target = format!("../../{relative}/{class}/{name}");
    symlink(target, in_class.join(name))?;
    Ok(())
}

fn dev_node(root: &Path, node: &NodeOf) -> Result<()> {
    let (_, name, (major, minor), folder, mode, gid) = node;
    let folder = root.join("dev").join(folder);
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    let mode = Mode::from_bits_truncate(*mode);
    mknod(&path, SFlag::S_IFCHR, mode, makedev(*major, *minor))
        .with_context(|| format!("mknod {}", path.display()))?;
    // Whatever the umask took away.
    fs::set_permissions(&path, fs::Permissions::from_mode(mode.bits()))?;
    chown(&path, Some(0), Some(u32::try_from(*gid)?))?;
    Ok(())
}
