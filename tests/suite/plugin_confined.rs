//! The device plugin as its DaemonSet runs it (`device-plugin/deploy/kubernetes.yaml`): no capability, no
//! device, a root that cannot be written, and the system calls of `seccomp.json` alone. It is enough,
//! and more is refused.

use anyhow::{Context, Result, ensure};
use dunnage_plugin_testing::{Known, Kubelet};
use dunnage_tests::engine::said;
use dunnage_tests::keeper::own_folder;
use dunnage_tests::machine::machine;
use dunnage_tests::rack::binary;
use dunnage_tests::rack::engines::newer;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const RESOURCE: &str = "acme.com/card";
/// A user without any right but to its own files.
const NOBODY: u32 = 65_534;
/// Long enough for the slowest machine; whatever is awaited comes in milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../device-plugin/deploy")
        .join(file)
}

/// The container, which ends with this.
struct Confined {
    name: String,
    folder: PathBuf,
}

impl Confined {
    /// With the uid of `user`, whose the folders are that it writes to.
    fn start(user: u32) -> Result<Confined> {
        let folder = own_folder("confined")?;
        let rootfs = folder.join("rootfs");
        for place in [
            "usr",
            "lib",
            "lib64",
            "plugin",
            "config",
            "features",
            "host",
            "proc",
            "var/lib/kubelet",
        ] {
            fs::create_dir_all(rootfs.join(place))?;
        }
        for place in ["dev", "sys", "proc", "usr", "lib", "var/lib/dunnage"] {
            fs::create_dir_all(folder.join("host").join(place))?;
        }
        for place in [
            "kubelet/device-plugins",
            "kubelet/pod-resources",
            "features",
            "config",
        ] {
            fs::create_dir_all(folder.join(place))?;
        }
        let node = folder.join("host/dev/acme0");
        mknod(&node, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(10, 229))?;
        let config = "[[rule]]\nname = \"card\"\nnodes = [\"/dev/acme0\"]\n\
                      [[resource]]\nfamily = \"rules\"\nname = \"acme.com/card\"\n";
        fs::write(folder.join("config/devices.toml"), config)?;
        for place in ["kubelet/device-plugins", "features", "host/var/lib/dunnage"] {
            chown(folder.join(place), Some(user), Some(user))?;
        }
        let confined = Confined {
            name: format!("dunnage-tests-confined-{}", std::process::id()),
            folder,
        };
        fs::write(
            confined.folder.join("config.json"),
            confined.bundle(user)?.to_string(),
        )?;
        let log = fs::File::create(confined.folder.join("log"))?;
        let status = Command::new("runc")
            .args(["run", "--detach", "--pid-file"])
            .arg(confined.folder.join("pid"))
            .arg("--bundle")
            .arg(&confined.folder)
            .arg(&confined.name)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .context("start runc: is it installed?")?;
        ensure!(status.success(), "runc: {status}: {}", confined.log());
        Ok(confined)
    }

    fn bundle(&self, user: u32) -> Result<Value> {
        let profile: Value = serde_json::from_slice(&fs::read(deploy("seccomp.json"))?)?;
        let program = binary()?;
        let programs = program.parent().context("the program is in a folder")?;
        let name = program.file_name().context("the program has a name")?;
        let bind = |from: PathBuf, to: &str, rights: &str| {
            json!({"destination": to, "type": "bind", "source": from,
                   "options": ["rbind", "nosuid", rights]})
        };
        let ours = |place: &str| self.folder.join(place);
        let arguments = json!([
            format!("/plugin/{}", name.to_string_lossy()),
            "--host-root",
            "/host",
            "--config",
            "/config/devices.toml",
            "plugin",
            "--metrics",
            "/host/var/lib/dunnage/metrics.sock",
            "--node-features",
            "/features/dunnage",
            "--verdicts",
            "/host/var/lib/dunnage/verdicts",
        ]);
        let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
        Ok(json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": user, "gid": user}, "args": arguments, "env": ["PATH=/usr/bin"], "cwd": "/",
                "capabilities": {}, "noNewPrivileges": true},
            "root": {"path": "rootfs", "readonly": true},
            "hostname": "plugin",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                bind("/usr".into(), "/usr", "ro"), bind("/lib".into(), "/lib", "ro"),
                bind("/lib64".into(), "/lib64", "ro"), bind(programs.into(), "/plugin", "ro"),
                bind(ours("config"), "/config", "ro"), bind(ours("features"), "/features", "rw"),
                bind(ours("kubelet"), "/var/lib/kubelet", "rw"), bind(ours("host"), "/host", "rw"),
                bind("/sys".into(), "/host/sys", "ro"), bind("/proc".into(), "/host/proc", "ro"),
                bind("/usr".into(), "/host/usr", "ro"), bind("/lib".into(), "/host/lib", "ro")],
            "linux": {
                "cgroupsPath": format!("/dunnage-tests/{}", self.name),
                "resources": {"devices": [{"allow": false, "access": "rwm"}]},
                // As with hostNetwork: true.
                "namespaces": namespaces,
                "seccomp": profile}
        }))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Runs a program beside the plugin, under the same rules.
    fn exec(&self, words: &[&str]) -> Result<std::process::Output> {
        let mut command = Command::new("runc");
        command.arg("exec").arg(&self.name).args(words);
        command.output().context("start runc exec")
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let _ = Command::new("runc")
            .args(["delete", "--force", &self.name])
            .output();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits for something that another process does.
fn until(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !is_so() {
        ensure!(
            start.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

async fn listed(kubelet: &Kubelet, confined: &Confined) -> Result<Known> {
    let known = kubelet
        .within(PATIENCE, RESOURCE, |known| known.list.is_some())
        .await;
    known.with_context(|| format!("the plugin does not register; it said: {}", confined.log()))
}

/// Returns the page for Prometheus in the end.
async fn serves_a_kubelet_that_comes_and_goes(confined: &Confined) -> Result<String> {
    let folder = confined.folder.join("kubelet/device-plugins");
    for _ in 0..3 {
        let kubelet = Kubelet::start(&folder).await;
        // Whoever lets another user register opens the socket to it.
        fs::set_permissions(
            folder.join("kubelet.sock"),
            fs::Permissions::from_mode(0o666),
        )?;
        let list = listed(&kubelet, confined).await?.list.context("a list")?;
        let device = list.devices.first().context("a device")?;
        ensure!(device.health == "Healthy", "{list:?}");
        let answer = kubelet.allocate(RESOURCE, &[&device.id]).await?;
        let given = &answer.container_responses[0].devices;
        ensure!(
            given.len() == 1 && given[0].host_path == "/dev/acme0",
            "{given:?}"
        );
        kubelet.kill().await;
    }
    let metrics = confined.folder.join("host/var/lib/dunnage/metrics.sock");
    let mut stream = UnixStream::connect(&metrics).await?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    let wanted = format!("dunnage_plugin_allocations_total{{resource=\"{RESOURCE}\"}} 3\n");
    ensure!(page.contains(&wanted), "{page}");
    let (_, body) = page.split_once("\r\n\r\n").context("a body")?;
    Ok(body.to_owned())
}

/// What Prometheus' own judge says of a page: nothing.
fn is_well_formed(page: &str) -> Result<()> {
    let promtool = newer("bookworm", &["prometheus"])?.join("usr/bin/promtool");
    let mut judge = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start promtool")?;
    judge
        .stdin
        .take()
        .context("its input is a pipe")?
        .write_all(page.as_bytes())?;
    let said = judge.wait_with_output()?;
    ensure!(
        said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(),
        "{said:?} of\n{page}"
    );
    Ok(())
}

#[test]
fn plugin_confined_needs_no_more_than_its_daemonset_gives_it() -> Result<()> {
    let _alone = machine()?;
    for user in [0, NOBODY] {
        lives_with(user).with_context(|| format!("with the uid {user}"))?;
    }
    Ok(())
}

fn lives_with(user: u32) -> Result<()> {
    let confined = Confined::start(user)?;
    let pid = fs::read_to_string(confined.folder.join("pid"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let page = runtime.block_on(serves_a_kubelet_that_comes_and_goes(&confined))?;
    is_well_formed(&page)?;

    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim()))?;
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        ensure!(status.contains(line), "{line} is not in\n{status}");
    }
    // What the plugin does not need is refused, though whoever asks owns the file.
    let own = "/host/var/lib/dunnage/own";
    let outside = confined.folder.join("host/var/lib/dunnage/own");
    fs::write(&outside, "")?;
    chown(&outside, Some(user), Some(user))?;
    let allowed = confined.exec(&["/usr/bin/cat", own])?;
    ensure!(allowed.status.success(), "{allowed:?}");
    for words in [
        &["/usr/bin/chmod", "600", own][..],
        &["/usr/bin/unshare", "--user", "/usr/bin/true"],
    ] {
        let refused = confined.exec(words)?;
        let why = String::from_utf8_lossy(&refused.stderr);
        ensure!(
            !refused.status.success() && why.contains("Operation not permitted"),
            "{words:?}: {refused:?}"
        );
    }
    let written = confined.exec(&["/usr/bin/touch", "/written"])?;
    ensure!(!written.status.success(), "the root can be written");

    // A clean stop leaves no socket and no label.
    let label = confined.folder.join("features/dunnage");
    ensure!(label.exists(), "no labels: {}", confined.log());
    said(Command::new("runc").args(["kill", &confined.name, "TERM"]))?;
    until("the labels are taken back", || !label.exists())?;
    let sockets = || {
        let entries = fs::read_dir(confined.folder.join("kubelet/device-plugins"));
        let names = entries.into_iter().flatten().flatten();
        names
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("dunnage-"))
            .count()
    };
    until("the sockets are removed", || sockets() == 0)
}

#[test]
fn plugin_confined_profile_has_nothing_that_changes_the_host() -> Result<()> {
    let profile: Value = serde_json::from_slice(&fs::read(deploy("seccomp.json"))?)?;
    ensure!(profile["defaultAction"] == "SCMP_ACT_ERRNO", "{profile}");
    let groups = profile["syscalls"].as_array().context("system calls")?;
    let names: Vec<&str> = groups
        .iter()
        .flat_map(|group| group["names"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    for never in [
        "bpf",
        "chmod",
        "chown",
        "delete_module",
        "finit_module",
        "init_module",
        "kexec_load",
        "keyctl",
        "mount",
        "open_by_handle_at",
        "perf_event_open",
        "pivot_root",
        "process_vm_writev",
        "ptrace",
        "reboot",
        "setns",
        "setuid",
        "swapon",
        "umount2",
        "unshare",
        "userfaultfd",
    ] {
        ensure!(!names.contains(&never), "{never} is allowed");
    }
    Ok(())
}
