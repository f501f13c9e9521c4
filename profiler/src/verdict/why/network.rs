//! Network: packets that stood in the queue of a device, behind others' or its own, or were dropped.

use super::scene::{Facts as Told, Scene, answer as told, metric, sum};
use super::thresholds::{self as bar, shows};
use crate::verdict::words::{called, duration};
use dunnage_model::verdict::{Coverage, Resource};
use dunnage_model::why::{Answer, Limiter, Metric};

/// What the decision rests on. Times in seconds of the window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// The window.
    pub(super) seconds: f64,
    /// Time with packets in a queue, where queues are watched.
    pub(super) waited: Option<f64>,
    /// The part of it in which its own packets went out.
    pub(super) own: f64,
    /// Packets of its own that a queue dropped.
    pub(super) dropped: u64,
    /// Bytes received and sent; `None` where that was not counted.
    pub(super) bytes: Option<u64>,
    /// Packets that its own interfaces dropped.
    pub(super) dropped_inside: u64,
    /// Seconds that a verdict says others cost it.
    pub(super) by_others: f64,
    /// Seconds that a verdict says a limit of its own cost it.
    pub(super) by_itself: f64,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clue {
    /// A verdict names others.
    Accused,
    /// A verdict names its own limit.
    OwnVerdict,
    /// Behind others' packets.
    Others,
    /// Behind its own: the link is full of them.
    Own,
    /// It does not wait.
    NoWaits,
    /// It sent and received nothing.
    NoTraffic,
    /// Packets are dropped, and no queue was watched.
    Drops,
    /// No queue was watched.
    Blind,
}

/// What limits it.
pub(super) fn decide(facts: &Facts) -> (Limiter, Clue) {
    if facts.by_others > 0.0 && facts.by_others >= facts.by_itself {
        return (Limiter::Share, Clue::Accused);
    }
    if facts.by_itself > 0.0 {
        return (Limiter::Cap, Clue::OwnVerdict);
    }
    match facts.waited {
        Some(waited) if shows(waited, 0.0, facts.seconds) || facts.dropped > 0 => {
            if waited > 0.0 && facts.own < (1.0 - bar::MOST) * waited {
                (Limiter::Share, Clue::Others)
            } else {
                (Limiter::Machine, Clue::Own)
            }
        }
        Some(_) => (Limiter::Nothing, Clue::NoWaits),
        None if facts.bytes == Some(0) => (Limiter::Nothing, Clue::NoTraffic),
        None if facts.dropped_inside > 0 => (Limiter::Unknown, Clue::Drops),
        None => (Limiter::Unknown, Clue::Blind),
    }
}

/// The answer for the party of `scene`.
pub(super) fn answer(scene: &Scene<'_>) -> Answer {
    let facts = gather(scene);
    let (limited_by, clue) = decide(&facts);
    let mut all = Told::default();
    all.number("queued_seconds", facts.waited)
        .number("own_seconds", facts.waited.map(|_| facts.own))
        .number(
            "dropped_packets",
            facts.waited.map(|_| facts.dropped as f64),
        )
        .number("bytes", facts.bytes.map(|bytes| bytes as f64))
        .number("dropped_inside", Some(facts.dropped_inside as f64));
    told(
        Resource::Network,
        limited_by,
        decided(scene, &facts, clue),
        sentences(scene, &facts, clue),
        scene.accusing(Resource::Network),
        all.take(),
    )
}

fn gather(scene: &Scene<'_>) -> Facts {
    let own = || {
        let all = scene.window.stalls.network.iter().flatten();
        all.filter(|stall| stall.blamed.party == scene.party)
    };
    let watched = scene.window.stalls.network.is_some()
        && scene.coverage(Resource::Network) != Coverage::None;
    let used = scene.user().network;
    let harm = |verdict: Option<&dunnage_model::verdict::Verdict>| {
        verdict.map_or(0.0, |verdict| verdict.harm.seconds())
    };
    Facts {
        seconds: scene.seconds(),
        waited: watched.then(|| sum(own().map(|stall| stall.blamed.wait.seconds()))),
        own: sum(own().map(|stall| stall.blamed.own.seconds())),
        dropped: own().map(|stall| stall.dropped).sum(),
        bytes: used.map(|used| used.received.0 + used.sent.0),
        dropped_inside: used.and_then(|used| used.dropped).unwrap_or(0),
        by_others: harm(scene.accusing(Resource::Network)),
        by_itself: harm(scene.own_limit(Resource::Network, "")),
    }
}

fn decided(scene: &Scene<'_>, facts: &Facts, clue: Clue) -> Option<Metric> {
    let queues = || scene.events("packets in the queues of network devices");
    // Sockets do not count drops.
    let inside = match scene.user().network.and_then(|used| used.dropped) {
        Some(_) => "net/dev of its network namespace".to_owned(),
        None => scene.events("sockets"),
    };
    let seconds = |name, value| Some(metric(name, value, "seconds", queues()));
    match clue {
        Clue::Accused => seconds("behind_others_seconds", facts.by_others),
        Clue::OwnVerdict => seconds("queued_by_own_limit_seconds", facts.by_itself),
        Clue::Others => seconds("behind_others_seconds", facts.waited? - facts.own),
        Clue::Own => seconds("own_seconds", facts.own),
        Clue::NoWaits => seconds("queued_seconds", facts.waited?),
        Clue::NoTraffic => Some(metric("bytes", 0.0, "bytes", inside)),
        Clue::Drops => Some(metric(
            "dropped_inside",
            facts.dropped_inside as f64,
            "packets",
            inside,
        )),
        Clue::Blind => None,
    }
}

fn sentences(scene: &Scene<'_>, facts: &Facts, clue: Clue) -> (String, Option<String>) {
    let name = called(&scene.user().party);
    let window = duration(facts.seconds);
    let waited = facts.waited.unwrap_or(0.0);
    let drops = match facts.dropped {
        0 => String::new(),
        packets => format!(" and {packets} were dropped"),
    };
    match clue {
        Clue::Accused | Clue::OwnVerdict => {
            let verdict = if clue == Clue::Accused {
                scene.accusing(Resource::Network)
            } else {
                scene.own_limit(Resource::Network, "")
            };
            verdict
                .map(|v| (v.evidence.clone(), Some(v.advice.clone())))
                .unwrap_or_default()
        }
        Clue::Others => (
            format!(
                "{name}'s packets stood in queues for {waited:.2} s in {window}{drops}, {:.2} s of it behind others', none with more than its share",
                waited - facts.own
            ),
            Some(format!(
                "give {name} a class of its own on that link, or a faster link"
            )),
        ),
        Clue::Own => (
            format!(
                "{name}'s packets stood in queues for {waited:.2} s in {window}{drops}, behind its own"
            ),
            Some(format!("give {name} a faster link, or let it send less")),
        ),
        Clue::NoWaits => (
            format!("{name}'s packets stood in queues for {waited:.2} s in {window}"),
            None,
        ),
        Clue::NoTraffic => (
            format!("{name} sent and received nothing in {window}"),
            None,
        ),
        Clue::Drops => (
            format!(
                "{} packets of {name} were dropped in {window}, and no queue was watched",
                facts.dropped_inside
            ),
            None,
        ),
        Clue::Blind => (
            format!("nobody watched the queues that {name}'s packets pass"),
            None,
        ),
    }
}
