//! Where engines are looked for.

use super::{EngineKind, Source};
use crate::host::HostRoot;
use crate::parties::PartiesOptions;
use crate::parties::shared::Shared;
use std::collections::HashSet;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The places of root's engines. `/var/run` is `/run` everywhere today.
const SOCKETS: &[(EngineKind, &str)] = &[
    (EngineKind::Docker, "/run/docker.sock"),
    (EngineKind::Podman, "/run/podman/podman.sock"),
    (EngineKind::Containerd, "/run/containerd/containerd.sock"),
    (EngineKind::Cri, "/run/containerd/containerd.sock"),
    (EngineKind::Cri, "/run/crio/crio.sock"),
    (
        EngineKind::Containerd,
        "/run/k3s/containerd/containerd.sock",
    ),
    (EngineKind::Cri, "/run/k3s/containerd/containerd.sock"),
];

/// Those of a user, below `/run/user/UID`.
const USER_SOCKETS: &[(EngineKind, &str)] = &[
    (EngineKind::Docker, "docker.sock"),
    (EngineKind::Podman, "podman/podman.sock"),
];

/// Another address of containerd.
const CONTAINERD_VARIABLE: &str = "DUNNAGE_CONTAINERD_SOCKET";

/// More users with engines than any sensible host has.
const MOST_USERS: usize = 64;

/// Finds engines, at the start and again later.
pub(super) struct Finder {
    root: HostRoot,
    options: PartiesOptions,
    shared: Arc<Shared>,
    seen: HashSet<(EngineKind, PathBuf)>,
    users: HashSet<u32>,
}

impl Finder {
    pub(super) fn new(root: HostRoot, options: PartiesOptions, shared: Arc<Shared>) -> Finder {
        Finder {
            root,
            options,
            shared,
            seen: HashSet::new(),
            users: HashSet::new(),
        }
    }

    /// The sources that were not found before.
    pub(super) fn find(&mut self) -> Vec<Source> {
        let is_first = self.seen.is_empty();
        let mut found = Vec::new();
        let users = self.users_with_sessions();
        if is_first {
            self.add(&mut found, EngineKind::Runc, None, self.root.path("/run"));
        }
        for &user in &users {
            let folder = self.root.path(format!("/run/user/{user}"));
            self.add(
                &mut found,
                EngineKind::Runc,
                (user != 0).then_some(user),
                folder,
            );
        }
        let given = self.options.sockets.clone().unwrap_or_default();
        // A folder of states replaces no engine.
        let replaces = self.options.sockets.is_some()
            && (given.is_empty() || given.iter().any(|(kind, _)| *kind != EngineKind::Runc));
        if is_first {
            for (kind, path) in given {
                self.add(&mut found, kind, None, path);
            }
        }
        if self.options.engines && !replaces {
            self.find_sockets(&mut found, is_first, &users);
        }
        found
    }

    fn find_sockets(&mut self, found: &mut Vec<Source>, is_first: bool, users: &[u32]) {
        if is_first {
            for (kind, path) in SOCKETS {
                // Rare places are named in the health only where there is something.
                let path = self.root.path(path);
                if !path.to_string_lossy().contains("k3s") || is_socket(&path) {
                    self.add(found, *kind, None, path);
                }
            }
            for (kind, path) in named_in_environment() {
                self.add(found, kind, None, self.root.path(&path));
            }
        }
        for &user in users {
            for (kind, name) in USER_SOCKETS {
                let path = self.root.path(format!("/run/user/{user}/{name}"));
                if is_socket(&path) {
                    self.add(found, *kind, (user != 0).then_some(user), path);
                }
            }
        }
    }

    fn add(&mut self, found: &mut Vec<Source>, kind: EngineKind, user: Option<u32>, path: PathBuf) {
        if !self.seen.insert((kind, path.clone())) {
            return;
        }
        found.push(Source {
            kind,
            registered: self.shared.register(kind, user, path.clone()),
            path,
            timeout: self.options.timeout,
            root: self.root.clone(),
            shared: Arc::clone(&self.shared),
        });
    }

    /// The users below `/run/user`.
    fn users_with_sessions(&mut self) -> Vec<u32> {
        let Ok(folder) = std::fs::read_dir(self.root.path("/run/user")) else {
            return Vec::new();
        };
        for entry in folder.flatten().take(4096) {
            let uid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(uid) = uid
                && self.users.len() < MOST_USERS
            {
                self.users.insert(uid);
            }
        }
        self.users.iter().copied().collect()
    }
}

fn named_in_environment() -> Vec<(EngineKind, String)> {
    let mut found = Vec::new();
    if let Ok(address) = std::env::var("DOCKER_HOST")
        && let Some(path) = address.strip_prefix("unix://")
    {
        found.push((EngineKind::Docker, path.to_owned()));
    }
    if let Ok(path) = std::env::var(CONTAINERD_VARIABLE) {
        found.push((EngineKind::Containerd, path.clone()));
        found.push((EngineKind::Cri, path));
    }
    found
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}
