//! Evidence and advice: one sentence each.

use super::Case;
use super::links::Links;
use crate::verdict::words::{called, duration};
use dunnage_model::party::Party;
use dunnage_model::usage::LinkStall;
use dunnage_model::verdict::Cause;

/// What happened.
pub(super) fn evidence(links: &Links<'_>, case: &Case<'_>) -> String {
    let victim = name(links, case.accusation.victim);
    let window = duration(links.seconds);
    let (device, queue) = (&case.stall.device, queue_of(case.stall));
    let lost = case.accusation.harm();
    let dropped = match case.stall.dropped {
        0 => String::new(),
        1 => " and 1 was dropped".to_owned(),
        many => format!(" and {many} were dropped"),
    };
    if case.accusation.cause == Cause::Itself {
        return format!(
            "packets of {victim} stood in {queue} of {device} for {lost:.2} s in {window}{dropped}, for the larger part behind its own: it sends more than its share of what goes through"
        );
    }
    let culprits = case.accusation.by_harm();
    let who = match culprits.as_slice() {
        [] => "those of others".to_owned(),
        [(one, _)] => format!("those of {}", name(links, *one)),
        [(one, _), (other, _)] => {
            format!("those of {} and {}", name(links, *one), name(links, *other))
        }
        [(one, _), rest @ ..] => {
            format!("those of {} and {} others", name(links, *one), rest.len())
        }
    };
    let part: f64 = culprits
        .iter()
        .map(|(culprit, _)| links.part(device, *culprit))
        .sum();
    format!(
        "packets of {victim} stood in {queue} of {device} for {lost:.2} s in {window}{dropped} while {who} went out, {:.0} % of what it carried",
        part * 100.0
    )
}

/// What to do about it.
pub(super) fn advice(links: &Links<'_>, case: &Case<'_>) -> String {
    let stall = case.stall;
    if case.accusation.cause == Cause::Itself {
        let victim = name(links, case.accusation.victim);
        if !stall.shaped {
            return format!(
                "let {victim} send less, or give {} more bandwidth",
                stall.device
            );
        }
        let rate = rate(2.0 * stall.bytes.0 as f64 / links.seconds);
        return format!(
            "raise the rate of the shaper ({}), or let {victim} send less",
            faster(stall, &rate)
        );
    }
    let Some((culprit, _)) = case.accusation.by_harm().first().copied() else {
        return "watch a longer window".to_owned();
    };
    let party = links.window.parties.get(culprit).map(|user| &user.party);
    let share = rate(links.equal_part(&stall.device) / links.seconds);
    let limit = match party {
        Some(party) if party.pod.is_some() => format!(
            "give the pod of {} the annotation kubernetes.io/egress-bandwidth, {share} or so",
            called(party)
        ),
        _ => format!(
            "limit what {} sends to {share} with a tbf on its own device",
            name(links, culprit)
        ),
    };
    format!(
        "{limit}, or let the link serve all in turn ({})",
        fair_queue(stall)
    )
}

/// How to raise the rate of a shaper. tc takes no change that leaves out what it asks of a new one.
fn faster(stall: &LinkStall, rate: &str) -> String {
    match &*stall.discipline {
        "cake" => tc("change", stall, &format!("root cake bandwidth {rate}")),
        "tbf" | "netem" => {
            let change = tc(
                "change",
                stall,
                &format!("root {} rate {rate}", stall.discipline),
            );
            format!("{change}, with the other words that tc qdisc show has of it")
        }
        of_classes => format!("the rate of its class of {of_classes}, to {rate}: tc class change"),
    }
}

/// The command that puts a fair queue where the packets wait.
fn fair_queue(stall: &LinkStall) -> String {
    match &*stall.discipline {
        // A tbf has one class, whose queue can be replaced.
        "tbf" => tc(
            "add",
            stall,
            &format!("parent {:x}:1 fq_codel", stall.handle >> 16),
        ),
        _ if stall.shaped => {
            format!(
                "a class of {} for each container, with fq_codel in it",
                stall.discipline
            )
        }
        _ => tc("replace", stall, "root fq_codel"),
    }
}

/// A command of tc(8) for the device of a row, in its namespace.
fn tc(what: &str, stall: &LinkStall, rest: &str) -> String {
    match stall.device.split_once(" in net:[") {
        Some((device, _)) => {
            format!(
                "tc qdisc {what} dev {} {rest}, in its network namespace",
                plain(device)
            )
        }
        None => format!("tc qdisc {what} dev {} {rest}", plain(&stall.device)),
    }
}

/// A device's name where a shell reads it as itself.
fn plain(device: &str) -> &str {
    let word = device.starts_with(|c: char| c.is_ascii_alphanumeric())
        && device
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@'));
    if word { device } else { "DEVICE" }
}

/// Why somebody who sent a lot is not to blame.
pub(super) fn innocence(links: &Links<'_>, stall: &LinkStall, stalls: &[LinkStall]) -> String {
    let party = stall.blamed.party;
    let behind = stalls
        .iter()
        .filter(|other| other.blamed.party != party)
        .filter_map(|other| {
            let time = other
                .blamed
                .blame
                .iter()
                .find(|(culprit, _)| *culprit == party)?
                .1;
            Some((other.blamed.party, time))
        })
        .max_by_key(|(_, time)| *time);
    let sent = megabytes(links.sent(&stall.device, party));
    match behind {
        Some((victim, _)) => format!(
            "sent {sent} through {}, and {} waited behind it no more than beside an equal",
            stall.device,
            name(links, victim)
        ),
        None => format!(
            "sent {sent} through {}, where nobody else's packets waited",
            stall.device
        ),
    }
}

fn queue_of(stall: &LinkStall) -> String {
    if stall.discipline.is_empty() {
        "the queue".to_owned()
    } else {
        format!("the {}", stall.discipline)
    }
}

fn name(links: &Links<'_>, party: usize) -> String {
    let party: Option<&Party> = links.window.parties.get(party).map(|user| &*user.party);
    party.map_or_else(|| "somebody".to_owned(), called)
}

/// Bytes a second as tc(8) takes them.
fn rate(bytes_a_second: f64) -> String {
    let kilobits = (bytes_a_second * 8.0 / 1000.0).max(8.0);
    if kilobits >= 10_000.0 {
        format!("{:.0}mbit", kilobits / 1000.0)
    } else {
        format!("{kilobits:.0}kbit")
    }
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}
