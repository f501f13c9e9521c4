//! Podman with storage of its own, and its REST service.

use super::{Engine, Spec, once, run_options, said};
use crate::keeper::{Keeper, own_folder};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// cgroupfs and runc, because crun refuses hybrid cgroups; low limits, because those of the
/// default need CAP_SYS_RESOURCE.
pub const SETTINGS: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
"#;

/// Podman's storage and its service.
#[derive(Debug)]
pub struct Podman {
    keeper: Keeper,
    socket: PathBuf,
}

/// The suite's Podman, started where it is not running yet.
pub fn podman() -> Result<&'static Podman> {
    static PLACE: Mutex<Option<&'static Podman>> = Mutex::new(None);
    once(&PLACE, Podman::start)
}

impl Podman {
    /// Starts the service and gives it the image.
    pub fn start() -> Result<Podman> {
        let folder = own_folder("podman")?;
        let settings = folder.join("containers.conf");
        std::fs::write(&settings, SETTINGS)
            .with_context(|| format!("write {}", settings.display()))?;
        let socket = folder.join("podman.sock");
        let mut command = vec!["podman".to_owned()];
        command.extend(storage(&folder));
        command.extend(["system", "service", "--time=0"].map(str::to_owned));
        command.push(format!("unix://{}", socket.display()));
        let keeper = Keeper::start(
            &folder,
            &command,
            &[("CONTAINERS_CONF", &settings.display().to_string())],
            &socket,
        )?;
        let podman = Podman { keeper, socket };
        podman
            .run(&[
                "load",
                "--input",
                &crate::load::image()?.display().to_string(),
            ])
            .context("load the image")?;
        Ok(podman)
    }

    /// Runs podman on this storage.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let folder = self.keeper.folder();
        let mut command = Command::new("podman");
        command
            .env("CONTAINERS_CONF", folder.join("containers.conf"))
            .args(storage(folder))
            .args(arguments);
        said(&mut command)
    }
}

/// The options that name Podman's storage.
#[must_use]
pub fn storage(folder: &Path) -> Vec<String> {
    let at = |option: &str, name: &str| format!("--{option}={}", folder.join(name).display());
    vec![
        at("root", "root"),
        at("runroot", "runroot"),
        at("tmpdir", "tmp"),
    ]
}

impl Engine for Podman {
    fn word(&self) -> &'static str {
        "podman"
    }

    fn launch(&self, spec: &Spec) -> Result<(String, u32)> {
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(run_options(spec));
        arguments.push(crate::load::IMAGE.to_owned());
        arguments.extend_from_slice(&spec.load);
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let id = self.run(&words)?;
        let pid = self.run(&["inspect", "--format={{.State.Pid}}", &spec.name])?;
        Ok((
            id,
            pid.parse()
                .with_context(|| format!("the process id {pid:?} of {}", spec.name))?,
        ))
    }

    fn output(&self, name: &str) -> Result<String> {
        self.run(&["logs", name])
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.run(&["rm", "--force", "--ignore", "--time=0", name])
            .map(drop)
    }

    fn arguments(&self) -> Vec<String> {
        vec![
            "--engine-socket".to_owned(),
            format!("podman={}", self.socket.display()),
        ]
    }
}
