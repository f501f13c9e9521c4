//! LXC, LXD and Incus: `lxc.payload.NAME` (liblxc from 4.0 on), `lxc/NAME` (before).
//!
//! Incus and LXD run on liblxc and leave the same path, with `PROJECT_NAME` outside the default
//! project. `lxc.monitor.NAME` holds the monitor: a service of the host. Form:
//! `src/lxc/cgroups/cgfsng.c` of lxc.

use super::{Match, Part};

pub(super) fn recognise(part: Part<'_>) -> Option<Match> {
    let name = part.name();
    let container = match name.strip_prefix("lxc.payload.") {
        Some(container) => container,
        // The bare word is trusted at the top only: below, anybody may have chosen it.
        None if part.at == 1 && part.above(1) == "lxc" => name,
        None => return None,
    };
    (!container.is_empty()).then(|| Match::new("lxc", container))
}
