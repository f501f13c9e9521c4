//! What we give against what `nvidia-ctk cdi generate` gives for the same host: a tree with a real
//! driver, device nodes, and a stand-in for the management library that knows two GPUs.
//!
//! The tool runs in that tree as its root, as it does on a host. Every difference must be in [`TABLE`].

use super::BRANCHES;
use super::host::{Host, generated, tool};
use anyhow::{Result, ensure};
use dunnage_host::HostRoot;
use dunnage_inventory::driver_files::Search;
use dunnage_inventory::driver_files::nvidia::find;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
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
        "hook nvidia-cdi-hook create-symlinks",
        "each library is mounted under all its names",
    ),
    (
        "",
        Theirs,
        "hook nvidia-cdi-hook update-ldcache",
        "libraries are mounted into folders that loaders search by themselves",
    ),
    (
        "",
        Theirs,
        "hook nvidia-cdi-hook enable-cuda-compat",
        "an image that wants its own, newer libcuda says so in LD_LIBRARY_PATH, which is left alone",
    ),
    (
        "",
        Theirs,
        "hook nvidia-cdi-hook disable-device-node-modification",
        "hides that the driver may make nodes; the device cgroup refuses nodes that were not given",
    ),
    (
        "",
        Theirs,
        "hook nvidia-cdi-hook update-application-profile",
        "tells EGL which GPUs are not there; the library sees by itself that it cannot open them",
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

/// A driver below another root than `/`, as a driver container leaves it: the host's paths have that
/// root in front, the container's have not.
#[test]
fn a_driver_below_another_root_is_found_as_nvidias_own_tool_finds_it() -> Result<()> {
    for branch in ["535", "550"] {
        let host = Host::new(branch)?;
        let root = &host.root.0;
        let spec = generated(
            Command::new(tool()?)
                .args(["--quiet", "cdi", "generate", "--format=json"])
                .arg("--mode=management")
                .arg(format!("--driver-root={}", root.display())),
        )?;
        let search = Search {
            driver_root: root.clone(),
        };
        let ours: BTreeSet<(PathBuf, PathBuf)> = find(&HostRoot::default(), &search)?
            .files
            .into_iter()
            .map(|file| (file.host_path, file.container_path))
            .collect();
        let theirs = list(&spec["containerEdits"]["mounts"]);
        for mount in theirs {
            // They name links on the host, we the files behind them.
            let real = fs::canonicalize(text(mount, "hostPath"))?;
            let pair = (real, PathBuf::from(text(mount, "containerPath")));
            ensure!(ours.contains(&pair), "{branch}: we lack {pair:?}");
        }
        println!(
            "{branch}: all {} of theirs are among our {}",
            theirs.len(),
            ours.len()
        );
        ensure!(theirs.len() > 20, "{branch}: {theirs:?}");
        // Debian's programs are behind absolute links: inside the driver root they lead somewhere.
        let smi = PathBuf::from("/usr/bin/nvidia-smi");
        ensure!(
            ours.iter().any(|(_, place)| *place == smi),
            "no {}",
            smi.display()
        );
    }
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
