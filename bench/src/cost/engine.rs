//! Real containers, for peers that see nothing else: a Docker of the bench's own with one tiny image.

use super::group::Group;
use super::peers::installed;
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon and its containers, all gone afterwards.
pub(crate) struct Engine {
    socket: PathBuf,
    daemon: Group,
    folder: PathBuf,
}

impl Engine {
    /// Starts a daemon that keeps everything in `folder`, and `count` containers that sleep.
    pub(crate) fn start(folder: &Path, count: usize) -> anyhow::Result<Engine> {
        let daemon = installed("dockerd")?;
        installed("docker")?;
        let busybox = installed("busybox").context("for the image of the containers")?;
        let at = |name: &str| folder.join(name).display().to_string();
        let socket = folder.join("docker.sock");
        let words = [
            daemon.display().to_string(),
            // No bridge and no firewall rules: the host keeps its own.
            "--bridge=none".to_owned(),
            "--iptables=false".to_owned(),
            "--ip6tables=false".to_owned(),
            "--exec-opt=native.cgroupdriver=cgroupfs".to_owned(),
            format!("--data-root={}", at("data")),
            format!("--exec-root={}", at("exec")),
            format!("--pidfile={}", at("pid")),
            format!("--host=unix://{}", socket.display()),
        ];
        let engine = Engine {
            socket,
            daemon: Group::start("engine", &words)?,
            folder: folder.to_owned(),
        };
        engine.wait()?;
        let root = folder.join("root");
        fs::create_dir_all(&root)?;
        fs::copy(&busybox, root.join("busybox"))
            .with_context(|| format!("copying {}", busybox.display()))?;
        let tar = folder.join("image.tar");
        said(Command::new("tar").args(["-C", &text(&root), "-cf", &text(&tar), "."]))?;
        said(
            engine
                .docker()
                .args(["import", &text(&tar), "dunnage-bench"]),
        )?;
        for number in 0..count {
            let name = format!("bench-{number}");
            said(engine.docker().args([
                "run",
                "--detach",
                "--name",
                &name,
                "--network=none",
                "dunnage-bench",
                "/busybox",
                "sleep",
                "3600",
            ]))?;
        }
        Ok(engine)
    }

    /// Where the daemon listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// CPU time of the daemon and what belongs to it, the containers left out.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.daemon.cpu_seconds()
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host");
        command.arg(format!("unix://{}", self.socket.display()));
        command
    }

    fn wait(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while said(self.docker().arg("version")).is_err() {
            ensure!(
                Instant::now() < deadline,
                "dockerd did not answer at {} within 30 s",
                self.socket.display()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let list = self.docker().args(["ps", "--all", "--quiet"]).output();
        let ids = list.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        for id in ids.unwrap_or_default().split_whitespace() {
            let _ = said(self.docker().args(["rm", "--force", id]));
        }
        // The daemon unmounts what lies in its folder when it ends, and the folder goes then.
        let _ = fs::remove_file(self.folder.join("image.tar"));
    }
}

/// Runs a command to its end; what it said is in the error.
fn said(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{} ended with {}: {}",
        command.get_program().display(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
