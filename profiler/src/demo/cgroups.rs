//! The demo's own cgroups: one folder in every hierarchy that matters, three roles below it.

use super::DemoError;
use super::cleanup::Traces;
use crate::own_cgroups::{Hierarchy, inherit_places};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The roles of the demo, which are the names of their cgroups.
pub(super) const ROLES: [&str; 3] = ["victim", "culprit", "bystander"];

/// How every folder of a demo begins; the process id of its maker follows.
pub(super) const PREFIX: &str = "dunnage-demo-";

/// The version 1 controllers that matter: time is accounted, weights hold, places and memory show.
pub(super) const MATTER: [&str; 4] = ["cpu", "cpuacct", "cpuset", "memory"];

/// The folders as they stand. Dropping them removes them, and kills what still runs inside.
#[derive(Debug)]
pub(super) struct Folders {
    /// The cgroup path of the folder that holds the roles, with a slash in front.
    pub(super) path: String,
    /// The hierarchies it was made in.
    made: Vec<(Hierarchy, PathBuf)>,
    /// What has to be undone.
    traces: Traces,
}

impl Folders {
    /// Makes the folders at the top of every hierarchy or, where that is not allowed, below this
    /// process's own version 2 cgroup (what systemd delegates to a user).
    ///
    /// `announce` is told of every folder before it is made, so that a watcher can remove it
    /// whatever happens to this process.
    ///
    /// # Errors
    /// Where no hierarchy that accounts CPU time lets a cgroup be made.
    pub(super) fn make(
        hierarchies: &[Hierarchy],
        pid: u32,
        announce: &mut dyn FnMut(&Traces),
    ) -> Result<Folders, DemoError> {
        if !hierarchies.iter().any(|h| h.cpu) {
            return Err(DemoError::NoHierarchy);
        }
        let own = hierarchies
            .iter()
            .find(|h| h.unified)
            .map(|h| h.own.clone())
            .unwrap_or_default();
        let mut failure = None;
        for base in [String::new(), own] {
            match Folders::make_below(hierarchies, &base, pid, announce) {
                Ok(folders) => return Ok(folders),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or(DemoError::NoHierarchy))
    }

    fn make_below(
        hierarchies: &[Hierarchy],
        base: &str,
        pid: u32,
        announce: &mut dyn FnMut(&Traces),
    ) -> Result<Folders, DemoError> {
        let name = format!("{PREFIX}{pid}");
        let path = if base.is_empty() {
            format!("/{name}")
        } else {
            format!("/{base}/{name}")
        };
        let place = |h: &Hierarchy| h.mount.join(path.trim_start_matches('/'));
        let traces = Traces {
            folders: hierarchies.iter().map(place).collect(),
            lent_cpu: None,
        };
        announce(&traces);
        let mut folders = Folders {
            path: path.clone(),
            made: Vec::new(),
            traces,
        };
        let mut failure = None;
        for hierarchy in hierarchies {
            match folders.make_in(hierarchy, &place(hierarchy)) {
                Ok(()) => folders.made.push((hierarchy.clone(), place(hierarchy))),
                Err(error) if hierarchy.cpu => {
                    failure = failure.or(Some((place(hierarchy), error)))
                }
                // Memory only makes the picture richer.
                Err(_) => {}
            }
        }
        announce(&folders.traces);
        match failure {
            Some((path, source)) if !folders.made.iter().any(|(h, _)| h.cpu) => {
                Err(DemoError::Cgroup { path, source })
            }
            _ => Ok(folders),
        }
    }

    fn make_in(&mut self, hierarchy: &Hierarchy, top: &Path) -> io::Result<()> {
        fs::create_dir(top)?;
        if hierarchy.unified {
            self.enable_controllers(top);
        }
        raise_weight(top);
        let places = |folder: &Path| {
            if !hierarchy.unified {
                inherit_places(folder);
            }
        };
        places(top);
        for role in ROLES {
            fs::create_dir(top.join(role))?;
            places(&top.join(role));
        }
        Ok(())
    }

    /// Lets the roles compete as cgroups and not task by task, where the cpu controller is free.
    fn enable_controllers(&mut self, top: &Path) {
        let has = |folder: &Path, controller: &str| {
            fs::read_to_string(folder.join("cgroup.controllers"))
                .is_ok_and(|text| text.split_whitespace().any(|word| word == controller))
        };
        if let Some(parent) = top.parent()
            && !has(top, "cpu")
            && has(parent, "cpu")
        {
            let control = parent.join("cgroup.subtree_control");
            // Refused where the parent holds processes itself; the demo then does without.
            if fs::write(&control, "+cpu").is_ok() {
                self.traces.lent_cpu = Some(control);
            }
        }
        for controller in ["cpu", "cpuset", "memory"] {
            if has(top, controller) {
                let _ = fs::write(top.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
    }

    /// Confines `role` to one CPU, where there is a cpuset controller: then it can also be seen from
    /// outside who can meet whom. Its process stays on that CPU by itself in any case.
    pub(super) fn confine(&self, role: &str, cpu: usize) {
        for (_, top) in &self.made {
            let path = top.join(role).join("cpuset.cpus");
            if path.exists() {
                let _ = fs::write(path, cpu.to_string());
            }
        }
    }

    /// Moves process `pid` into the cgroup of `role`, in every hierarchy.
    ///
    /// # Errors
    /// Where no hierarchy that accounts CPU time takes it.
    pub(super) fn join(&self, role: &str, pid: u32) -> Result<(), DemoError> {
        let mut taken = false;
        let mut failure = None;
        for (hierarchy, top) in &self.made {
            let path = top.join(role).join("cgroup.procs");
            match fs::write(&path, pid.to_string()) {
                Ok(()) => taken |= hierarchy.cpu,
                Err(source) if hierarchy.cpu => failure = Some(DemoError::Cgroup { path, source }),
                Err(_) => {}
            }
        }
        if taken {
            Ok(())
        } else {
            Err(failure.unwrap_or(DemoError::NoHierarchy))
        }
    }
}

/// Gives the demo as a whole precedence for its few seconds: twenty times the default weight.
/// Its roles stay equal among themselves, and a host with other work does not drown them; much more
/// would starve the one that watches. Where there is no such file the demo does without.
fn raise_weight(top: &Path) {
    // v2 (default 100), v1 (default 1,024).
    for (file, weight) in [("cpu.weight", "2000"), ("cpu.shares", "20480")] {
        let path = top.join(file);
        if path.exists() {
            let _ = fs::write(path, weight);
        }
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        self.traces.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_permission_the_error_names_the_path_and_the_remedy() {
        let nowhere = Hierarchy {
            mount: PathBuf::from("/proc/dunnage-nowhere"),
            own: String::new(),
            unified: true,
            cpu: true,
        };
        let error = Folders::make(&[nowhere], 1, &mut |_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/proc/dunnage-nowhere/dunnage-demo-1"),
            "{error}"
        );
        assert!(error.contains("root"), "{error}");
    }
}
