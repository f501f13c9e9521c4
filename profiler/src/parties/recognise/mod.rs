//! Who owns a cgroup, as far as its path alone can tell. Pure: no file is read here.
//!
//! A recogniser looks at one part of the path. The parts are tried from the root downwards and the
//! first one that is a container wins, so the outermost container owns everything below itself: a
//! container may make cgroups beneath its own and call them what it likes, it cannot take somebody
//! else's name with that.
//!
//! To add an engine, add a file with its recogniser and a line to [`RECOGNISERS`].

mod cri;
mod docker;
mod lxc;
mod nspawn;
mod others;
mod podman;
mod systemd;

pub(crate) use systemd::{owner, slice_path, unit};

/// Longest prefix of a path that is looked at: the kernel's own `PATH_MAX`.
const LONGEST_PATH: usize = 4096;

/// What the kernel appends in `/proc/PID/cgroup` to the path of a cgroup that is gone.
const DELETED: &str = " (deleted)";

/// One form of path, one engine. The order matters only where two match the same part: pods know
/// more than the engine below them.
const RECOGNISERS: &[fn(Part<'_>) -> Option<Match>] = &[
    cri::recognise,
    podman::recognise,
    docker::recognise,
    lxc::recognise,
    nspawn::recognise,
    others::recognise,
];

/// A container found on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The engine, where the path tells it.
    pub engine: Option<&'static str>,
    /// The container's id as the path shows it.
    pub id: String,
    /// How many bytes of the path are the container's own cgroup.
    pub root_len: usize,
    /// The uid of the pod that it belongs to, with dashes.
    pub pod_uid: Option<String>,
}

/// What a recogniser says of a part of the path.
#[derive(Debug, PartialEq, Eq)]
struct Match {
    engine: Option<&'static str>,
    id: String,
    pod_uid: Option<String>,
}

impl Match {
    fn new(engine: &'static str, id: impl Into<String>) -> Match {
        Match {
            engine: Some(engine),
            id: id.into(),
            pod_uid: None,
        }
    }
}

/// One part of a path, with those above it.
#[derive(Clone, Copy)]
struct Part<'a> {
    parts: &'a [&'a str],
    at: usize,
}

impl<'a> Part<'a> {
    /// The part itself.
    fn name(self) -> &'a str {
        self.parts[self.at]
    }

    /// The part `levels` above, empty where there is none.
    fn above(self, levels: usize) -> &'a str {
        self.at.checked_sub(levels).map_or("", |i| self.parts[i])
    }
}

/// The outermost container on `path`; `None` where no part of it looks like one.
///
/// `path` is a path of `/proc/PID/cgroup` as the host shows it. A ` (deleted)` at its end and `..`
/// at its start (a process outside the reader's cgroup namespace) are understood.
#[must_use]
pub fn recognise(path: &str) -> Option<Recognised> {
    let (parts, ends) = parts(path);
    (0..parts.len()).find_map(|at| {
        let part = Part { parts: &parts, at };
        let found = RECOGNISERS.iter().find_map(|recogniser| recogniser(part))?;
        Some(Recognised {
            engine: found.engine,
            id: found.id,
            root_len: ends[at],
            pod_uid: found.pod_uid,
        })
    })
}

/// The parts of a path between slashes, and where in the path each one ends.
fn parts(path: &str) -> (Vec<&str>, Vec<usize>) {
    let mut looked_at = alive(path);
    if looked_at.len() > LONGEST_PATH {
        looked_at = &looked_at[..looked_at.floor_char_boundary(LONGEST_PATH)];
    }
    let mut start = 0;
    let mut found = (Vec::new(), Vec::new());
    for part in looked_at.split('/') {
        let end = start + part.len();
        if !part.is_empty() {
            found.0.push(part);
            found.1.push(end);
        }
        start = end + 1;
    }
    found
}

/// The path without the kernel's mark for a cgroup that is gone.
pub(crate) fn alive(path: &str) -> &str {
    path.strip_suffix(DELETED).unwrap_or(path)
}

/// Whether `text` is a container id in full: 64 lower-case hexadecimal digits.
pub(crate) fn is_full_id(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The full id between `prefix` and, where there is one, `.scope`.
fn id_after<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(prefix)?;
    let id = rest.strip_suffix(".scope").unwrap_or(rest);
    is_full_id(id).then_some(id)
}

#[cfg(test)]
mod tests;
