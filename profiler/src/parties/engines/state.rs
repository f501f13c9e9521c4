//! State folders of the OCI runtimes: who is known where no engine runs, or a path is free text.
//!
//! - runc: `ROOT/<id>/state.json` (`libcontainer/container_linux.go`, type `State`), with `ROOT`
//!   `/run/runc`, below containerd `/run/containerd/runc/<namespace>`, below Docker
//!   `/run/docker/runtime-runc/moby`;
//! - crun: `ROOT/<id>/status` (`src/libcrun/status.c`), with `ROOT` `/run/crun`;
//! - containerd's bundles: `io.containerd.runtime.v2.task/<namespace>/<id>/{config.json,init.pid}`;
//! - the same below `/run/user/UID` for a user's own.
//!
//! A folder is listed again when it has changed, a file is read once in a container's life. No
//! symbolic link is followed: what lies below `/run/user` is in the hands of that user.

mod folders;
mod reader;
mod watch;

use super::{Failure, Source, placement};
use crate::parties::bounds;
use crate::parties::names::Known;
use dunnage_model::party::Pod;
use folders::Folders;
use reader::Reader;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::Duration;
use watch::Watch;

/// How often the folders are looked at although nothing tells of a change.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The same where the kernel gives no watch: a container that lives shorter has no name. Where nothing
/// changes it costs a dozen calls of stat(2).
const LOOK_UNWATCHED: Duration = Duration::from_millis(200);
/// How soon a folder is looked at again whose state is not written yet.
const LOOK_SOON: Duration = Duration::from_millis(20);

/// What lies in a container's folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// runc's or crun's state.
    State,
    /// containerd's bundle.
    Bundle,
}

/// Folders of containers below `/run` and `/run/user/UID`; `*` is a namespace.
const PLACES: &[(&str, Form)] = &[
    ("runc", Form::State),
    ("crun", Form::State),
    ("docker/runtime-runc/moby", Form::State),
    ("containerd/runc/*", Form::State),
    ("containerd/io.containerd.runtime.v2.task/*", Form::Bundle),
    (
        "docker/containerd/daemon/io.containerd.runtime.v2.task/*",
        Form::Bundle,
    ),
    (
        "k3s/containerd/io.containerd.runtime.v2.task/*",
        Form::Bundle,
    ),
];

#[derive(Deserialize)]
struct RuncState {
    #[serde(default)]
    cgroup_paths: HashMap<String, String>,
    #[serde(default)]
    config: RuncConfig,
}

#[derive(Default, Deserialize)]
struct RuncConfig {
    /// Annotations as `key=value`, and `bundle=PATH`.
    #[serde(default)]
    labels: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct CrunStatus {
    #[serde(default, rename = "cgroup-path")]
    cgroup_path: String,
}

#[derive(Deserialize)]
struct BundleConfig {
    #[serde(default)]
    linux: Option<BundleLinux>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
struct BundleLinux {
    #[serde(default, rename = "cgroupsPath")]
    cgroups_path: String,
}

pub(super) async fn session(source: &Source) -> Result<Infallible, Failure> {
    let mut folders = Folders::default();
    let mut watch = Watch::new();
    loop {
        if let Some(watch) = &mut watch {
            // Followed before it is looked at, so that nothing falls in between.
            watch.follow(folders.followed(source));
        }
        let round = source.shared.wanted(source.registered.id);
        if folders.look(source) {
            source.shared.replace(source.registered.id, folders.known());
        }
        source.shared.answered(source.registered.id, round);
        let pause = match &watch {
            _ if folders.is_waiting() => LOOK_SOON,
            Some(_) => LOOK_AGAIN,
            None => LOOK_UNWATCHED,
        };
        tokio::select! {
            () = source.registered.wake.notified() => {}
            () = changed(watch.as_ref()) => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// `Err` where the file cannot be read (yet), `None` where it says nothing of use.
fn read_container(
    source: &Source,
    reader: &mut Reader<'_>,
    folder: &Path,
    id: &str,
    form: Form,
) -> io::Result<Option<Known>> {
    if form == Form::Bundle {
        let config = whole(reader.read(&folder.join("config.json"))?)?;
        let pid = reader
            .read(&folder.join("init.pid"))
            .ok()
            .and_then(|text| placement::pid(&text));
        let namespace = folder
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        let cgroups = |path: &str| placement::cgroups(&source.root, path, id, pid);
        return Ok(
            bundle(&config, namespace.unwrap_or_default(), cgroups).map(|k| placed(k, folder, id))
        );
    }
    let found = match reader.read(&folder.join("state.json")) {
        Ok(state) => runc(&whole(state)?, engine_of(folder)),
        Err(_) => crun(&whole(reader.read(&folder.join("status"))?)?),
    };
    Ok(found.map(|known| placed(known, folder, id)))
}

/// The JSON text, unless it is still being written.
fn whole(text: Vec<u8>) -> io::Result<Vec<u8>> {
    match serde_json::from_slice::<IgnoredAny>(&text) {
        Err(error) if error.is_eof() => Err(error.into()),
        _ => Ok(text),
    }
}

fn placed(known: Known, folder: &Path, id: &str) -> Known {
    Known {
        key: folder.to_string_lossy().into_owned(),
        id: bounds::name(id),
        ..known
    }
}

/// Docker and containerd keep runc's states in folders of their own.
fn engine_of(folder: &Path) -> &'static str {
    let folder = folder.to_string_lossy();
    if folder.contains("/docker/runtime-runc/") || folder.contains("/containerd/runc/moby/") {
        "docker"
    } else if folder.contains("/containerd/runc/") {
        "containerd"
    } else {
        "runc"
    }
}

fn runc(text: &[u8], engine: &str) -> Option<Known> {
    let state: RuncState = serde_json::from_slice(text).ok()?;
    let is_hybrid = state
        .cgroup_paths
        .keys()
        .any(|controller| !controller.is_empty());
    let mut cgroups: Vec<String> = state
        .cgroup_paths
        .iter()
        .filter_map(|(controller, path)| below_mount(controller, path, is_hybrid))
        .collect();
    cgroups.sort_unstable();
    cgroups.dedup();
    let labels = state.config.labels.unwrap_or_default();
    let annotations: BTreeMap<String, String> = labels
        .iter()
        .filter_map(|label| label.split_once('='))
        .filter(|(key, _)| *key != "bundle")
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Some(described(engine, &annotations, cgroups))
}

/// runc writes whole paths, mount point included: `/sys/fs/cgroup/cpu/x`, on pure v2 with an empty
/// controller `/sys/fs/cgroup/x`, on hybrid hosts `/sys/fs/cgroup/unified/x`.
fn below_mount(controller: &str, path: &str, is_hybrid: bool) -> Option<String> {
    let below = path.strip_prefix("/sys/fs/cgroup/")?;
    let own = if controller.is_empty() && !is_hybrid {
        below
    } else {
        below.split_once('/')?.1
    };
    let own = own.trim_matches('/');
    (!own.is_empty()).then(|| format!("/{own}"))
}

fn crun(text: &[u8]) -> Option<Known> {
    let status: CrunStatus = serde_json::from_slice(text).ok()?;
    let path = status.cgroup_path.trim_matches('/');
    // With systemd crun puts the processes one level below the scope that it owns.
    let path = path
        .strip_suffix("/container")
        .filter(|s| s.ends_with(".scope"))
        .unwrap_or(path);
    let cgroups = if path.is_empty() {
        Vec::new()
    } else {
        vec![format!("/{path}")]
    };
    Some(described("crun", &BTreeMap::new(), cgroups))
}

fn bundle(text: &[u8], namespace: &str, cgroups: impl Fn(&str) -> Vec<String>) -> Option<Known> {
    let config: BundleConfig = serde_json::from_slice(text).ok()?;
    let engine = if namespace == "moby" {
        "docker"
    } else {
        "containerd"
    };
    let path = config.linux.unwrap_or_default().cgroups_path;
    Some(described(
        engine,
        &config.annotations.unwrap_or_default(),
        cgroups(&path),
    ))
}

/// What the annotations of the kubelet's runtimes tell: `pkg/cri/annotations` of containerd,
/// `pkg/annotations` of CRI-O.
fn described(engine: &str, annotations: &BTreeMap<String, String>, cgroups: Vec<String>) -> Known {
    let either = |containerd: &str, crio: &str| {
        let found = annotations.get(&format!("io.kubernetes.cri.{containerd}"));
        found
            .or_else(|| annotations.get(crio))
            .map(|value| bounds::name(value))
    };
    let kind = either("container-type", "io.kubernetes.cri-o.ContainerType");
    let container = match kind.as_deref() {
        Some("sandbox") => Some(super::cri::SANDBOX.to_owned()),
        _ => either("container-name", "io.kubernetes.container.name"),
    };
    let pod = either("sandbox-name", "io.kubernetes.pod.name").map(|name| Pod {
        namespace: either("sandbox-namespace", "io.kubernetes.pod.namespace"),
        name: Some(name),
        container: container.clone(),
        uid: either("sandbox-uid", "io.kubernetes.pod.uid"),
    });
    Known {
        engine: Some(engine.to_owned()),
        name: if pod.is_some() { container } else { None },
        image: either("image-name", "io.kubernetes.cri-o.ImageName")
            .map(|image| bounds::image(&image)),
        labels: bounds::labels(annotations.iter()),
        pod,
        cgroups,
        ..Known::default()
    }
}

#[cfg(test)]
mod tests;
