//! Docker: a daemon of its own, without a bridge and without firewall rules.

use super::{Engine, Spec, once, run_options, said};
use crate::keeper::{Keeper, own_folder};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// A `dockerd` and its socket.
#[derive(Debug)]
pub struct Docker {
    keeper: Keeper,
    socket: PathBuf,
}

/// The suite's Docker, started where it is not running yet.
pub fn docker() -> Result<&'static Docker> {
    static PLACE: Mutex<Option<&'static Docker>> = Mutex::new(None);
    once(&PLACE, Docker::start)
}

/// The words of a daemon that keeps everything in `folder`.
pub fn docker_daemon(folder: &Path, socket: &Path) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    vec![
        "dockerd".to_owned(),
        // No bridge and no firewall rules: the containers need no network, the host keeps its own.
        "--bridge=none".to_owned(),
        "--iptables=false".to_owned(),
        "--ip6tables=false".to_owned(),
        // Also where systemd runs: the paths of that driver are covered by recorded fixtures.
        "--exec-opt=native.cgroupdriver=cgroupfs".to_owned(),
        format!("--data-root={}", at("data")),
        format!("--exec-root={}", at("exec")),
        format!("--pidfile={}", at("pid")),
        format!("--host=unix://{}", socket.display()),
    ]
}

impl Docker {
    /// Starts a daemon and gives it the image.
    pub fn start() -> Result<Docker> {
        let folder = own_folder("docker")?;
        let socket = folder.join("docker.sock");
        let command = docker_daemon(&folder, &socket);
        let keeper = Keeper::start(&folder, &command, &[], &socket)?;
        let docker = Docker { keeper, socket };
        docker
            .run(&[
                "load",
                "--input",
                &crate::load::image()?.display().to_string(),
            ])
            .context("load the image")?;
        Ok(docker)
    }

    /// Runs the client against this daemon.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("docker");
        command
            .arg(format!("--host=unix://{}", self.socket.display()))
            .args(arguments);
        said(&mut command)
            .with_context(|| format!("the daemon's log ends with:\n{}", self.keeper.log_end()))
    }
}

impl Engine for Docker {
    fn word(&self) -> &'static str {
        "docker"
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
        match self.run(&["rm", "--force", name]) {
            Err(error) if !format!("{error:#}").contains("No such container") => Err(error),
            _ => Ok(()),
        }
    }

    fn arguments(&self) -> Vec<String> {
        vec![
            "--engine-socket".to_owned(),
            format!("docker={}", self.socket.display()),
        ]
    }
}
