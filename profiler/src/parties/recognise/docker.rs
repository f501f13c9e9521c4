//! Docker: `docker/<id>` (cgroupfs), `docker-<id>.scope` (systemd), any parent with
//! `--cgroup-parent`, and the containers of its builder.
//!
//! Forms: `daemon/oci_linux.go` (`WithCgroups`) of moby, `executor/oci` of buildkit.

use super::{Match, Part, id_after, is_full_id};

/// `--cgroup-parent` leaves nothing but the id to see, and nerdctl and others use the same form. The
/// engine is then left open until one says that the id is its own.
pub(super) fn recognise(part: Part<'_>) -> Option<Match> {
    let name = part.name();
    if let Some(id) = id_after(name, "docker-") {
        return Some(Match::new("docker", id));
    }
    if part.above(1) == "buildkit" && is_build_id(name) {
        return Some(Match::new("buildkit", name));
    }
    if !is_full_id(name) || is_podman_pod(part) {
        return None;
    }
    let engine = (part.above(1) == "docker").then_some("docker");
    Some(Match {
        engine,
        id: name.to_owned(),
        pod_uid: None,
    })
}

/// A pod of podman's cgroupfs manager is a folder named by an id that is no container's.
fn is_podman_pod(part: Part<'_>) -> bool {
    part.above(1) == "libpod_parent"
}

/// Buildkit's ids: 25 digits of base 36.
fn is_build_id(name: &str) -> bool {
    name.len() == 25
        && name
            .bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}
