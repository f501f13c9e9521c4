//! The command's cgroup: one folder in every hierarchy, below the caller's own, so that whatever
//! limits the caller limits the command too.
//!
//! It is removed at the end. What a killed Dunnage left, the next one removes; a folder in which
//! something still runs is let alone.

use super::RunError;
use crate::own_cgroups::{Hierarchy, hierarchies, inherit_places, left_behind};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How every folder of a run begins; the process id of its maker follows.
const PREFIX: &str = "dunnage-run-";

/// The version 1 controllers that account for something, or hold places.
const MATTER: [&str; 5] = ["cpu", "cpuacct", "cpuset", "memory", "blkio"];

/// How deep the command may have made cgroups of its own and still have them removed.
const DEEPEST: usize = 8;

/// The folders of one run. Dropping them removes them; what still runs inside goes to the caller's
/// cgroup, where it would have been without Dunnage.
#[derive(Debug)]
pub struct RunCgroups {
    made: Vec<Made>,
    /// Its paths, as `/proc/PID/cgroup` shows them; the one that accounts CPU time first.
    paths: Vec<String>,
}

#[derive(Debug)]
struct Made {
    folder: PathBuf,
    /// The caller's own cgroup.
    above: PathBuf,
    cpu: bool,
}

impl RunCgroups {
    /// Removes what dead runs left, and makes the folders.
    ///
    /// # Errors
    /// Where no hierarchy that accounts CPU time lets a cgroup be made.
    pub fn make() -> Result<RunCgroups, RunError> {
        let read =
            |path| fs::read_to_string(path).map_err(|source| RunError::Read { path, source });
        let all = hierarchies(
            &read("/proc/self/mountinfo")?,
            &read("/proc/self/cgroup")?,
            &MATTER,
        );
        RunCgroups::make_in(&all, std::process::id())
    }

    fn make_in(all: &[Hierarchy], pid: u32) -> Result<RunCgroups, RunError> {
        let above = |h: &Hierarchy| h.mount.join(&h.own);
        for folder in left_behind(all.iter().map(above), PREFIX) {
            if processes(&folder).is_empty() {
                remove(&folder);
            }
        }
        let mut cgroups = RunCgroups {
            made: Vec::new(),
            paths: Vec::new(),
        };
        let mut failure = None;
        // Version 2 first: its ids are what the kernel's events carry.
        let mut order: Vec<&Hierarchy> = all.iter().collect();
        order.sort_by_key(|h| (!h.unified, !h.cpu));
        for hierarchy in order {
            let above = above(hierarchy);
            let folder = above.join(format!("{PREFIX}{pid}"));
            match fs::create_dir(&folder) {
                Ok(()) => {
                    if !hierarchy.unified {
                        inherit_places(&folder);
                    }
                    let own = Path::new("/").join(&hierarchy.own);
                    let path = own.join(format!("{PREFIX}{pid}"));
                    let path = path.to_string_lossy().into_owned();
                    if !cgroups.paths.contains(&path) {
                        cgroups.paths.push(path);
                    }
                    cgroups.made.push(Made {
                        folder,
                        above,
                        cpu: hierarchy.cpu,
                    });
                }
                Err(source) if hierarchy.cpu => {
                    failure = failure.or(Some(RunError::Cgroup {
                        path: folder,
                        source,
                    }));
                }
                // Memory and disks only make the picture richer.
                Err(_) => {}
            }
        }
        if cgroups.made.iter().any(|made| made.cpu) {
            Ok(cgroups)
        } else {
            Err(failure.unwrap_or(RunError::NoHierarchy))
        }
    }

    /// Moves process `pid` in, in every hierarchy.
    ///
    /// # Errors
    /// Where no hierarchy that accounts CPU time takes it.
    pub fn join(&self, pid: u32) -> Result<(), RunError> {
        let mut taken = false;
        let mut failure = None;
        for made in &self.made {
            match enter(&made.folder, pid) {
                Ok(()) => taken |= made.cpu,
                Err(source) => {
                    failure = failure.or(Some(RunError::Cgroup {
                        path: made.folder.join("cgroup.procs"),
                        source,
                    }));
                }
            }
        }
        match failure {
            Some(failure) if !taken => Err(failure),
            _ => Ok(()),
        }
    }

    /// Its paths, as `/proc/PID/cgroup` shows them: more than one where the caller's own cgroups are
    /// not the same in every hierarchy. The one whose id the kernel's events carry comes first.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The commands of the processes that are inside now.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let mut inside: Vec<u32> = self
            .made
            .iter()
            .flat_map(|made| processes(&made.folder))
            .collect();
        inside.sort_unstable();
        inside.dedup();
        let comm = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        inside
            .into_iter()
            .filter_map(|pid| Some(comm(pid)?.trim_end().to_owned()))
            .collect()
    }
}

impl Drop for RunCgroups {
    fn drop(&mut self) {
        for made in &self.made {
            for pid in processes(&made.folder) {
                let _ = enter(&made.above, pid);
            }
            remove(&made.folder);
        }
    }
}

fn enter(folder: &Path, pid: u32) -> io::Result<()> {
    fs::write(folder.join("cgroup.procs"), pid.to_string())
}

/// The processes in `folder` and below.
fn processes(folder: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for inside in below(folder, DEEPEST) {
        let text = fs::read_to_string(inside.join("cgroup.procs")).unwrap_or_default();
        // 0 stands for a process that this pid namespace does not see.
        let pids = text.lines().filter_map(|line| line.parse::<u32>().ok());
        found.extend(pids.filter(|pid| *pid > 0));
    }
    found
}

/// Removes `folder` and the folders below it; what is not empty stays.
fn remove(folder: &Path) {
    for inside in below(folder, DEEPEST) {
        let _ = fs::remove_dir(inside);
    }
}

/// The folders below `folder` and itself, the deepest first.
fn below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if depth > 0 {
        let entries = fs::read_dir(folder).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.extend(below(&entry.path(), depth - 1));
            }
        }
    }
    found.push(folder.to_owned());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plain folder that stands for a hierarchy: what is made and removed shows there as well.
    fn hierarchy(mount: &Path, own: &str, unified: bool) -> Hierarchy {
        fs::create_dir_all(mount.join(own)).unwrap();
        Hierarchy {
            mount: mount.to_owned(),
            own: own.to_owned(),
            unified,
            cpu: unified,
        }
    }

    #[test]
    fn it_stands_below_the_callers_own_and_goes_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (memory, unified) = (dir.path().join("memory"), dir.path().join("unified"));
        let all = [
            hierarchy(&memory, "a", false),
            hierarchy(&unified, "b/c", true),
        ];
        let cgroups = RunCgroups::make_in(&all, 7).unwrap();
        assert_eq!(cgroups.paths(), ["/b/c/dunnage-run-7", "/a/dunnage-run-7"]);
        fs::create_dir(unified.join("b/c/dunnage-run-7/deeper")).unwrap();
        drop(cgroups);
        for left in ["memory/a", "unified/b/c"] {
            assert_eq!(fs::read_dir(dir.path().join(left)).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_a_dead_run_left_goes_and_what_a_living_one_has_stays() {
        let dir = tempfile::tempdir().unwrap();
        let all = [hierarchy(dir.path(), "", true)];
        // No process can have this id: the kernel's highest is 4,194,304.
        let dead = dir.path().join(format!("{PREFIX}4999999"));
        let living = dir.path().join(format!("{PREFIX}1"));
        let other = dir.path().join("system.slice");
        for folder in [&dead, &living, &other] {
            fs::create_dir(folder).unwrap();
        }
        drop(RunCgroups::make_in(&all, 8).unwrap());
        assert!(!dead.exists());
        assert!(living.exists() && other.exists());
    }

    #[test]
    fn without_permission_the_error_names_the_path_and_the_remedy() {
        let nowhere = Hierarchy {
            mount: PathBuf::from("/proc/dunnage-nowhere"),
            own: String::new(),
            unified: true,
            cpu: true,
        };
        let error = RunCgroups::make_in(&[nowhere], 9).unwrap_err().to_string();
        assert!(
            error.contains("/proc/dunnage-nowhere/dunnage-run-9"),
            "{error}"
        );
        assert!(error.contains("root"), "{error}");
    }
}
