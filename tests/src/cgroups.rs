//! Cgroups made by hand, in every hierarchy that matters, and what is in them.

use crate::machine::read;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The mounted hierarchies that Dunnage reads CPU use and identity from.
#[derive(Clone, Debug)]
pub struct Mounts {
    /// `v1`, `v2` or `hybrid`: the contract's `host.cgroup`.
    pub layout: &'static str,
    /// The mount points: the unified one, and those of cpu and cpuacct on v1.
    pub points: Vec<PathBuf>,
}

/// What `/proc/self/mountinfo` says (`man 5 proc_pid_mountinfo`).
pub fn mounts() -> Result<Mounts> {
    let text = read("/proc/self/mountinfo")?;
    let (mut unified, mut v1) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let Some((place, kind)) = line.split_once(" - ") else {
            continue;
        };
        let point = PathBuf::from(place.split(' ').nth(4).unwrap_or("/"));
        let kind: Vec<&str> = kind.split(' ').collect();
        let controls_cpu = || {
            kind.last().is_some_and(|options| {
                options
                    .split(',')
                    .any(|option| option == "cpu" || option == "cpuacct")
            })
        };
        match kind.first() {
            Some(&"cgroup2") => unified.push(point),
            Some(&"cgroup") if controls_cpu() => v1.push(point),
            _ => {}
        }
    }
    let layout = match (unified.is_empty(), v1.is_empty()) {
        (false, true) => "v2",
        (false, false) => "hybrid",
        (true, _) => "v1",
    };
    unified.truncate(1);
    unified.extend(v1);
    Ok(Mounts {
        layout,
        points: unified,
    })
}

/// A cgroup in all hierarchies, removed with everything in it when dropped.
#[derive(Debug)]
pub struct OwnCgroup {
    mounts: Mounts,
    path: OsString,
}

impl OwnCgroup {
    /// Makes `path`, which begins with a slash and may be any bytes that the kernel takes.
    pub fn make(path: impl AsRef<OsStr>) -> Result<OwnCgroup> {
        let own = OwnCgroup {
            mounts: mounts()?,
            path: path.as_ref().to_owned(),
        };
        for folder in own.folders() {
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        }
        Ok(own)
    }

    /// The path within the hierarchies.
    #[must_use]
    pub fn path(&self) -> &OsStr {
        &self.path
    }

    /// Its folders in the hierarchies.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let within = Path::new(&self.path)
            .strip_prefix("/")
            .unwrap_or(Path::new(&self.path));
        self.mounts
            .points
            .iter()
            .map(|point| point.join(within))
            .collect()
    }

    /// A command that runs `arguments` inside.
    #[must_use]
    pub fn command(&self, arguments: &[&OsStr]) -> Command {
        // The shell counts the folders, because a folder's name may be anything, and tells the load
        // what its task had used before.
        let enter = r#"n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ >"$1/cgroup.procs" || exit 97; shift; n=$((n-1)); done; read -r RAN_BEFORE WAITED_BEFORE rest </proc/$$/schedstat; export RAN_BEFORE WAITED_BEFORE; exec "$@""#;
        let mut command = Command::new("sh");
        let folders = self.folders();
        command
            .args(["-c", enter, "enter"])
            .arg(folders.len().to_string())
            .args(folders)
            .args(arguments);
        command
    }

    /// Starts a load inside.
    pub fn start(&self, load: &str) -> Result<crate::load::HostLoad> {
        let program = crate::load::program()?;
        let mut words: Vec<&OsStr> = vec![program.as_os_str()];
        words.extend(load.split_whitespace().map(OsStr::new));
        crate::load::HostLoad::spawn(self.command(&words))
    }

    /// The same, bound to the CPUs of a list.
    pub fn start_on(&self, cpus: &str, load: &str) -> Result<crate::load::HostLoad> {
        let program = crate::load::program()?;
        let mut words: Vec<&OsStr> = ["taskset", "-c", cpus].map(OsStr::new).to_vec();
        words.push(program.as_os_str());
        words.extend(load.split_whitespace().map(OsStr::new));
        crate::load::HostLoad::spawn(self.command(&words))
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        for folder in self.folders() {
            for pid in processes_below(&folder) {
                let _ = Command::new("kill")
                    .args(["-KILL", &pid.to_string()])
                    .status();
            }
            remove_tree(&folder);
            // The parents that were made on the way: a folder that others use is not empty and stays.
            for parent in folder.ancestors().skip(1) {
                if self.mounts.points.iter().any(|point| point == parent)
                    || fs::remove_dir(parent).is_err()
                {
                    break;
                }
            }
        }
    }
}

/// Removes a cgroup and those beneath it. The kernel may need a moment to see that the processes
/// are gone.
pub fn remove_tree(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    for _ in 0..50 {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                std::thread::sleep(std::time::Duration::from_millis(20))
            }
            _ => break,
        }
    }
}

/// The processes of a cgroup and of those beneath it.
#[must_use]
pub fn processes_below(folder: &Path) -> BTreeSet<u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let mut pids: BTreeSet<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(processes_below(&entry.path()));
        }
    }
    pids
}

/// The cgroup folders directly under the mount points whose name begins so.
pub fn named(prefix: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for point in mounts()?.points {
        for entry in fs::read_dir(&point)
            .with_context(|| format!("list {}", point.display()))?
            .flatten()
        {
            if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}
