//! containerd, used through `ctr`: names are free text, and so are cgroup paths.

use super::{Engine, Spec, once, said};
use crate::keeper::{Keeper, own_folder};
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// The namespace of the suite's containers.
const NAMESPACE: &str = "dunnage-ctr";

/// A containerd and its socket.
#[derive(Debug)]
pub struct Containerd {
    keeper: Keeper,
    socket: PathBuf,
}

/// The suite's containerd, started where it is not running yet.
pub fn containerd() -> Result<&'static Containerd> {
    static PLACE: Mutex<Option<&'static Containerd>> = Mutex::new(None);
    once(&PLACE, Containerd::start)
}

impl Containerd {
    /// Starts it and gives it the image.
    pub fn start() -> Result<Containerd> {
        let folder = own_folder("containerd")?;
        let at = |name: &str| folder.join(name).display().to_string();
        let settings = folder.join("config.toml");
        let text = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n[grpc]\n  address = {:?}\n",
            at("root"),
            at("state"),
            at("containerd.sock")
        );
        std::fs::write(&settings, text).with_context(|| format!("write {}", settings.display()))?;
        let socket = folder.join("containerd.sock");
        let command = [
            "containerd".to_owned(),
            "--config".to_owned(),
            settings.display().to_string(),
        ];
        let keeper = Keeper::start(&folder, &command, &[], &socket)?;
        let containerd = Containerd { keeper, socket };
        containerd
            .run(&[
                "images",
                "import",
                &crate::load::image()?.display().to_string(),
            ])
            .context("import the image")?;
        Ok(containerd)
    }

    /// Runs ctr against this daemon.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("ctr");
        command
            .arg("--address")
            .arg(&self.socket)
            .args(["--namespace", NAMESPACE])
            .args(arguments);
        said(&mut command)
            .with_context(|| format!("the daemon's log ends with:\n{}", self.keeper.log_end()))
    }

    fn pid(&self, name: &str) -> Result<u32> {
        let tasks = self.run(&["tasks", "list"])?;
        let line = tasks
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name));
        let pid = line
            .and_then(|line| line.split_whitespace().nth(1))
            .with_context(|| format!("no task {name} in:\n{tasks}"))?;
        Ok(pid.parse()?)
    }
}

impl Engine for Containerd {
    fn word(&self) -> &'static str {
        "containerd"
    }

    fn launch(&self, spec: &Spec) -> Result<(String, u32)> {
        ensure!(spec.cpus.is_none(), "ctr cannot bind {} to CPUs", spec.name);
        let mut arguments = vec!["run".to_owned(), "--detach".to_owned()];
        for (name, value) in &spec.labels {
            arguments.extend(["--label".to_owned(), format!("{name}={value}")]);
        }
        arguments.extend([
            crate::load::IMAGE.to_owned(),
            spec.name.clone(),
            "/bin/dunnage-load".to_owned(),
        ]);
        arguments.extend_from_slice(&spec.load);
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run(&words)?;
        Ok((spec.name.clone(), self.pid(&spec.name)?))
    }

    fn output(&self, name: &str) -> Result<String> {
        bail!("ctr keeps no output of a detached container ({name})")
    }

    fn remove(&self, name: &str) -> Result<()> {
        let known = self.run(&["containers", "list", "--quiet"])?;
        if !known.lines().any(|line| line == name) {
            return Ok(());
        }
        // It may have ended by itself, so that there is no task to kill.
        let _ = self.run(&["tasks", "rm", "--force", name]);
        self.run(&["containers", "rm", name]).map(drop)
    }

    fn arguments(&self) -> Vec<String> {
        vec![
            "--engine-socket".to_owned(),
            format!("containerd={}", self.socket.display()),
        ]
    }
}
