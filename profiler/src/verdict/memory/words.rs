//! Evidence and advice: one sentence each.

use super::Case;
use crate::verdict::words::{called, duration, handle, place};
use dunnage_model::observation::CgroupLayout;
use dunnage_model::party::Party;
use dunnage_model::units::Bytes;
use dunnage_model::usage::{LimitKind, MemoryLimit, MemoryShare, WindowUse};
use dunnage_model::verdict::Cause;

const MEBIBYTE: u64 = 1 << 20;

/// No limit below this is worth advising.
const LEAST_ADVISED: u64 = 16 * MEBIBYTE;

/// The file that a limit is set in, by its name in version 2, as in the contract.
pub(super) fn file(limit: &MemoryLimit) -> Option<&'static str> {
    match limit.kind {
        LimitKind::Machine => None,
        LimitKind::Max => Some("memory.max"),
        LimitKind::High => Some("memory.high"),
    }
}

/// What happened.
pub(super) fn evidence(case: &Case, window: &WindowUse, limit: Option<&MemoryLimit>) -> String {
    let loss = &case.loss;
    let victim = called(&window.parties[loss.victim].party);
    let span = duration(window.length.seconds());
    let what = if loss.kills > 0 {
        let times = if loss.kills > 1 {
            format!("{} processes", loss.kills)
        } else {
            "a process".to_owned()
        };
        format!("the kernel killed {times} of {victim} for want of memory within {span}")
    } else {
        format!(
            "{victim} waited {:.2} s for memory in {span}, {:.2} s of it in reclaim",
            loss.stall + loss.beyond,
            loss.stall
        )
    };
    let Some(limit) = limit else {
        return format!("{what}; which limit was full is not known");
    };
    let full = match (limit.kind, &limit.path) {
        (LimitKind::Machine, _) | (_, None) => "the machine's memory was full".to_owned(),
        (_, Some(_)) if limit.own == Some(loss.victim) => {
            format!("its own limit{} was full", of(limit.bytes))
        }
        (_, Some(path)) => format!("the limit of {path}{} was full", of(limit.bytes)),
    };
    format!("{what}: {full}{}", doing(case, window, limit))
}

/// "; batch asked for 310 MiB of it while over its share".
fn doing(case: &Case, window: &WindowUse, limit: &MemoryLimit) -> String {
    if case.cause == Cause::Itself {
        return own_doing(case, limit);
    }
    let mut culprits = case.culprits.clone();
    culprits.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Some((first, _)) = culprits.first() else {
        return "; nobody can be named for it".to_owned();
    };
    let name = called(&window.parties[*first].party);
    let others = if culprits.len() > 1 {
        format!(" and {} others", culprits.len() - 1)
    } else {
        String::new()
    };
    let did = share(limit, *first).map_or_else(String::new, |share| {
        let grew = mebibytes(share.grown);
        let freed = mebibytes(share.freed.max(share.taken));
        if share.grown >= share.freed.max(share.taken) {
            format!(" grew by {grew} and holds {}", mebibytes(share.used))
        } else {
            format!(" took {freed} and holds {}", mebibytes(share.used))
        }
    });
    let over = if case.loss.kills > 0 {
        ""
    } else {
        ", beyond an equal share"
    };
    format!("; {name}{others}{did}{over}")
}

fn own_doing(case: &Case, limit: &MemoryLimit) -> String {
    if limit.own == Some(case.loss.victim) {
        let read_again = share(limit, case.loss.victim)
            .filter(|share| share.refaulted.0 > 0)
            .map(|share| format!(", and it read {} again", mebibytes(share.refaulted)));
        return read_again.unwrap_or_default();
    }
    if case.loss.kills > 0 {
        return "; nobody grew as it did".to_owned();
    }
    "; nobody else in it took more beyond an equal share".to_owned()
}

/// What to do about it.
pub(super) fn advice(case: &Case, window: &WindowUse, limit: Option<&MemoryLimit>) -> String {
    let victim = &window.parties[case.loss.victim].party;
    let layout = window.host.cgroup;
    let Some(limit) = limit else {
        return format!(
            "look at the memory limits of {} and its parents",
            called(victim)
        );
    };
    if case.cause == Cause::Itself {
        return advice_to_itself(case, victim, limit, layout);
    }
    let culprits = case.culprits.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let Some(&(culprit, _)) = culprits else {
        return raise_parent(limit, layout);
    };
    let party = &window.parties[culprit].party;
    let before = share(limit, culprit).map_or(Bytes(0), |share| share.used.since(share.grown));
    // What it had before it grew; where that was nothing, a part that leaves room for others.
    let there_is = limit.bytes.unwrap_or_default();
    let most = if before.0 >= there_is.0 / 8 {
        before.min(Bytes(there_is.0 / 2))
    } else {
        Bytes(there_is.0 / 4)
    };
    format!(
        "give {} a memory limit of its own ({})",
        called(party),
        knob(party, most, layout)
    )
}

fn advice_to_itself(
    case: &Case,
    victim: &Party,
    limit: &MemoryLimit,
    layout: CgroupLayout,
) -> String {
    let name = called(victim);
    if limit.kind == LimitKind::Machine {
        return format!("let {name} use less memory, or add memory to the machine");
    }
    if limit.own != Some(case.loss.victim) {
        return raise_parent(limit, layout);
    }
    let now = limit.bytes.unwrap_or_default();
    let read_again = share(limit, case.loss.victim).map_or(Bytes(0), |share| share.refaulted);
    // What it read again would have stayed; the same page may have come in several times.
    let more = Bytes(read_again.0.clamp(now.0 / 4, now.0));
    let gives = if case.loss.kills > 0 {
        "so that it is not killed".to_owned()
    } else {
        format!("which gives back up to {:.2} s", case.loss.seconds())
    };
    format!(
        "raise the memory limit of {name} ({}), {gives}, or let it use less",
        knob_of(victim, now + more, layout, limit.kind)
    )
}

fn raise_parent(limit: &MemoryLimit, layout: CgroupLayout) -> String {
    match &limit.path {
        Some(path) => format!(
            "raise {} of {path}, or let those below it use less",
            name_of(limit.kind, layout)
        ),
        None => "add memory to the machine, or let less run on it".to_owned(),
    }
}

fn knob(party: &Party, bytes: Bytes, layout: CgroupLayout) -> String {
    knob_of(party, bytes, layout, LimitKind::Max)
}

/// The command or the file that limits a party to so much.
fn knob_of(party: &Party, bytes: Bytes, layout: CgroupLayout, kind: LimitKind) -> String {
    let mebibytes = bytes.0.max(LEAST_ADVISED) / MEBIBYTE;
    if party.pod.is_some() {
        return format!("resources.limits.memory: \"{mebibytes}Mi\" in its pod");
    }
    let high = kind == LimitKind::High;
    match (party.engine.as_deref(), handle(party)) {
        (Some(engine @ ("docker" | "podman")), Some(handle)) if !high => {
            format!("{engine} update --memory {mebibytes}m --memory-swap {mebibytes}m {handle}")
        }
        (Some("systemd"), Some(unit)) => format!(
            "systemctl set-property {unit} {}={mebibytes}M",
            if high { "MemoryHigh" } else { "MemoryMax" }
        ),
        _ => format!(
            "{} of {} to {mebibytes}M",
            name_of(kind, layout),
            place(party)
        ),
    }
}

/// The file's name on this host.
fn name_of(kind: LimitKind, layout: CgroupLayout) -> &'static str {
    match (kind, layout) {
        (LimitKind::High, _) => "memory.high",
        (_, CgroupLayout::V2) => "memory.max",
        _ => "memory.limit_in_bytes",
    }
}

fn share(limit: &MemoryLimit, party: usize) -> Option<&MemoryShare> {
    limit.sharers.iter().find(|share| share.party == party)
}

fn of(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(String::new, |bytes| format!(" of {}", mebibytes(bytes)))
}

/// "512 MiB", "3.2 GiB".
pub(super) fn mebibytes(bytes: Bytes) -> String {
    let mebibytes = bytes.0 as f64 / MEBIBYTE as f64;
    if mebibytes < 1024.0 {
        format!("{mebibytes:.0} MiB")
    } else {
        format!("{:.1} GiB", mebibytes / 1024.0)
    }
}
