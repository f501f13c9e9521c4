//! What we give against what `nvidia-ctk cdi generate` gives for the same host: a tree with a real
//! driver, device nodes, and a stand-in for the management library that knows two GPUs.
//!
//! The tool runs in that tree as its root, as it does on a host. Every difference must be in [`TABLE`].

use super::{BRANCHES, Scratch, gpus, options, prepared, said};
use anyhow::{Context, Result, ensure};
use dunnage_device_plugin::cdi;
use dunnage_host::HostRoot;
use dunnage_inventory::{Inventory, Role};
use dunnage_tests::script;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Only nvidia-ctk gives it.
    Theirs,
    /// Only we give it.
    Ours,
}
use Side::{Ours, Theirs};

/// A difference: the branch (empty for all), the side, the beginning of what differs, why it is right.
type Difference = (&'static str, Side, &'static str, &'static str);

/// All differences between the two, each justified.
const TABLE: &[Difference] = &[
    (
        "",
        Theirs,
        "hook ",
        "no program runs: links and ldconfig are replaced by mounts under all names",
    ),
    (
        "",
        Theirs,
        "env NVIDIA_CTK_LIBCUDA_DIR=",
        "tells the hooks where the libraries are; there are no hooks",
    ),
    (
        "",
        Theirs,
        "node m ",
        "the right to make further nodes of the device, which using it does not need",
    ),
    (
        "470",
        Ours,
        "file /usr/lib/x86_64-linux-gnu/nvidia/tesla-470/",
        "the tool takes the first folder with a library of the version, /usr/lib/x86_64-linux-gnu, and \
         misses libcuda itself, which Debian has in another",
    ),
    (
        "470",
        Ours,
        "name ",
        "names of the libraries that the tool misses",
    ),
    (
        "",
        Ours,
        "name libnvidia-egl-",
        "the tool leaves these sonames to ldconfig",
    ),
];

/// What is compared, one line each: files, names of libraries, nodes, groups, variables, hooks.
type Lines = BTreeSet<String>;

#[test]
fn the_files_are_those_of_nvidias_own_tool() -> Result<()> {
    let mut used = BTreeSet::new();
    for branch in BRANCHES {
        let host = Host::new(branch)?;
        let theirs = lines(&host.generate("nvml")?, &host)?;
        let ours = lines(&host.ours()?, &host)?;
        println!(
            "{branch}: {} lines of nvidia-ctk, {} of ours",
            theirs.len(),
            ours.len()
        );
        let mut unexplained = Vec::new();
        for (side, line) in difference(&theirs, &ours) {
            match TABLE
                .iter()
                .position(|entry| explains(entry, branch, side, line))
            {
                Some(entry) => {
                    used.insert(entry);
                }
                None => unexplained.push(format!("{side:?}: {line}")),
            }
        }
        ensure!(
            unexplained.is_empty(),
            "branch {branch}: differences that nobody has justified:\n{}",
            unexplained.join("\n")
        );
        // Without the management library the tool lists fewer files, and none that we lack.
        let management = lines(&host.generate("management")?, &host)?;
        let files = |line: &&String| line.starts_with("file ") || line.starts_with("name ");
        let missing: Vec<_> = management.iter().filter(files).collect();
        ensure!(missing.len() > 5, "{branch}: {missing:?}");
        ensure!(
            missing.iter().all(|line| ours.contains(*line)),
            "branch {branch}: {missing:?}"
        );
    }
    let stale: Vec<_> = (0..TABLE.len()).filter(|at| !used.contains(at)).collect();
    ensure!(stale.is_empty(), "differences that are no more: {stale:?}");
    Ok(())
}

fn difference<'l>(theirs: &'l Lines, ours: &'l Lines) -> impl Iterator<Item = (Side, &'l str)> {
    let only_theirs = theirs.difference(ours).map(|line| (Theirs, line.as_str()));
    let only_ours = ours.difference(theirs).map(|line| (Ours, line.as_str()));
    only_theirs.chain(only_ours)
}

fn explains(entry: &Difference, branch: &str, side: Side, line: &str) -> bool {
    let (of, on, beginning, _) = entry;
    (of.is_empty() || *of == branch) && *on == side && line.starts_with(beginning)
}

/// A host with a driver and two GPUs.
struct Host {
    root: Scratch,
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
    fn new(branch: &str) -> Result<Host> {
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
        host.tool()?;
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
    fn tool(&self) -> Result<()> {
        let tool = prepared("nvidia-ctk.sh", "")?;
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

    fn generate(&self, mode: &str) -> Result<Value> {
        let output = Command::new("chroot")
            .arg(&self.root.0)
            .args(["/nvidia-ctk", "--quiet", "cdi", "generate", "--format=json"])
            .arg(format!("--mode={mode}"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("nvidia-ctk: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn ours(&self) -> Result<Value> {
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

/// A specification as lines that can be compared, whatever form it gives them.
fn lines(spec: &Value, host: &Host) -> Result<Lines> {
    let mut lines = Lines::new();
    let common = &spec["containerEdits"];
    environment(common, &mut lines);
    nodes(common, "all", &mut lines);
    // By index; the other names of a device give the same.
    for device in list(&spec["devices"]) {
        if let Some(name @ ("0" | "1")) = device["name"].as_str() {
            nodes(&device["containerEdits"], name, &mut lines);
        }
    }
    let libraries = mounts(common, host, &mut lines)?;
    links(common, &libraries, &mut lines);
    Ok(lines)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn environment(edits: &Value, lines: &mut Lines) {
    for variable in list(&edits["env"]).iter().filter_map(Value::as_str) {
        lines.insert(format!("env {variable}"));
    }
}

/// Nodes by their host's names: ours are renamed in the container, so that the first GPU's render node
/// has the name that programs expect.
fn nodes(edits: &Value, device: &str, lines: &mut Lines) {
    for node in list(&edits["deviceNodes"]) {
        let path = node["hostPath"].as_str().unwrap_or(text(node, "path"));
        let (major, minor) = (&node["major"], &node["minor"]);
        let minor = minor.as_u64().unwrap_or_default();
        lines.insert(format!(
            "node {device} {path} {major}:{minor} gid {}",
            node["gid"]
        ));
        if text(node, "permissions").contains('m') {
            lines.insert(format!("node m {device} {path}"));
        }
    }
    for gid in list(&edits["additionalGids"]) {
        lines.insert(format!("group {device} {gid}"));
    }
}

/// Mounted files. What is no library must lie at the same place in the container with the same options;
/// a library is compared as a file here, and by its names in [`links`]. Returns the names under which
/// libraries lie in the container's first folder for them.
fn mounts(edits: &Value, host: &Host, lines: &mut Lines) -> Result<BTreeMap<String, PathBuf>> {
    let inside = HostRoot::new(&host.root.0);
    let mut names = BTreeMap::new();
    for mount in list(&edits["mounts"]) {
        let real = inside.locate(text(mount, "hostPath"))?.path;
        let place = text(mount, "containerPath");
        let options: BTreeSet<_> = list(&mount["options"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let library = real.to_str().is_some_and(|path| path.contains(".so"));
        if library {
            lines.insert(format!("file {} {options:?}", real.display()));
            if let Ok(name) = Path::new(place).strip_prefix("/usr/lib/x86_64-linux-gnu") {
                names.insert(name.display().to_string(), real);
            }
        } else {
            lines.insert(format!("place {place} {} {options:?}", real.display()));
        }
    }
    Ok(names)
}

/// The names by which libraries are found beside their own: ours are mounts, theirs are made by hooks.
fn links(edits: &Value, mounted: &BTreeMap<String, PathBuf>, lines: &mut Lines) {
    for (name, real) in mounted {
        if !real.ends_with(Path::new(name).file_name().unwrap_or_default()) {
            lines.insert(format!("name {name}"));
        }
    }
    for hook in list(&edits["hooks"]) {
        let arguments: Vec<_> = list(&hook["args"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        lines.insert(format!(
            "hook {}",
            arguments[..arguments.len().min(2)].join(" ")
        ));
        for link in arguments
            .iter()
            .filter_map(|argument| argument.split_once("::"))
        {
            let path = Path::new(link.1);
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let gbm = path.parent().is_some_and(|folder| folder.ends_with("gbm"));
            let folder = if gbm { "gbm/" } else { "" };
            lines.insert(format!("name {folder}{name}"));
        }
    }
}
