//! Podman: `libpod-<id>` (cgroupfs), `libpod-<id>.scope` (systemd; crun puts the processes into a
//! `container` below it), `libpod-payload-<id>` (`--cgroups=split`, Quadlet).
//!
//! `libpod-conmon-<id>.scope` holds the monitor: a service of the host, not the container.
//! Forms: `libpod/container_internal_linux.go` and `libpod/oci_conmon_linux.go` of podman.

use super::{Match, Part, id_after};

pub(super) fn recognise(part: Part<'_>) -> Option<Match> {
    let name = part.name();
    let id = id_after(name, "libpod-payload-").or_else(|| id_after(name, "libpod-"))?;
    Some(Match::new("podman", id))
}
