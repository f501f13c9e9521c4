//! A node: a kubelet of a given version with containerd as its runtime, before the devices of the rack, in
//! mount and network namespaces and a cgroup of its own. There is no API server: pods are files.
//!
//! | resource | devices |
//! | --- | --- |
//! | `dunnage.test/gpu` | 0000:00:02.0 and 0000:03:00.0 |
//! | `dunnage.test/npu` | 0000:00:0b.0, shared by two |

use super::process::{Lines, Process};
use super::resources::{ByResource, PodResources};
use anyhow::{Context, Result, bail, ensure};
use dunnage_tests::engine::said;
use dunnage_tests::keeper::{Keeper, own_folder};
use dunnage_tests::probe::{self, INSIDE, Seen};
use dunnage_tests::rack::{Rack, binary};
use dunnage_tests::script;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Two GPUs.
pub(super) const GPU: &str = "dunnage.test/gpu";
/// Two slots of one NPU.
pub(super) const NPU: &str = "dunnage.test/npu";

const CONFIGURATION: &str = r#"
[[resource]]
family = "intel-gpu"
name = "dunnage.test/gpu"

[[resource]]
device = "0000:00:0b.0"
name = "dunnage.test/npu"

[[sharing]]
device = "0000:00:0b.0"
slots = 2
"#;

/// Of the node, which is its pods' suffix.
const NAME: &str = "node";
/// Where containerd keeps what the kubelet starts.
const NAMESPACE: &str = "k8s.io";
/// What a kubelet, a container or a plugin may take on a busy machine before it counts as lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that takes longer than this.
const LOOK: Duration = Duration::from_millis(20);

/// The node. What it is made of ends in the order of the fields.
pub(super) struct Node {
    plugin: Option<(Process, Lines)>,
    kubelet: Option<Process>,
    view: View,
    containerd: Keeper,
    program: PathBuf,
    pub(super) rack: Rack,
}

/// The namespaces and the cgroup. With the script that holds them everything ends that runs in the cgroup.
struct View {
    holder: Child,
    folder: PathBuf,
    cgroup: String,
}

impl Drop for View {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // It ends by itself when its standard input does, and has a limit.
        let _ = self.holder.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl View {
    fn start(rack: &Rack) -> Result<View> {
        let folder = own_folder("node")?;
        let cgroup = format!("dunnage-node-{}", std::process::id());
        let log = folder.join("view.log");
        let mut holder = rack
            .command("unshare")
            .args(["--mount", "--net", "--propagation", "private"])
            .arg(script("kubelet-node.sh"))
            .arg(&folder)
            .arg(&cgroup)
            // Ctrl-C reaches the tests; what they hold then ends in its own order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("start unshare: is util-linux installed?")?;
        let said = holder.stdout.take().context("its output is a pipe")?;
        let view = View {
            holder,
            folder,
            cgroup,
        };
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        if line.trim() != "READY" {
            let log = fs::read_to_string(&log).unwrap_or_default();
            bail!("tests/setup/kubelet-node.sh did not get ready: {log}");
        }
        Ok(view)
    }

    fn words(&self) -> Vec<String> {
        let namespaces = format!("/proc/{}/ns", self.holder.id());
        vec![
            "nsenter".to_owned(),
            format!("--mount={namespaces}/mnt"),
            format!("--net={namespaces}/net"),
            "--".to_owned(),
        ]
    }

    /// A program in the view, which ends with the tests.
    fn command(&self, program: &Path) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(["setpriv", "--pdeathsig", "KILL"])
            .arg(program)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

impl Node {
    /// Starts a node whose kubelet is of `version`, with the plugin, and waits until all devices are known.
    pub(super) fn start(version: &str) -> Result<Node> {
        let program = said(Command::new(script("kubelet.sh")).arg(version))?;
        let rack = Rack::start("rack")?;
        let view = View::start(&rack)?;
        let containerd = containerd(&view)?;
        fs::write(view.folder.join("devices.toml"), CONFIGURATION)?;
        fs::create_dir(view.folder.join("manifests"))?;
        let settings = settings(&view, &socket(containerd.folder()));
        let settings = serde_json::to_vec_pretty(&settings)?;
        fs::write(view.folder.join("kubelet.json"), settings)?;
        let mut node = Node {
            plugin: None,
            kubelet: None,
            view,
            containerd,
            program: program.into(),
            rack,
        };
        node.start_plugin()?;
        node.start_kubelet()?;
        node.until_allocatable(&all())?;
        Ok(node)
    }

    /// Starts the kubelet; one that runs is killed before.
    pub(super) fn start_kubelet(&mut self) -> Result<()> {
        self.kubelet = None;
        let log = self.view.folder.join("kubelet.log");
        let log = fs::File::options().create(true).append(true).open(log)?;
        let mut command = self.view.command(&self.program);
        command
            .arg("--config")
            .arg(self.view.folder.join("kubelet.json"))
            .args(["--root-dir=/var/lib/kubelet", "--hostname-override", NAME])
            .stderr(log);
        self.kubelet = Some(Process::start(&mut command)?);
        Ok(())
    }

    /// Starts the plugin; one that runs is killed before.
    pub(super) fn start_plugin(&mut self) -> Result<()> {
        self.plugin = None;
        let mut command = self.view.command(&binary()?.canonicalize()?);
        command
            .arg("--host-root")
            .arg(self.rack.root())
            .arg("--config")
            .arg(self.view.folder.join("devices.toml"))
            .arg("plugin");
        self.plugin = Some(Process::start_read(&mut command)?);
        Ok(())
    }

    /// What the plugin says.
    pub(super) fn lines(&self) -> Result<&Lines> {
        let (_, lines) = self.plugin.as_ref().context("the plugin was started")?;
        Ok(lines)
    }

    /// The kubelet's folder of sockets.
    pub(super) fn sockets(&self) -> PathBuf {
        self.view.folder.join("kubelet/device-plugins")
    }

    /// When the kubelet that runs made its socket; absent until it has made one after `since`.
    pub(super) fn listens_since(&self, since: SystemTime) -> Option<SystemTime> {
        let socket = fs::metadata(self.sockets().join("kubelet.sock")).ok()?;
        let made = socket.created().or_else(|_| socket.modified()).ok()?;
        (made > since).then_some(made)
    }

    /// The kubelet's PodResources API.
    pub(super) fn resources(&self) -> PodResources {
        PodResources(self.view.folder.join("kubelet/pod-resources/kubelet.sock"))
    }

    /// Waits until exactly these devices can be given.
    pub(super) fn until_allocatable(&mut self, wanted: &ByResource) -> Result<()> {
        let resources = self.resources();
        self.until(|_| match resources.allocatable() {
            Ok(there) if there == *wanted => Ok(()),
            other => bail!("allocatable: {other:?}, wanted: {wanted:?}"),
        })
    }

    /// Waits until `look` succeeds.
    pub(super) fn until<T>(&mut self, look: impl Fn(&Node) -> Result<T>) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            let seen = look(self);
            if let Some(kubelet) = &mut self.kubelet {
                kubelet.runs().with_context(|| self.log_end())?;
            }
            match seen {
                Ok(seen) => return Ok(seen),
                Err(error) if Instant::now() > end => {
                    return Err(error.context(format!("after {PATIENCE:?}\n{}", self.log_end())));
                }
                Err(_) => sleep(LOOK),
            }
        }
    }

    /// The last lines of the kubelet.
    fn log_end(&self) -> String {
        let text = fs::read(self.view.folder.join("kubelet.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        let lines: Vec<&str> = lines.into_iter().rev().collect();
        format!("the kubelet's log ends with:\n{}", lines.join("\n"))
    }

    /// Gives the kubelet a pod with one container that has one device of `resource`.
    pub(super) fn place(&self, name: &str, resource: &str) -> Result<()> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "hostNetwork": true, "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "probe", "image": probe::IMAGE, "imagePullPolicy": "Never",
                    "args": ["wait"], "resources": {"limits": {resource: "1"}},
                }],
            },
        });
        // The kubelet passes over what begins with a dot, and never reads half a file.
        let folder = self.view.folder.join("manifests");
        let draft = folder.join(format!(".{name}"));
        fs::write(&draft, serde_json::to_vec(&pod)?)?;
        fs::rename(&draft, folder.join(format!("{name}.json")))?;
        Ok(())
    }

    /// Takes a pod away, and waits until the kubelet has forgotten it.
    pub(super) fn remove(&mut self, name: &str) -> Result<()> {
        fs::remove_file(self.view.folder.join(format!("manifests/{name}.json")))?;
        self.until(|node| match node.pod(name)? {
            None => Ok(()),
            Some(pod) => bail!("{name} is still there: {}", pod["status"]),
        })
    }

    /// What the kubelet says of a pod, where it has heard of it.
    fn pod(&self, name: &str) -> Result<Option<Value>> {
        let words = self.view.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["curl", "--silent"]);
        command.args(["--show-error", "--fail", "--max-time", "5"]);
        let answer = said(command.arg("http://127.0.0.1:10255/pods"))?;
        let pods: Value = serde_json::from_str(&answer)?;
        let name = format!("{name}-{NAME}");
        let mut pods = pods["items"].as_array().into_iter().flatten();
        Ok(pods.find(|pod| pod["metadata"]["name"] == *name).cloned())
    }

    fn status(&self, name: &str) -> Result<Value> {
        let pod = self.pod(name)?;
        Ok(pod.with_context(|| format!("no pod {name}"))?["status"].take())
    }

    /// Waits until a pod's container runs, and gives the container's id.
    pub(super) fn until_running(&mut self, name: &str) -> Result<String> {
        self.until(|node| node.running(name))
    }

    /// The id of a pod's container, which runs.
    pub(super) fn running(&self, name: &str) -> Result<String> {
        let status = self.status(name)?;
        let container = &status["containerStatuses"][0];
        let id = container["containerID"].as_str();
        match id.and_then(|id| id.strip_prefix("containerd://")) {
            Some(id) if container["state"]["running"].is_object() => Ok(id.to_owned()),
            _ => bail!("{name} does not run: {status}"),
        }
    }

    /// Waits until a pod was refused, and gives the reason.
    pub(super) fn until_refused(&mut self, name: &str) -> Result<String> {
        self.until(|node| {
            let status = node.status(name)?;
            ensure!(status["phase"] == "Failed", "{name}: {status}");
            Ok(format!("{}: {}", status["reason"], status["message"]))
        })
    }

    /// What a pod's container sees of devices, and of those with these numbers.
    pub(super) fn seen_by(&self, name: &str, tries: &[&str]) -> Result<Seen> {
        let id = self.running(name)?;
        let words = ["tasks", "exec", "--exec-id", "look", &id, INSIDE, "see"];
        let output = ctr(&self.view, &self.containerd, &[&words[..], tries].concat())?;
        Seen::parse(&output)
    }

    /// What pods have by the kubelet's PodResources API, their names without the node's.
    pub(super) fn held(&self) -> Result<Vec<(String, ByResource)>> {
        let held = self.resources().held()?.into_iter();
        let suffix = format!("-{NAME}");
        held.map(|(pod, devices)| {
            let pod = pod.strip_suffix(&suffix).context("a static pod")?;
            Ok((pod.to_owned(), devices))
        })
        .collect()
    }
}

/// All devices.
pub(super) fn all() -> ByResource {
    let set = |ids: [&str; 2]| ids.map(str::to_owned).into();
    [
        (GPU.to_owned(), set(["0000:00:02.0", "0000:03:00.0"])),
        (NPU.to_owned(), set(["0000:00:0b.0::0", "0000:00:0b.0::1"])),
    ]
    .into()
}

/// Starts containerd as the kubelet's runtime.
fn containerd(view: &View) -> Result<Keeper> {
    let folder = own_folder("node-containerd")?;
    let at = |name: &str| folder.join(name).display().to_string();
    let socket = socket(&folder);
    // Without CAP_SYS_RESOURCE no process can be made less likely to be killed than it is.
    let text = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\n[grpc]\n  address = {:?}\n\
         [plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = {:?}\n  restrict_oom_score_adj = true\n",
        at("root"),
        at("state"),
        socket.display().to_string(),
        probe::PAUSE,
    );
    fs::write(at("config.toml"), text)?;
    let mut command = view.words();
    command.extend(["containerd", "--config"].map(str::to_owned));
    command.push(at("config.toml"));
    let keeper = Keeper::start(&folder, &command, &[], &socket)?;
    for archive in [probe::image()?, probe::pause()?] {
        let archive = archive.display().to_string();
        ctr(view, &keeper, &["images", "import", &archive])?;
    }
    Ok(keeper)
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("containerd.sock")
}

fn ctr(view: &View, containerd: &Keeper, arguments: &[&str]) -> Result<String> {
    let words = view.words();
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .args(["ctr", "--namespace", NAMESPACE, "--address"])
        .arg(socket(containerd.folder()))
        .args(arguments);
    said(&mut command).with_context(|| {
        let log = containerd.log_end();
        format!("containerd's log ends with:\n{log}")
    })
}

/// The kubelet's configuration, `kubelet.config.k8s.io/v1beta1`.
fn settings(view: &View, runtime: &Path) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "staticPodPath": view.folder.join("manifests"),
        "fileCheckFrequency": "2s",
        "containerRuntimeEndpoint": format!("unix://{}", runtime.display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", view.cgroup),
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "makeIPTablesUtilChains": false,
        "address": "127.0.0.1",
        "readOnlyPort": 10255,
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "evictionHard": {"memory.available": "20Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "resolvConf": "",
    })
}
