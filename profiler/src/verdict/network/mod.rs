//! Network verdicts: whose packets stood in the queue of a link while whose went out.
//!
//! A link has no weights: all who send through it have equal claims. Who offers it more than an equal
//! part of what it carried, and more than the one that waits, takes what that one lacks. A victim's
//! own packets going out are its service, and equals share.
//!
//! - [`links`]: who sent how much through each link, and what a victim's wait consists of;
//! - [`thresholds`]: every number that decides;
//! - [`words`]: evidence and advice.

mod links;
mod thresholds;
mod words;

#[cfg(test)]
mod tests;

use super::accusation::{Accusation, can_lose, cause_by};
use super::confidence::Grounds;
use dunnage_model::usage::{LinkStall, WindowUse};
use dunnage_model::verdict::{Cause, Cleared, Coverage, Fact, Judgement, Resource};
use links::{Links, Split};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Who harms whom on links.
pub(super) fn judge(window: &WindowUse) -> Judgement {
    let (Some(stalls), true) = (&window.stalls.network, window.length.0 > 0) else {
        return Judgement::default();
    };
    let links = Links::new(window, stalls);
    let mut by_victim: BTreeMap<usize, Vec<&LinkStall>> = BTreeMap::new();
    for stall in stalls.iter().filter(|stall| links.is_somebody(stall)) {
        by_victim.entry(stall.blamed.party).or_default().push(stall);
    }
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (victim, stalls) in by_victim {
        if window
            .parties
            .get(victim)
            .is_some_and(|user| can_lose(user.party.kind))
        {
            cases.extend(cases_of(&links, victim, &stalls));
        }
    }
    let cleared = cleared(&links, stalls, &cases);
    let verdicts = cases
        .into_iter()
        .map(|case| {
            let (evidence, advice) = (words::evidence(&links, &case), words::advice(&links, &case));
            case.accusation.verdict(window, evidence, advice)
        })
        .collect();
    Judgement { verdicts, cleared }
}

/// How well links were watched in the window.
pub(super) fn coverage(window: &WindowUse) -> Coverage {
    match window.stalls.network {
        Some(_) => Coverage::Exact,
        None => Coverage::None,
    }
}

/// An accusation and the link on which most of it happened.
struct Case<'w> {
    accusation: Accusation,
    /// The victim's row on that link.
    stall: &'w LinkStall,
    /// What the victim's waits on all links consist of.
    split: Split,
}

/// All that is to be said of one victim, one case for each cause.
fn cases_of<'w>(links: &Links<'_>, victim: usize, stalls: &[&'w LinkStall]) -> Vec<Case<'w>> {
    let splits: Vec<(Split, &LinkStall)> = stalls
        .iter()
        .map(|stall| (links.split(stall), *stall))
        .collect();
    let all = splits
        .iter()
        .fold(Split::default(), |sum, (split, _)| sum.and(split));
    let mut cases: Vec<Case<'w>> = [Cause::Neighbour, Cause::Host]
        .into_iter()
        .filter_map(|cause| {
            let of = |split: &Split| split.accused_for(cause);
            let stall = most(&splits, of)?;
            let culprits: Vec<(usize, f64)> = all
                .accused
                .iter()
                .filter(|(culprit, _)| links.cause_of(*culprit) == Some(cause))
                .copied()
                .collect();
            let known: f64 = culprits.iter().map(|(_, seconds)| seconds).sum();
            let unexplained = all.unexplained_with(known);
            thresholds::OTHERS
                .passed(known + unexplained, 0.0, links.seconds)
                .then(|| Case {
                    accusation: accusation(links, victim, cause, culprits, unexplained, &all),
                    stall,
                    split: all.clone(),
                })
        })
        .collect();
    if cases.is_empty() {
        cases.extend(by_itself(links, victim, &splits, &all));
    }
    for case in &mut cases {
        case.accusation.facts = facts(case, stalls);
    }
    cases
}

/// The row in which a victim lost most.
fn most<'w>(
    splits: &[(Split, &'w LinkStall)],
    lost: impl Fn(&Split) -> f64,
) -> Option<&'w LinkStall> {
    splits
        .iter()
        .max_by(|a, b| lost(&a.0).total_cmp(&lost(&b.0)))
        .map(|(_, stall)| *stall)
}

/// What a party does to itself: it sends more than its share of the link, or than its shaper lets
/// through. Said only where nobody else is to blame.
fn by_itself<'w>(
    links: &Links<'_>,
    victim: usize,
    splits: &[(Split, &'w LinkStall)],
    all: &Split,
) -> Option<Case<'w>> {
    let stall = most(splits, |split| split.own + split.within)?;
    let (split, _) = splits
        .iter()
        .find(|(_, other)| std::ptr::eq(*other, stall))?;
    let lost = split.own + split.within;
    // Behind its own packets for the larger part: else it is the others' equal share that it waits for.
    if split.own < split.within && !links.takes_its_share(stall) {
        return None;
    }
    thresholds::ITSELF
        .passed(lost, 0.0, links.seconds)
        .then(|| Case {
            accusation: accusation(links, victim, Cause::Itself, vec![(victim, lost)], 0.0, all),
            stall,
            split: split.clone(),
        })
}

fn accusation(
    links: &Links<'_>,
    victim: usize,
    cause: Cause,
    culprits: Vec<(usize, f64)>,
    unexplained: f64,
    split: &Split,
) -> Accusation {
    let bar = if cause == Cause::Itself {
        thresholds::ITSELF
    } else {
        thresholds::OTHERS
    };
    let lost = unexplained + culprits.iter().map(|(_, seconds)| seconds).sum::<f64>();
    Accusation {
        victim,
        resource: Resource::Network,
        cause,
        culprits,
        unexplained,
        // The time in which it could send at once, and in which its own went out.
        got: (links.seconds - split.wait).max(0.0)
            + if cause == Cause::Itself {
                0.0
            } else {
                split.own
            },
        grounds: Grounds::of(1.0)
            .margin(bar.margin(lost, 0.0, links.seconds))
            .events(split.packets),
        facts: BTreeMap::new(),
    }
}

fn facts(case: &Case<'_>, stalls: &[&LinkStall]) -> BTreeMap<&'static str, Fact> {
    let mut facts = BTreeMap::new();
    let mut number = |name, value: f64| {
        facts.insert(name, Fact::Number(value));
    };
    number("queued_seconds", case.split.wait);
    number("self_seconds", case.split.own);
    number("within_share_seconds", case.split.within);
    number("longest_seconds", case.stall.longest.seconds());
    number("sent_bytes", case.stall.bytes.0 as f64);
    let dropped: u64 = stalls.iter().map(|stall| stall.dropped).sum();
    number("dropped_packets", dropped as f64);
    let text = |text: &str| Fact::Text(text.to_owned());
    facts.insert("device", text(&case.stall.device));
    facts.insert("queue", text(&case.stall.discipline));
    if case.accusation.cause == Cause::Itself && case.stall.shaped {
        facts.insert("limit", text("tc"));
    }
    facts
}

/// Those who sent a good part of what a link carried and harm nobody, most bytes first.
fn cleared(links: &Links<'_>, stalls: &[LinkStall], cases: &[Case<'_>]) -> Vec<Cleared> {
    let guilty = |party: usize| {
        cases.iter().any(|case| {
            let accusation = &case.accusation;
            let named = || {
                accusation
                    .culprits
                    .iter()
                    .any(|(culprit, _)| *culprit == party)
            };
            accusation.cause != Cause::Itself && (accusation.victim == party || named())
        })
    };
    let mut largest: Vec<&LinkStall> = stalls
        .iter()
        .filter(|stall| links.is_somebody(stall) && links.looks_guilty(stall))
        .filter(|stall| !guilty(stall.blamed.party))
        .collect();
    largest.sort_by_key(|stall| Reverse(stall.bytes));
    let mut seen = Vec::new();
    largest.retain(|stall| {
        let first = !seen.contains(&stall.blamed.party);
        seen.push(stall.blamed.party);
        first
    });
    largest
        .into_iter()
        .filter_map(|stall| {
            let user = links.window.parties.get(stall.blamed.party)?;
            can_lose(user.party.kind).then(|| Cleared {
                party: user.party.clone(),
                of: Resource::Network,
                why: words::innocence(links, stall, stalls),
            })
        })
        .collect()
}
