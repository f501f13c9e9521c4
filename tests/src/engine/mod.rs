//! Container engines with folders and sockets of their own: nothing that the machine's own engines
//! keep is touched. One file an engine.
//!
//! Docker, Podman and containerd are started once for the whole suite, when a scenario first asks.

mod containerd;
mod docker;
mod podman;
mod runc;

pub use containerd::{Containerd, containerd};
pub use docker::{Docker, docker, docker_daemon};
pub use podman::{Podman, SETTINGS as PODMAN_SETTINGS, podman, storage as podman_storage};
pub use runc::{Runc, runc};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A container to start.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// What the load generator is told to do.
    pub load: Vec<String>,
    /// The CPUs that it may use, such as `0-1`; all where absent.
    pub cpus: Option<String>,
    /// Its weight on cgroup v1's scale, where 1024 is what everybody has.
    pub shares: Option<u64>,
    /// Its quota in CPUs.
    pub quota: Option<f64>,
    /// Its limit on memory, in bytes.
    pub memory: Option<u64>,
    /// Its limit on tasks.
    pub tasks: Option<u64>,
    /// Labels.
    pub labels: Vec<(String, String)>,
}

impl Spec {
    /// A container that runs one load, written as on a command line.
    #[must_use]
    pub fn new(name: &str, load: &str) -> Spec {
        Spec {
            name: name.to_owned(),
            load: load.split_whitespace().map(str::to_owned).collect(),
            ..Spec::default()
        }
    }

    /// Bound to these CPUs.
    #[must_use]
    pub fn on(mut self, cpus: &str) -> Spec {
        self.cpus = Some(cpus.to_owned());
        self
    }
}

/// What the scenarios need of an engine.
pub trait Engine: Send + Sync {
    /// The word of the contract's `party.engine`.
    fn word(&self) -> &'static str;
    /// Starts a container and gives its id and the process id of its first process.
    fn launch(&self, spec: &Spec) -> Result<(String, u32)>;
    /// What the container wrote on standard output.
    fn output(&self, name: &str) -> Result<String>;
    /// Kills and forgets a container; it is no error where it is gone already.
    fn remove(&self, name: &str) -> Result<()>;
    /// The arguments by which `dunnage` finds this engine.
    fn arguments(&self) -> Vec<String>;
    /// Whether containers of this engine have an image that the engine knows.
    fn knows_images(&self) -> bool {
        true
    }
}

/// A running container, removed when it is dropped.
pub struct Container<'e> {
    engine: &'e dyn Engine,
    /// Its name.
    pub name: String,
    /// The engine's id of it, in full.
    pub id: String,
    /// Its first process, as the host counts.
    pub pid: u32,
}

impl<'e> Container<'e> {
    /// Starts it.
    pub fn start(engine: &'e dyn Engine, spec: &Spec) -> Result<Container<'e>> {
        // One of the same name may have stayed behind where a test was killed.
        engine.remove(&spec.name)?;
        let (id, pid) = engine
            .launch(spec)
            .with_context(|| format!("start {} under {}", spec.name, engine.word()))?;
        Ok(Container {
            engine,
            name: spec.name.clone(),
            id,
            pid,
        })
    }

    /// Waits until its load has ended, and reads what the load says of itself.
    pub fn report(&self, patience: Duration) -> Result<Value> {
        let start = Instant::now();
        loop {
            let report = self
                .engine
                .output(&self.name)
                .and_then(|output| crate::load::report_in(&output));
            if report.is_ok() || start.elapsed() > patience {
                return report.with_context(|| format!("{} after {patience:?}", self.name));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.engine.remove(&self.name) {
            eprintln!("removing {}: {error:#}", self.name);
        }
    }
}

/// The engines that were started, by type; they live until the process ends.
fn once<E>(
    place: &'static Mutex<Option<&'static E>>,
    start: fn() -> Result<E>,
) -> Result<&'static E> {
    let mut slot = place.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        *slot = Some(Box::leak(Box::new(start()?)));
    }
    (*slot).context("the engine has just been started")
}

/// Runs a command of an engine and gives its standard output.
pub fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("start {command:?}: is it installed?"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success(),
        "{command:?}: {}: {stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(stdout)
}

/// The options that Docker and Podman share.
fn run_options(spec: &Spec) -> Vec<String> {
    let mut options = vec![
        "--detach".to_owned(),
        "--network=none".to_owned(),
        format!("--name={}", spec.name),
    ];
    options.extend(spec.cpus.iter().map(|cpus| format!("--cpuset-cpus={cpus}")));
    options.extend(
        spec.shares
            .iter()
            .map(|shares| format!("--cpu-shares={shares}")),
    );
    options.extend(spec.quota.iter().map(|quota| format!("--cpus={quota}")));
    options.extend(spec.memory.iter().map(|bytes| format!("--memory={bytes}")));
    options.extend(
        spec.tasks
            .iter()
            .map(|tasks| format!("--pids-limit={tasks}")),
    );
    options.extend(
        spec.labels
            .iter()
            .map(|(name, value)| format!("--label={name}={value}")),
    );
    options
}
