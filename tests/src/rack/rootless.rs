//! Podman of an ordinary user inside the rack's view, with storage of its own.
//!
//! The user has no name and no ranges of further ids: its own id is the container's root, all others
//! are nobody's there. That needs no newuidmap, which runs with privileges.

use super::Rack;
use super::engines::{Runs, exec_words, keep_words, run_words};
use crate::engine::{PODMAN_SETTINGS, said};
use crate::keeper::own_folder;
use crate::machine::patience;
use crate::probe::{Seen, image};
use anyhow::{Context, Result, anyhow, ensure};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The user, and its own group: ids that no machine gives away by itself.
const USER: u32 = 54_711;

/// Podman, its user, and the groups the user is in.
#[derive(Debug)]
pub struct PodmanRootless<'r> {
    rack: &'r Rack,
    folder: PathBuf,
    groups: String,
}

impl<'r> PodmanRootless<'r> {
    /// Gives it the image. The user is in `groups` beside its own one.
    pub fn start(rack: &'r Rack, groups: &[u64]) -> Result<Self> {
        let mut all = vec![u64::from(USER)];
        all.extend_from_slice(groups);
        let groups: Vec<String> = all.iter().map(u64::to_string).collect();
        let groups = groups.join(",");
        let folder = own_folder(&format!("rootless-{}", groups.replace(',', "-")))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        for (name, mode) in [("home", 0o755), ("run", 0o700)] {
            let own = folder.join(name);
            fs::create_dir_all(&own)?;
            fs::set_permissions(&own, fs::Permissions::from_mode(mode))?;
            chown(&own, Some(USER), Some(USER))?;
        }
        let archive = folder.join("image.tar");
        fs::copy(image()?, &archive).context("copy the image to where the user can read it")?;
        fs::write(folder.join("containers.conf"), PODMAN_SETTINGS)?;
        for path in ["image.tar", "containers.conf"] {
            fs::set_permissions(folder.join(path), fs::Permissions::from_mode(0o644))?;
        }
        let podman = PodmanRootless {
            rack,
            folder,
            groups,
        };
        podman.run(&["load", "--input", &archive.display().to_string()])?;
        Ok(podman)
    }

    /// Runs podman.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.rack.command("setpriv");
        command
            .arg(format!("--reuid={USER}"))
            .arg(format!("--regid={USER}"))
            .arg(format!("--groups={}", self.groups))
            // Nothing of root's comes along, by capabilities or by the environment.
            .args(["--bounding-set=-all", "--inh-caps=-all"])
            .args(["podman", "--log-level=error", "--storage-driver=vfs"])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.join("home"))
            .env("USER", "dunnage-tests")
            .env("XDG_RUNTIME_DIR", self.folder.join("run"))
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .current_dir(self.folder.join("home"));
        said(&mut command)
    }
}

/// Waits until no process of the user's runs any more: Podman without root keeps one that holds the
/// namespaces, and is told to end it when the engine is dropped.
pub fn end_of_its_processes() -> Result<()> {
    let start = Instant::now();
    loop {
        let left = processes()?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(
            start.elapsed() < Duration::from_secs(20),
            "processes of the user stay behind: {left:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The user's processes that run. What has ended and waits for its parent is none.
fn processes() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // A process that has just gone is no error.
        let Ok(status) = fs::read_to_string(entry?.path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()
        };
        let own = field("Uid:").is_some_and(|uid| uid == USER.to_string());
        if own && field("State:") != Some("Z") {
            found.push(field("Name:").unwrap_or_default().to_owned());
        }
    }
    Ok(found)
}

impl Drop for PodmanRootless<'_> {
    fn drop(&mut self) {
        // Ends the process that keeps the user's namespaces.
        let _ = self.run(&["system", "migrate"]);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Runs for PodmanRootless<'_> {
    fn name(&self) -> String {
        "podman without root".to_owned()
    }

    /// Not attached: Podman 4.3 was seen to wait 20 s then for the end of a container that had ended.
    fn once(&self, options: &[String], arguments: &[&str]) -> Result<String> {
        let name = "dn-once";
        let named = format!("--name={name}");
        let mut last = vec!["see"];
        last.extend_from_slice(arguments);
        self.run(&run_words(&["--detach", &named], options, &last))?;
        let patience = patience();
        let start = Instant::now();
        let seen = loop {
            let said = self.run(&["logs", name])?;
            if Seen::parse(&said).is_ok() {
                break Ok(said);
            }
            if start.elapsed() > patience {
                break Err(anyhow!("the probe said nothing in {patience:?}: {said}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        self.remove(name)?;
        seen
    }

    fn keep(&self, name: &str, options: &[String]) -> Result<()> {
        self.run(&keep_words(name, options)).map(drop)
    }

    fn inside(&self, name: &str, arguments: &[&str]) -> Result<String> {
        self.run(&exec_words(name, arguments))
    }

    /// It has no cgroup that it could write.
    fn disturb(&self, name: &str) -> Result<()> {
        self.run(&["restart", "--time=0", name]).map(drop)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.run(&["rm", "--force", "--time=0", name]).map(drop)
    }
}
