//! State folders of the OCI runtimes: who is known where no engine runs, or a path is free text.
//!
//! - runc: `ROOT/<id>/state.json` (`libcontainer/container_linux.go`, type `State`), with `ROOT`
//!   `/run/runc`, below containerd `/run/containerd/runc/<namespace>`, below Docker
//!   `/run/docker/runtime-runc/moby`;
//! - crun: `ROOT/<id>/status` (`src/libcrun/status.c`), with `ROOT` `/run/crun`;
//! - containerd's bundles: `io.containerd.runtime.v2.task/<namespace>/<id>/{config.json,init.pid}`;
//! - the same below `/run/user/UID` for a user's own.
//!
//! Folders are only listed again when somebody asks; a file is read once in a container's life. No
//! symbolic link is followed: what lies below `/run/user` is in the hands of that user.

use super::{Failure, Source, placement};
use crate::parties::bounds;
use crate::parties::names::Known;
use dunnage_model::party::Pod;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{DirEntryExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One state file.
const FILE_LIMIT: u64 = 4 << 20;
/// All that is read in one round; the rest comes with the next.
const ROUND_LIMIT: u64 = 256 << 20;
/// Containers of one folder.
const MOST: usize = 10_000;
/// Namespaces of one folder.
const MOST_NAMESPACES: usize = 64;
/// How often the folders are listed although nobody asked.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

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
    loop {
        let round = source.shared.wanted(source.registered.id);
        if folders.look(source) {
            source.shared.replace(source.registered.id, folders.known());
        }
        source.shared.answered(source.registered.id, round);
        tokio::select! {
            () = source.registered.wake.notified() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// The containers' folders as they were last seen.
#[derive(Default)]
struct Folders {
    seen: HashMap<PathBuf, Seen>,
    rounds: u64,
}

struct Seen {
    inode: u64,
    round: u64,
    /// `None` where the file says nothing of use.
    known: Option<Known>,
}

impl Folders {
    fn known(&self) -> Vec<Known> {
        self.seen
            .values()
            .filter_map(|seen| seen.known.clone())
            .collect()
    }

    /// Lists the folders, reads what is new, forgets what is gone. Says whether anything changed.
    fn look(&mut self, source: &Source) -> bool {
        self.rounds += 1;
        let mut changed = false;
        let mut left = ROUND_LIMIT;
        for (folder, form) in places(source) {
            for (name, inode) in subfolders(&folder, MOST) {
                let path = folder.join(&name);
                if let Some(seen) = self.seen.get_mut(&path).filter(|seen| seen.inode == inode) {
                    seen.round = self.rounds;
                    continue;
                }
                let mut reader = Reader {
                    base: &source.path,
                    left: &mut left,
                };
                // A file that is not there yet is looked for again the next time.
                let Ok(known) = read_container(source, &mut reader, &path, &name, form) else {
                    continue;
                };
                changed = true;
                self.seen.insert(
                    path,
                    Seen {
                        inode,
                        round: self.rounds,
                        known,
                    },
                );
            }
        }
        let before = self.seen.len();
        self.seen.retain(|_, seen| seen.round == self.rounds);
        changed || self.seen.len() != before
    }
}

/// The folders that hold containers' folders.
fn places(source: &Source) -> Vec<(PathBuf, Form)> {
    let base = &source.path;
    let is_runtime_folder = *base == source.root.path("/run")
        || base.parent() == Some(source.root.path("/run/user").as_path());
    if !is_runtime_folder {
        return vec![(base.clone(), Form::State)];
    }
    let mut places = Vec::new();
    for (place, form) in PLACES {
        match place.strip_suffix("/*") {
            None => places.push((base.join(place), *form)),
            Some(parent) => {
                let parent = base.join(parent);
                let namespaces = subfolders(&parent, MOST_NAMESPACES);
                places.extend(
                    namespaces
                        .into_iter()
                        .map(|(name, _)| (parent.join(name), *form)),
                );
            }
        }
    }
    places
}

/// Names and inodes of the folders in a folder; nothing where it is none, or a link to one.
fn subfolders(folder: &Path, most: usize) -> Vec<(String, u64)> {
    if !std::fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()) {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let named =
        |entry: std::fs::DirEntry| Some((entry.file_name().into_string().ok()?, entry.ino()));
    entries
        .flatten()
        .filter(is_folder)
        .filter_map(named)
        .take(most)
        .collect()
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
        let config = reader.read(&folder.join("config.json"))?;
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
        Ok(state) => runc(&state, engine_of(folder)),
        Err(_) => crun(&reader.read(&folder.join("status"))?),
    };
    Ok(found.map(|known| placed(known, folder, id)))
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

/// Reads regular files below a folder, following no link.
struct Reader<'a> {
    base: &'a Path,
    left: &'a mut u64,
}

impl Reader<'_> {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        if *self.left == 0 {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let file = open(self.base, path)?;
        // A fifo would keep us waiting, a device could do anything.
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        *self.left = self.left.saturating_sub(length);
        if length > FILE_LIMIT {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            Ok(bytes)
        }
    }
}

fn open(base: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let below = path
        .strip_prefix(base)
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH);
    match openat2(File::open(base)?, below, how) {
        Ok(descriptor) => Ok(File::from(descriptor)),
        // Before Linux 5.6 only the last part can be guarded without a race.
        Err(Errno::ENOSYS) => {
            let no_link = (flags | OFlag::O_NOFOLLOW).bits();
            std::fs::OpenOptions::new()
                .read(true)
                .custom_flags(no_link)
                .open(path)
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests;
