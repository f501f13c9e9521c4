//! Engines inside the rack's view, as far as devices are concerned: run a probe, keep a container, look
//! into it, and disturb it.

use super::Rack;
use crate::engine::said;
use crate::keeper::{Keeper, own_folder};
use crate::machine::patience;
use crate::probe::{IMAGE, INSIDE, image};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// An engine that can be asked for devices.
pub trait Runs {
    /// What it is called in messages.
    fn name(&self) -> String;
    /// Runs the probe in a container with these options, and gives its output.
    fn once(&self, options: &[String], arguments: &[&str]) -> Result<String>;
    /// Starts a container that stays.
    fn keep(&self, name: &str, options: &[String]) -> Result<()>;
    /// Runs the probe in that container.
    fn inside(&self, name: &str, arguments: &[&str]) -> Result<String>;
    /// Has the engine write the container's cgroup anew, and restart it where it can.
    fn disturb(&self, name: &str) -> Result<()>;
    /// Kills the engine's daemon, starts it anew, and waits until the container runs, which is at once
    /// where the engine has none.
    fn lose_the_daemon(&self, _name: &str) -> Result<()> {
        Ok(())
    }
    /// Kills and forgets it.
    fn remove(&self, name: &str) -> Result<()>;
}

/// Programs of another version, as `tests/setup/newer-engines.sh` unpacks them.
pub fn newer(suite: &str, packages: &[&str]) -> Result<PathBuf> {
    let mut command = Command::new(crate::script("newer-engines.sh"));
    command.arg(suite).args(packages);
    said(&mut command).map(PathBuf::from)
}

/// A PATH with an unpacked tree in front.
#[must_use]
pub fn path_with(tree: Option<&Path>) -> String {
    let machine = std::env::var("PATH").unwrap_or_default();
    tree.map_or(machine.clone(), |tree| {
        format!("{0}/usr/sbin:{0}/usr/bin:{machine}", tree.display())
    })
}

/// Where a containerd in this folder listens.
#[must_use]
pub fn containerd_socket(folder: &Path) -> PathBuf {
    folder.join("containerd.sock")
}

/// containerd inside the view, of the machine's version or of an unpacked tree, and the PATH that it has.
fn containerd(rack: &Rack, tree: Option<&Path>, name: &str) -> Result<(Keeper, String)> {
    let folder = own_folder(name)?;
    let socket = containerd_socket(&folder);
    let at = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\n  address = {:?}\n",
        at("root"),
        at("state"),
        socket.display().to_string()
    );
    std::fs::write(at("config.toml"), text)?;
    let path = path_with(tree);
    let mut command = rack.words();
    command.extend(["env", &format!("PATH={path}"), "containerd", "--config"].map(str::to_owned));
    command.push(at("config.toml"));
    let keeper = Keeper::start(&folder, &command, &[], &socket)?;
    Ok((keeper, path))
}

/// A Docker daemon inside the view, with a containerd beside it, as distributions have it.
#[derive(Debug)]
pub struct DockerInside<'r> {
    rack: &'r Rack,
    keeper: Keeper,
    _containerd: Keeper,
    socket: PathBuf,
    path: String,
    name: String,
}

impl<'r> DockerInside<'r> {
    /// Starts a daemon of the machine's version, or of an unpacked tree, with further options.
    pub fn start(
        rack: &'r Rack,
        tree: Option<&Path>,
        name: &str,
        options: &[String],
    ) -> Result<Self> {
        let folder = own_folder(name)?;
        let socket = folder.join("docker.sock");
        let (containerd, path) = containerd(rack, tree, &format!("{name}-c"))?;
        let mut command = rack.words();
        command.extend(["env".to_owned(), format!("PATH={path}")]);
        command.extend(crate::engine::docker_daemon(&folder, &socket));
        let beside = containerd_socket(containerd.folder());
        command.push(format!("--containerd={}", beside.display()));
        command.extend_from_slice(options);
        let keeper = Keeper::start(&folder, &command, &[], &socket)?;
        let docker = DockerInside {
            rack,
            keeper,
            _containerd: containerd,
            socket,
            path,
            name: name.to_owned(),
        };
        let archive = image()?.display().to_string();
        docker.run(&["load", "--input", &archive])?;
        Ok(docker)
    }

    /// Runs the client.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.rack.command("docker");
        command
            .env("PATH", &self.path)
            .arg(format!("--host=unix://{}", self.socket.display()))
            .args(arguments);
        said(&mut command)
            .with_context(|| format!("the daemon's log ends with:\n{}", self.keeper.log_end()))
    }
}

/// The words of a `run`, as Docker and Podman take them.
pub(super) fn run_words<'a>(
    first: &[&'a str],
    options: &'a [String],
    last: &[&'a str],
) -> Vec<&'a str> {
    let mut words = vec!["run", "--network=none"];
    words.extend_from_slice(first);
    words.extend(options.iter().map(String::as_str));
    words.push(IMAGE);
    words.extend_from_slice(last);
    words
}

/// The words by which a container runs the probe once and goes.
fn see_words<'a>(options: &'a [String], arguments: &[&'a str]) -> Vec<&'a str> {
    let mut last = vec!["see"];
    last.extend_from_slice(arguments);
    run_words(&["--rm"], options, &last)
}

/// The words by which a container of this name stays.
pub(super) fn keep_words<'a>(name: &'a str, options: &'a [String]) -> Vec<&'a str> {
    run_words(&["--detach", "--name", name], options, &["wait"])
}

/// The words by which the probe runs in a container that is there.
pub(super) fn exec_words<'a>(name: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["exec", name, INSIDE, "see"];
    words.extend_from_slice(arguments);
    words
}

impl Runs for DockerInside<'_> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn once(&self, options: &[String], arguments: &[&str]) -> Result<String> {
        self.run(&see_words(options, arguments))
    }

    fn keep(&self, name: &str, options: &[String]) -> Result<()> {
        let named = format!("--name={name}");
        // A daemon that finds a container from before it was killed stops it first; the probe does not
        // hear of that.
        let first = ["--detach", "--restart=always", "--stop-timeout=1", &named];
        self.run(&run_words(&first, options, &["wait"])).map(drop)
    }

    fn inside(&self, name: &str, arguments: &[&str]) -> Result<String> {
        self.run(&exec_words(name, arguments))
    }

    fn disturb(&self, name: &str) -> Result<()> {
        self.run(&["restart", "--time=0", name])?;
        self.run(&["update", "--cpu-shares=512", name])?;
        self.run(&["update", "--memory=128m", "--memory-swap=128m", name])?;
        Ok(())
    }

    fn lose_the_daemon(&self, name: &str) -> Result<()> {
        self.keeper.kill_and_start()?;
        let patience = patience();
        let start = Instant::now();
        loop {
            let state = self.run(&["inspect", "--format={{.State.Status}}", name])?;
            if state == "running" {
                return Ok(());
            }
            ensure!(start.elapsed() < patience, "{name} is {state}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.run(&["rm", "--force", name]).map(drop)
    }
}

/// Podman inside the view.
#[derive(Debug)]
pub struct PodmanInside<'r> {
    rack: &'r Rack,
    folder: PathBuf,
}

impl<'r> PodmanInside<'r> {
    /// Gives it the image, in storage of its own.
    pub fn start(rack: &'r Rack) -> Result<Self> {
        let folder = rack.place("podman")?;
        std::fs::write(
            folder.join("containers.conf"),
            crate::engine::PODMAN_SETTINGS,
        )?;
        let podman = PodmanInside { rack, folder };
        podman.run(&["load", "--input", &image()?.display().to_string()])?;
        Ok(podman)
    }

    /// Runs podman.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.rack.command("podman");
        command
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .args(crate::engine::podman_storage(&self.folder))
            .args(arguments);
        said(&mut command)
    }
}

impl Runs for PodmanInside<'_> {
    fn name(&self) -> String {
        "podman".to_owned()
    }

    fn once(&self, options: &[String], arguments: &[&str]) -> Result<String> {
        self.run(&see_words(options, arguments))
    }

    fn keep(&self, name: &str, options: &[String]) -> Result<()> {
        self.run(&keep_words(name, options)).map(drop)
    }

    fn inside(&self, name: &str, arguments: &[&str]) -> Result<String> {
        self.run(&exec_words(name, arguments))
    }

    fn disturb(&self, name: &str) -> Result<()> {
        self.run(&["restart", "--time=0", name])?;
        self.run(&["update", "--cpu-shares=512", name])?;
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.run(&["rm", "--force", "--time=0", name]).map(drop)
    }
}

/// containerd inside the view, by `ctr`.
#[derive(Debug)]
pub struct ContainerdInside<'r> {
    rack: &'r Rack,
    keeper: Keeper,
    path: String,
    name: String,
}

impl<'r> ContainerdInside<'r> {
    /// Starts the machine's version, or that of an unpacked tree.
    pub fn start(rack: &'r Rack, tree: Option<&Path>, name: &str) -> Result<Self> {
        let (keeper, path) = containerd(rack, tree, name)?;
        let containerd = ContainerdInside {
            rack,
            keeper,
            path,
            name: name.to_owned(),
        };
        let archive = image()?.display().to_string();
        containerd.run(&["images", "import", &archive])?;
        Ok(containerd)
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.rack.command("ctr");
        command
            .env("PATH", &self.path)
            .arg("--address")
            .arg(containerd_socket(self.keeper.folder()))
            .args(["--namespace", "dunnage-rack"])
            .args(arguments);
        said(&mut command)
            .with_context(|| format!("the daemon's log ends with:\n{}", self.keeper.log_end()))
    }

    fn start_words(
        &self,
        first: &str,
        name: &str,
        options: &[String],
        last: &[&str],
    ) -> Result<String> {
        let mut words = vec!["run", first];
        words.extend(options.iter().map(String::as_str));
        words.extend([IMAGE, name, INSIDE]);
        words.extend_from_slice(last);
        self.run(&words)
    }
}

impl Runs for ContainerdInside<'_> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn once(&self, options: &[String], arguments: &[&str]) -> Result<String> {
        let mut last = vec!["see"];
        last.extend_from_slice(arguments);
        self.start_words("--rm", "dn-once", options, &last)
    }

    fn keep(&self, name: &str, options: &[String]) -> Result<()> {
        self.start_words("--detach", name, options, &["wait"])
            .map(drop)
    }

    fn inside(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut words = vec!["tasks", "exec", "--exec-id", "look", name, INSIDE, "see"];
        words.extend_from_slice(arguments);
        self.run(&words)
    }

    fn disturb(&self, name: &str) -> Result<()> {
        self.run(&["tasks", "pause", name])?;
        self.run(&["tasks", "resume", name]).map(drop)
    }

    fn lose_the_daemon(&self, _name: &str) -> Result<()> {
        self.keeper.kill_and_start()
    }

    fn remove(&self, name: &str) -> Result<()> {
        let _ = self.run(&["tasks", "rm", "--force", name]);
        self.run(&["containers", "rm", name]).map(drop)
    }
}

/// runc or crun, with a bundle to which `dunnage-devices bundle` gives the devices; the options are its
/// arguments.
#[derive(Debug)]
pub struct BundleInside<'r> {
    rack: &'r Rack,
    runtime: &'static str,
}

impl<'r> BundleInside<'r> {
    /// For this runtime.
    #[must_use]
    pub fn new(rack: &'r Rack, runtime: &'static str) -> Self {
        BundleInside { rack, runtime }
    }

    fn bundle(&self, name: &str, options: &[String], last: &[&str]) -> Result<PathBuf> {
        let bundle = self.rack.place(&format!("bundle-{name}"))?;
        let rootfs = bundle.join("rootfs");
        for folder in ["bin", "proc", "dev", "sys"] {
            std::fs::create_dir_all(rootfs.join(folder))?;
        }
        std::fs::copy(
            crate::probe::program()?,
            bundle.join(format!("rootfs{INSIDE}")),
        )?;
        let mut arguments = vec![INSIDE];
        arguments.extend_from_slice(last);
        let namespaces =
            ["pid", "ipc", "uts", "mount", "network"].map(|kind| serde_json::json!({"type": kind}));
        let all = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"];
        let config = serde_json::json!({
            "ociVersion": "1.0.2",
            "process": {"user": {"uid": 0, "gid": 0}, "args": arguments, "env": ["PATH=/bin"], "cwd": "/",
                "capabilities": {"bounding": all, "effective": all, "permitted": all}},
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
            "linux": {"cgroupsPath": format!("/dunnage-tests/{name}"), "namespaces": namespaces,
                // As `runc spec` and `crun spec` write it: without, crun allows every device.
                "resources": {"devices": [{"allow": false, "access": "rwm"}]}}
        });
        std::fs::write(bundle.join("config.json"), config.to_string())?;
        if !options.is_empty() {
            let folder = bundle.display().to_string();
            let mut words = vec!["bundle"];
            words.extend(options.iter().map(String::as_str));
            words.push(&folder);
            self.rack.devices(&words)?;
        }
        Ok(bundle)
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.rack.command(self.runtime);
        command
            .arg("--root")
            .arg(self.rack.place("runc-state")?)
            .args(arguments);
        said(&mut command)
    }
}

impl Runs for BundleInside<'_> {
    fn name(&self) -> String {
        self.runtime.to_owned()
    }

    fn once(&self, options: &[String], arguments: &[&str]) -> Result<String> {
        let mut last = vec!["see"];
        last.extend_from_slice(arguments);
        let bundle = self.bundle("dn-once", options, &last)?;
        self.run(&["run", "--bundle", &bundle.display().to_string(), "dn-once"])
    }

    fn keep(&self, name: &str, options: &[String]) -> Result<()> {
        let bundle = self.bundle(name, options, &["wait"])?;
        let mut command = self.rack.command(self.runtime);
        command.arg("--root").arg(self.rack.place("runc-state")?);
        command
            .args(["run", "--detach", "--bundle"])
            .arg(&bundle)
            .arg(name);
        // The container keeps what it is given: a pipe would never end.
        command.stdin(std::process::Stdio::null());
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let status = command.status()?;
        anyhow::ensure!(status.success(), "{command:?}: {status}");
        Ok(())
    }

    fn inside(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut words = vec!["exec", name, INSIDE, "see"];
        words.extend_from_slice(arguments);
        self.run(&words)
    }

    fn disturb(&self, name: &str) -> Result<()> {
        self.run(&["update", "--cpu-share", "512", name])?;
        self.run(&["update", "--memory", "134217728", name])
            .map(drop)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.run(&["delete", "--force", name]).map(drop)
    }
}
