//! containerd inside the rack's view as a kubelet uses it: a pod, and containers in it, by the CRI.
//!
//! The options of a container are what a kubelet has of a device plugin, in words: `--cdi=NAME`,
//! `--annotation=KEY=VALUE`, `--device=HOST:INSIDE:PERMISSIONS`, `--mount=HOST:INSIDE:ro|rw`,
//! `--env=KEY=VALUE`; and what the pod itself says: `--user=UID:GID`, `--group=GID`.

use super::messages::{
    AskImage, Container, ContainerMetadata, Create, Device, EXITED, Execute, Executed, Id, Image,
    ImageStatus, KeyValue, Linux, LinuxSandbox, Metadata, Mount, Namespaces, Nothing, Number,
    Resources, RunSandbox, SandboxConfig, SandboxSecurity, Security, Status, Update,
};
use crate::grpc;
use anyhow::{Context, Result, bail, ensure};
use dunnage_tests::engine::said;
use dunnage_tests::keeper::{Keeper, own_folder};
use dunnage_tests::machine::patience;
use dunnage_tests::probe::{self, INSIDE, Seen};
use dunnage_tests::rack::Rack;
use dunnage_tests::rack::engines::{Runs, containerd_socket, path_with};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where containerd keeps what comes by the CRI.
const NAMESPACE: &str = "k8s.io";
/// Between two looks at something that takes longer than this.
const LOOK: Duration = Duration::from_millis(20);

/// How config.toml is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// That of containerd 1.7, which 2 reads too.
    Version2,
    /// That of containerd 2.
    Version3,
}

/// The daemon, and one pod.
pub(super) struct Cri<'r> {
    rack: &'r Rack,
    keeper: Keeper,
    path: String,
    name: String,
    sandbox: String,
    pod: SandboxConfig,
    /// What was kept: its name, its id and what it was made of.
    kept: RefCell<Vec<(String, String, Container)>>,
}

/// config.toml: what `dunnage-devices docker` says of CDI in it, with a root of our own.
fn settings(rack: &Rack, form: Form, folder: &Path) -> Result<String> {
    let document = rack.devices(&["docker", "--device", "intel.com/gpu=0"])?;
    let told = document["containerd_config"].as_str();
    let told = told.context("containerd_config is text")?;
    let (old, new) = told
        .split_once("# containerd 2.0 and later")
        .context("a part for containerd 2")?;
    let at = |name: &str| folder.join(name).display().to_string();
    // Without CAP_SYS_RESOURCE no process can be made less likely to be killed than it is. NRI would
    // listen at a place of the machine.
    let (version, cdi, pause) = match form {
        Form::Version2 => (
            "version = 2",
            old.replace("# containerd 1.7\n", ""),
            format!("  sandbox_image = {:?}\n", probe::PAUSE),
        ),
        Form::Version3 => (
            "version = 3",
            new.lines()
                .skip(1)
                .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
                .collect(),
            format!(
                "[plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = {:?}\n",
                probe::PAUSE
            ),
        ),
    };
    let cdi = cdi
        .strip_prefix(version)
        .with_context(|| format!("the part begins with {version}: {cdi}"))?
        .trim_end();
    Ok(format!(
        "{version}\nroot = {:?}\nstate = {:?}\n[grpc]\n  address = {:?}\n\
         [plugins.'io.containerd.nri.v1.nri']\n  disable = true\n\
         {cdi}\n  restrict_oom_score_adj = true\n{pause}",
        at("root"),
        at("state"),
        containerd_socket(folder).display().to_string(),
    ))
}

impl<'r> Cri<'r> {
    /// Starts a containerd of an unpacked tree and a pod.
    pub(super) fn start(rack: &'r Rack, tree: &Path, form: Form, name: &str) -> Result<Self> {
        let folder = own_folder(name)?;
        let config = folder.join("config.toml");
        fs::write(&config, settings(rack, form, &folder)?)?;
        let path = path_with(Some(tree));
        let mut command = rack.words();
        command
            .extend(["env", &format!("PATH={path}"), "containerd", "--config"].map(str::to_owned));
        command.push(config.display().to_string());
        let socket = containerd_socket(&folder);
        let keeper = Keeper::start(&folder, &command, &[], &socket)?;
        let pod = SandboxConfig {
            metadata: Some(Metadata {
                name: "dn-pod".to_owned(),
                uid: "dn-pod-uid".to_owned(),
                namespace: "default".to_owned(),
            }),
            log_directory: folder.join("logs").display().to_string(),
            linux: Some(LinuxSandbox {
                cgroup_parent: "/dunnage-tests".to_owned(),
                security: Some(SandboxSecurity {
                    namespaces: Some(Namespaces::of_the_node_alone()),
                }),
            }),
        };
        let mut cri = Cri {
            rack,
            keeper,
            path,
            name: name.to_owned(),
            sandbox: String::new(),
            pod,
            kept: RefCell::default(),
        };
        cri.until_it_answers()?;
        for (archive, image) in [
            (probe::image()?, probe::IMAGE),
            (probe::pause()?, probe::PAUSE),
        ] {
            cri.import(&archive, image)?;
        }
        let run = RunSandbox {
            config: Some(cri.pod.clone()),
        };
        cri.sandbox = cri
            .ask::<_, Id>("/runtime.v1.RuntimeService/RunPodSandbox", run)?
            .id;
        Ok(cri)
    }

    fn ask<Q, A>(&self, call: &'static str, request: Q) -> Result<A>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let socket = containerd_socket(self.keeper.folder());
        grpc::ask(&socket, call, request, patience())
            .with_context(|| format!("containerd's log ends with:\n{}", self.keeper.log_end()))
    }

    fn tell(&self, call: &'static str, request: impl prost::Message + 'static) -> Result<()> {
        self.ask::<_, Nothing>(call, request).map(drop)
    }

    /// Looks until what is looked for is there.
    fn until<T>(look: impl Fn() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            match look() {
                Ok(found) => return Ok(found),
                Err(error) if start.elapsed() > patience() => {
                    return Err(error.context(format!("after {:?}", patience())));
                }
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// It listens before it has found again what it had.
    fn until_it_answers(&self) -> Result<()> {
        Self::until(|| self.tell("/runtime.v1.RuntimeService/Version", Nothing {}))
    }

    /// Imports an image, and waits until the CRI has heard of it.
    fn import(&self, archive: &Path, image: &str) -> Result<()> {
        let mut command = self.rack.command("ctr");
        command
            .env("PATH", &self.path)
            .arg("--address")
            .arg(containerd_socket(self.keeper.folder()))
            .args(["--namespace", NAMESPACE, "images", "import"])
            .arg(archive);
        said(&mut command)?;
        let request = AskImage {
            image: Some(Image {
                image: image.to_owned(),
            }),
        };
        Self::until(|| {
            let status: ImageStatus =
                self.ask("/runtime.v1.ImageService/ImageStatus", request.clone())?;
            status.image.map(drop).context("no such image")
        })
    }

    /// Creates and starts a container, and gives its id.
    fn begin(&self, container: Container) -> Result<String> {
        let create = Create {
            sandbox: self.sandbox.clone(),
            container: Some(container),
            sandbox_config: Some(self.pod.clone()),
        };
        let created: Id = self.ask("/runtime.v1.RuntimeService/CreateContainer", create)?;
        self.tell("/runtime.v1.RuntimeService/StartContainer", created.clone())?;
        Ok(created.id)
    }

    /// Waits until a container has ended by itself.
    fn until_it_ended(&self, id: &str) -> Result<()> {
        Self::until(|| {
            let id = Id { id: id.to_owned() };
            let answer: Status = self.ask("/runtime.v1.RuntimeService/ContainerStatus", id)?;
            let state = answer.status.context("a status")?.state;
            ensure!(state == EXITED, "it is in state {state}");
            Ok(())
        })
    }

    /// Kills and forgets a container.
    fn end(&self, id: &str) -> Result<()> {
        let id = Id { id: id.to_owned() };
        // Without a period of grace.
        self.tell("/runtime.v1.RuntimeService/StopContainer", id.clone())?;
        self.tell("/runtime.v1.RuntimeService/RemoveContainer", id)
    }

    fn id_of(&self, name: &str) -> Result<String> {
        let kept = self.kept.borrow();
        let found = kept.iter().find(|(kept, ..)| kept == name);
        Ok(found.with_context(|| format!("no {name}"))?.1.clone())
    }

    fn log(&self, name: &str) -> PathBuf {
        Path::new(&self.pod.log_directory).join(log_of(name))
    }
}

impl Drop for Cri<'_> {
    fn drop(&mut self) {
        let id = Id {
            id: self.sandbox.clone(),
        };
        let ended = self
            .tell("/runtime.v1.RuntimeService/StopPodSandbox", id.clone())
            .and_then(|()| self.tell("/runtime.v1.RuntimeService/RemovePodSandbox", id));
        if let Err(error) = ended {
            eprintln!("ending the pod of {}: {error:#}", self.name);
        }
    }
}

fn log_of(name: &str) -> String {
    format!("{name}.log")
}

/// A container with these options.
fn container(name: &str, options: &[String], arguments: &[&str]) -> Result<Container> {
    let mut made = Container {
        metadata: Some(ContainerMetadata {
            name: name.to_owned(),
            attempt: 0,
        }),
        image: Some(Image {
            image: probe::IMAGE.to_owned(),
        }),
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        log_path: log_of(name),
        ..Container::default()
    };
    let mut security = Security {
        namespaces: Some(Namespaces::of_the_node_alone()),
        ..Security::default()
    };
    for option in options {
        let (key, value) = option
            .split_once('=')
            .with_context(|| format!("an option with a value, not {option:?}"))?;
        let mut parts = value.split(':').map(str::to_owned);
        let mut part = || parts.next().with_context(|| format!("{option:?} is short"));
        let pair = || {
            let (key, value) = value.split_once('=').context("KEY=VALUE")?;
            anyhow::Ok((key.to_owned(), value.to_owned()))
        };
        match key {
            "--cdi" => made.cdi_devices.push(Id {
                id: value.to_owned(),
            }),
            "--annotation" => made.annotations.extend([pair()?]),
            "--env" => {
                let (key, value) = pair()?;
                made.environment.push(KeyValue { key, value });
            }
            "--device" => made.devices.push(Device {
                host_path: part()?,
                container_path: part()?,
                permissions: part()?,
            }),
            "--mount" => made.mounts.push(Mount {
                host_path: part()?,
                container_path: part()?,
                read_only: part()? == "ro",
            }),
            "--user" => {
                let mut number = || {
                    anyhow::Ok(Some(Number {
                        value: part()?.parse()?,
                    }))
                };
                security.user = number()?;
                security.group = number()?;
            }
            "--group" => security.groups.push(value.parse()?),
            other => bail!("no option {other}"),
        }
    }
    made.linux = Some(Linux {
        resources: Some(Resources {
            cpu_shares: 1024,
            memory_bytes: 64 << 20,
        }),
        security: Some(security),
    });
    Ok(made)
}

impl Runs for Cri<'_> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn once(&self, options: &[String], arguments: &[&str]) -> Result<String> {
        let arguments = [&["see"], arguments].concat();
        let log = self.log("dn-once");
        let id = self.begin(container("dn-once", options, &arguments)?)?;
        self.until_it_ended(&id)?;
        let written = Self::until(|| {
            let text = fs::read_to_string(&log)?;
            // Each line has a time, a stream and whether it is whole in front.
            let lines = text
                .lines()
                .filter_map(|line| line.split_once(" stdout F "));
            let report: Vec<&str> = lines.map(|(_, line)| line).collect();
            let report = report.join("\n");
            Seen::parse(&report).map(|_| report)
        });
        self.end(&id)?;
        let _ = fs::remove_file(log);
        written
    }

    fn keep(&self, name: &str, options: &[String]) -> Result<()> {
        let made = container(name, options, &["wait"])?;
        let id = self.begin(made.clone())?;
        self.kept.borrow_mut().push((name.to_owned(), id, made));
        Ok(())
    }

    fn inside(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let command = [&[INSIDE, "see"], arguments].concat();
        let execute = Execute {
            container: self.id_of(name)?,
            command: command.into_iter().map(str::to_owned).collect(),
            patience_seconds: i64::try_from(patience().as_secs())?,
        };
        let done: Executed = self.ask("/runtime.v1.RuntimeService/ExecSync", execute)?;
        let said = String::from_utf8(done.stdout)?;
        ensure!(
            done.exit_code == 0,
            "status {}: {said}{}",
            done.exit_code,
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(said)
    }

    /// A kubelet does not restart a container: it ends it and makes the next.
    fn disturb(&self, name: &str) -> Result<()> {
        self.end(&self.id_of(name)?)?;
        for (kept, id, made) in self.kept.borrow_mut().iter_mut() {
            if kept == name {
                let metadata = made.metadata.as_mut().context("it has a name")?;
                metadata.attempt += 1;
                *id = self.begin(made.clone())?;
            }
        }
        let update = Update {
            container: self.id_of(name)?,
            resources: Some(Resources {
                cpu_shares: 512,
                memory_bytes: 128 << 20,
            }),
        };
        self.tell(
            "/runtime.v1.RuntimeService/UpdateContainerResources",
            update,
        )
    }

    fn lose_the_daemon(&self, _name: &str) -> Result<()> {
        self.keeper.kill_and_start()?;
        self.until_it_answers()
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.end(&self.id_of(name)?)?;
        self.kept.borrow_mut().retain(|(kept, ..)| kept != name);
        Ok(())
    }
}
