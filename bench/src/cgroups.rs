//! Cgroups made for a measurement, idle or busy, removed afterwards.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Hierarchies in which a container would have a folder.
const HIERARCHIES: [&str; 7] = [
    "unified", "cpu", "cpuacct", "memory", "blkio", "pids", "cpuset",
];

/// A number of cgroups under one parent, each with one process.
pub(crate) struct Cgroups {
    folders: Vec<PathBuf>,
    parents: Vec<PathBuf>,
    processes: Vec<Child>,
}

impl Cgroups {
    /// Makes `count` cgroups; each holds a process that works `busy_us` of every 100 ms.
    pub(crate) fn make(count: usize, busy_us: u64, seconds: u64) -> anyhow::Result<Cgroups> {
        let mut made = Cgroups {
            folders: Vec::new(),
            parents: Vec::new(),
            processes: Vec::new(),
        };
        for root in roots() {
            let parent = root.join(format!("dunnage-bench-{}", std::process::id()));
            fs::create_dir(&parent)
                .with_context(|| format!("making the cgroup {}", parent.display()))?;
            if root.join("cgroup.controllers").exists() && root == Path::new("/sys/fs/cgroup") {
                fs::write(
                    parent.join("cgroup.subtree_control"),
                    "+cpu +memory +io +pids",
                )
                .ok();
            }
            copy_cpuset(&root, &parent);
            made.parents.push(parent);
        }
        let program = std::env::current_exe()?;
        for at in 0..count {
            let mut procs = Vec::new();
            for parent in &made.parents {
                // As Docker names them, so that they count as containers.
                let folder = parent.join(format!("{at:064x}"));
                fs::create_dir(&folder)?;
                copy_cpuset(parent, &folder);
                procs.push(folder.join("cgroup.procs"));
                made.folders.push(folder);
            }
            let mut command = if busy_us == 0 {
                let mut command = Command::new("sleep");
                command.arg(seconds.to_string());
                command
            } else {
                let mut command = Command::new(&program);
                command.args(["load", &busy_us.to_string(), &seconds.to_string()]);
                command
            };
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
            for file in procs {
                fs::write(&file, child.id().to_string())
                    .with_context(|| format!("moving a load into {}", file.display()))?;
            }
            made.processes.push(child);
        }
        Ok(made)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for child in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
        for folder in self.folders.iter().chain(&self.parents) {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The roots of the hierarchies: one on version 2, several on version 1 and hybrid hosts.
pub(crate) fn roots() -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    if top.join("cgroup.controllers").exists() {
        return vec![top.to_owned()];
    }
    HIERARCHIES
        .iter()
        .map(|name| top.join(name))
        .filter(|root| root.join("cgroup.procs").exists())
        .collect()
}

/// A version 1 cpuset takes no process before it has CPUs and memory nodes.
pub(crate) fn copy_cpuset(from: &Path, to: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Ok(value) = fs::read(from.join(file)) {
            let _ = fs::write(to.join(file), value);
        }
    }
}
