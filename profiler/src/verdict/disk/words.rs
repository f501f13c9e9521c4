//! Evidence and advice: one sentence each.

use super::Case;
use crate::verdict::words::{called, duration, handle, place};
use dunnage_model::observation::CgroupLayout;
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::usage::WindowUse;

/// What happened.
pub(super) fn evidence(window: &WindowUse, case: &Case) -> String {
    let name = |party: usize| {
        let user = window.parties.get(party);
        user.map_or_else(String::new, |user| called(&user.party))
    };
    let culprits = case.accusation.by_harm();
    let who = match culprits.as_slice() {
        [] => "others".to_owned(),
        [(only, _)] => name(*only),
        [(first, _), (second, _)] => format!("{} and {}", name(*first), name(*second)),
        [(first, _), rest @ ..] => format!("{} and {} others", name(*first), rest.len()),
    };
    let what = if case.syncing { "fsync" } else { "requests" };
    format!(
        "{what} of {} spent {:.2} s on {} in {} and would have needed {:.2} s alone; it lost {:.2} s behind those of {who}, who had more of the device",
        name(case.victim()),
        case.waited,
        case.device,
        duration(window.length.seconds()),
        case.accusation.got,
        case.harm(),
    )
}

/// What to do about it.
pub(super) fn advice(window: &WindowUse, case: &Case) -> String {
    let first = case.accusation.by_harm().first().map(|(party, _)| *party);
    let party = first.and_then(|party| window.parties.get(party));
    match party.map(|user| &user.party) {
        None => "watch a longer window".to_owned(),
        Some(party) if party.kind == PartyKind::Kernel => format!(
            "see whose files on {} the kernel writes back, and limit the dirty pages (vm.dirty_bytes)",
            case.device
        ),
        Some(party) => format!(
            "limit the I/O of {} on {} ({}), or move it to another device",
            called(party),
            case.device,
            knob(party, &case.device, window.host.cgroup)
        ),
    }
}

/// The command or the file that limits a party's bytes on a device. Docker and Podman take device
/// limits only when a container is made.
fn knob(party: &Party, device: &str, layout: CgroupLayout) -> String {
    let file = if layout == CgroupLayout::V2 {
        "io.max"
    } else {
        "blkio.throttle.read_bps_device and .write_bps_device"
    };
    if party.pod.is_some() {
        return format!("{file} of {}", place(party));
    }
    match (party.engine.as_deref(), handle(party)) {
        (Some(engine @ ("docker" | "podman")), _) => format!(
            "{engine} run --device-read-bps /dev/{device}:RATE --device-write-bps /dev/{device}:RATE, or {file} of {}",
            place(party)
        ),
        (Some("systemd"), Some(unit)) => format!(
            "systemctl set-property {unit} IOReadBandwidthMax=\"/dev/{device} RATE\" IOWriteBandwidthMax=\"/dev/{device} RATE\""
        ),
        _ => format!("{file} of {}", place(party)),
    }
}
