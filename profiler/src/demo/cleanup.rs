//! Nothing of the demo stays: folders are removed by whoever is left to do it.
//!
//! The demo removes its own cgroups when it ends. Where it is killed before, its watcher does (see
//! [`watch`]); where that is killed too, the next demo does (see [`remove_stale`]).

use super::cgroups::{PREFIX, ROLES};
use crate::own_cgroups::{Hierarchy, left_behind, maker};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A killed task leaves its cgroup within microseconds, on a crowded CPU within some scheduling
/// rounds; this many tries of [`PAUSE`] are two seconds.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// What a demo leaves in the cgroup file systems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Traces {
    /// The folders that hold the roles, one a hierarchy.
    pub(super) folders: Vec<PathBuf>,
    /// The `cgroup.subtree_control` in which the demo switched the cpu controller on.
    pub(super) lent_cpu: Option<PathBuf>,
}

impl Traces {
    /// Kills what runs in the folders, removes them, and gives back the controller. What is not
    /// there is passed over, so that it may be called by more than one.
    pub(super) fn remove(&self) {
        for folder in &self.folders {
            remove_folder(folder);
        }
        if let Some(control) = &self.lent_cpu {
            // Refused where somebody else has come to use it meanwhile, which is right.
            let _ = fs::write(control, "-cpu");
        }
    }

    /// Tells a watcher, one line each.
    pub(super) fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        for folder in &self.folders {
            writeln!(out, "folder {}", folder.display())?;
        }
        if let Some(control) = &self.lent_cpu {
            writeln!(out, "lent-cpu {}", control.display())?;
        }
        out.flush()
    }

    /// Understands a line of [`tell`](Self::tell). Anything but a folder of a demo is refused, so
    /// that no mistake can remove somebody else's cgroup.
    fn hear(&mut self, line: &str) {
        if let Some(path) = line.strip_prefix("folder ") {
            let path = PathBuf::from(path);
            if maker(&path, PREFIX).is_some() && !self.folders.contains(&path) {
                self.folders.push(path);
            }
        } else if let Some(path) = line.strip_prefix("lent-cpu ")
            && path.ends_with("/cgroup.subtree_control")
        {
            self.lent_cpu = Some(PathBuf::from(path));
        }
    }
}

fn remove_folder(folder: &Path) {
    for _ in 0..TRIES {
        if !folder.exists() {
            return;
        }
        for role in ROLES {
            let inside = folder.join(role);
            kill_inside(&inside);
            let _ = fs::remove_dir(&inside);
        }
        match fs::remove_dir(folder).map_err(|error| error.kind()) {
            Err(io::ErrorKind::ResourceBusy | io::ErrorKind::DirectoryNotEmpty) => {
                thread::sleep(PAUSE);
            }
            // Gone, or not ours to remove: trying again would not help.
            _ => return,
        }
    }
}

fn kill_inside(cgroup: &Path) {
    // The whole cgroup at once, from Linux 5.14 on; else process by process.
    if fs::write(cgroup.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let Ok(processes) = fs::read_to_string(cgroup.join("cgroup.procs")) else {
        return;
    };
    // 0 stands for a process that this pid namespace does not see, and would mean ourselves.
    for pid in processes
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid > 1)
    {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Removes what demos left whose process is gone. Returns how many folders there were.
///
/// A folder with processes inside is let alone: its maker may live in another pid namespace. A
/// dead demo leaves none, for its children die with it.
pub(super) fn remove_stale(hierarchies: &[Hierarchy]) -> usize {
    let bases = hierarchies
        .iter()
        .flat_map(|h| [h.mount.clone(), h.mount.join(&h.own)]);
    left_behind(bases, PREFIX)
        .filter(|folder| is_deserted(folder))
        .map(|folder| remove_folder(&folder))
        .count()
}

fn is_deserted(folder: &Path) -> bool {
    ROLES.iter().all(|role| {
        fs::read_to_string(folder.join(role).join("cgroup.procs"))
            .map_or(true, |all| all.is_empty())
    })
}

/// The watcher: hears what there is to remove until its input ends, then removes it.
///
/// The input is a pipe whose other end only the demo holds. It ends when the demo does, by
/// whatever cause, `kill -9` included.
pub(super) fn watch(input: &mut dyn BufRead) {
    let mut traces = Traces::default();
    for line in input.lines() {
        match line {
            Ok(line) => traces.hear(&line),
            Err(_) => break,
        }
    }
    traces.remove();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_hears_what_it_is_told() {
        let told = Traces {
            folders: vec![PathBuf::from("/sys/fs/cgroup/a b/dunnage-demo-7")],
            lent_cpu: Some(PathBuf::from("/sys/fs/cgroup/cgroup.subtree_control")),
        };
        let mut text = Vec::new();
        told.tell(&mut text).unwrap();
        let mut heard = Traces::default();
        for line in String::from_utf8(text).unwrap().lines() {
            heard.hear(line);
        }
        assert_eq!(heard, told);
    }

    #[test]
    fn only_folders_of_a_demo_are_ever_removed() {
        let mut traces = Traces::default();
        for line in [
            "folder /sys/fs/cgroup/system.slice",
            "folder /",
            "lent-cpu /etc/passwd",
            "rm",
        ] {
            traces.hear(line);
        }
        assert_eq!(traces, Traces::default());
    }
}
