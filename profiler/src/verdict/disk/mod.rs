//! Who waits for whose requests on block devices, and who is cleared.
//!
//! A party is harmed where its requests took longer than they would have with the device to
//! themselves. A culprit is who had more of the device than the victim while the victim waited for
//! it: a device is shared equally among those that want it, and who has no more than that is not
//! accused. A party that waits on a stacked device and on the one beneath waits once: its harm is the
//! largest of any device, and not the sum. What a limit of its own costs a party is told beside, by
//! [`held`].

mod cleared;
mod held;
mod thresholds;
mod words;

#[cfg(test)]
mod tests;

use super::accusation::{Accusation, can_lose, cause_by};
use super::bar::Bar;
use super::confidence::Grounds;
use dunnage_model::party::PartyKind;
use dunnage_model::units::Nanos;
use dunnage_model::usage::{DiskStall, WindowUse};
use dunnage_model::verdict::{Cause, Coverage, Fact, Judgement, Resource};
use std::collections::BTreeMap;

/// Judges one window.
pub(super) fn judge(window: &WindowUse) -> Judgement {
    let Some(stalls) = &window.stalls.disk else {
        return Judgement::default();
    };
    let mut cases: Vec<Case> = Vec::new();
    for stall in stalls {
        for cause in [Cause::Neighbour, Cause::Host] {
            let Some(case) = case(window, stall, cause) else {
                continue;
            };
            let other = cases
                .iter_mut()
                .find(|other| other.victim() == case.victim() && other.cause() == cause);
            match other {
                Some(other) if other.harm() < case.harm() => *other = case,
                Some(_) => {}
                None => cases.push(case),
            }
        }
    }
    let cleared = cleared::cleared(window, stalls, &cases);
    let verdicts = cases.into_iter().map(|case| {
        let (evidence, advice) = (words::evidence(window, &case), words::advice(window, &case));
        case.accusation.verdict(window, evidence, advice)
    });
    Judgement {
        verdicts: verdicts.chain(held::verdicts(window)).collect(),
        cleared,
    }
}

/// Exact where the block layer's events are accounted for.
pub(super) fn coverage(window: &WindowUse) -> Coverage {
    match window.stalls.disk {
        Some(_) => Coverage::Exact,
        None => Coverage::None,
    }
}

/// A victim on a device, and who is accused.
struct Case {
    device: String,
    /// Request-seconds.
    waited: f64,
    /// Most of it inside fsync.
    syncing: bool,
    accusation: Accusation,
}

impl Case {
    fn victim(&self) -> usize {
        self.accusation.victim
    }

    fn cause(&self) -> Cause {
        self.accusation.cause
    }

    fn harm(&self) -> f64 {
        self.accusation.harm()
    }

    fn accuses(&self, party: usize) -> bool {
        self.accusation.accuses(party)
    }
}

/// The case for the party of `stall` against those of one kind, where there is one.
fn case(window: &WindowUse, stall: &DiskStall, cause: Cause) -> Option<Case> {
    let victim = stall.blamed.party;
    if !can_lose(kind(window, victim)?) {
        return None;
    }
    let waited = stall.blamed.wait.seconds();
    let lost = lost(stall);
    let blamed: f64 = stall.blamed.blame.iter().map(|(_, t)| t.seconds()).sum();
    let foreign = blamed + stall.blamed.unexplained.seconds();
    if lost <= 0.0 || foreign <= 0.0 {
        return None;
    }
    // What the victim waited behind others is more than it lost where the device does several
    // things at once: each answers for its part of the loss.
    let part = lost / foreign;
    let accused: Vec<(usize, f64)> = stall
        .blamed
        .blame
        .iter()
        .filter(|(party, time)| {
            kind(window, *party).is_some_and(|kind| cause_by(kind) == cause)
                && time.seconds() > thresholds::ABOVE * stall.shared.seconds()
                && time.seconds() > thresholds::PART * waited
        })
        .map(|(party, time)| (*party, time.seconds() * part))
        .collect();
    if accused.is_empty() {
        return None;
    }
    let harm: f64 = accused.iter().map(|(_, seconds)| seconds).sum();
    let unexplained = stall.blamed.unexplained.seconds() * part;
    let got = (waited - lost).max(0.0);
    let bar = bar(window, &accused);
    if !bar.passed(harm, got, window.length.seconds()) {
        return None;
    }
    let fraction = harm / (harm + got);
    let mut facts = BTreeMap::new();
    facts.insert("device", Fact::Text(stall.device.to_string()));
    facts.insert("request_wait_seconds", Fact::Number(waited));
    facts.insert("needed_alone_seconds", Fact::Number(got));
    if stall.synced > Nanos::ZERO {
        facts.insert("fsync_seconds", Fact::Number(stall.synced.seconds()));
    }
    Some(Case {
        device: stall.device.to_string(),
        waited,
        syncing: stall.synced.seconds() > 0.5 * waited,
        accusation: Accusation {
            victim,
            resource: Resource::Disk,
            cause,
            culprits: accused,
            unexplained,
            got,
            grounds: Grounds::of(thresholds::trust(fraction)).events(stall.requests),
            facts,
        },
    })
}

/// The kernel serves the victims too.
fn bar(window: &WindowUse, accused: &[(usize, f64)]) -> Bar {
    let kernel = |(party, _): &(usize, f64)| kind(window, *party) == Some(PartyKind::Kernel);
    if accused.iter().all(kernel) {
        thresholds::KERNEL
    } else {
        thresholds::OTHERS
    }
}

/// Request-seconds beyond what the same requests would have taken alone: their own part of the
/// device's time, or what such requests take where the device does several at once.
fn lost(stall: &DiskStall) -> f64 {
    let own = stall.blamed.own.max(stall.needed);
    stall.blamed.wait.since(own).seconds()
}

fn kind(window: &WindowUse, party: usize) -> Option<PartyKind> {
    window.parties.get(party).map(|user| user.party.kind)
}
