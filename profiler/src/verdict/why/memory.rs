//! Memory: stalls for want of it, and which limit was met: its own, a parent's, or the machine's.
//!
//! A party that fills its limit with page cache meets it all the time and loses nothing: only
//! stalls and pages that come in again count.

use super::scene::{Facts as Told, Level, Scene, answer as told, file, metric};
use super::thresholds as bar;
use crate::verdict::words::{called, duration};
use dunnage_model::observation::{MemoryEvents, Sourced};
use dunnage_model::verdict::Resource;
use dunnage_model::why::{Answer, Limiter, Metric};

/// What the decision rests on, within the window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// The window, in seconds.
    pub(super) seconds: f64,
    /// Seconds in which at least one task stalled for want of memory (PSI).
    pub(super) stalled: Option<f64>,
    /// Pages that came in again shortly after they were thrown out.
    pub(super) refaults: Option<u64>,
    /// How often its own `memory.max` was met.
    pub(super) max: u64,
    /// How often its own `memory.high` was.
    pub(super) high: u64,
    /// Processes of its own killed at its own limit.
    pub(super) oom_kills: u64,
    /// How often a parent's limit was met, where its own was not.
    pub(super) parent: u64,
    /// Others hold memory below that parent.
    pub(super) siblings: bool,
    /// The part of the machine's memory that is available.
    pub(super) available: Option<f64>,
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
    /// Processes were killed at its own limit.
    Killed,
    /// Its own `memory.max`.
    Max,
    /// Its own `memory.high`.
    High,
    /// A parent's limit.
    Parent,
    /// The machine has little left.
    Short,
    /// It stalls, and no limit was met.
    Stalls,
    /// It does not stall.
    NoStalls,
    /// Nothing tells.
    Blind,
}

/// What limits it.
pub(super) fn decide(facts: &Facts) -> (Limiter, Clue) {
    if facts.oom_kills > 0 && facts.by_others <= facts.by_itself {
        return (Limiter::Cap, Clue::Killed);
    }
    if facts.by_others > 0.0 && facts.by_others >= facts.by_itself {
        return (Limiter::Share, Clue::Accused);
    }
    if facts.by_itself > 0.0 {
        return (Limiter::Cap, Clue::OwnVerdict);
    }
    let stalls = facts
        .stalled
        .map(|stalled| stalled >= bar::MEMORY_PRESSURE * facts.seconds);
    let thrashes = facts
        .refaults
        .map(|pages| pages as f64 >= bar::REFAULTS * facts.seconds);
    // Refaults alone are pages of a cache that is too small for what is read: they cost time only
    // where tasks wait for them, which pressure tells better where it is there.
    match stalls.or(thrashes) {
        None => (Limiter::Unknown, Clue::Blind),
        Some(false) => (Limiter::Nothing, Clue::NoStalls),
        Some(true) if facts.high > facts.max => (Limiter::Cap, Clue::High),
        Some(true) if facts.max > 0 => (Limiter::Cap, Clue::Max),
        Some(true) if facts.parent > 0 && facts.siblings => (Limiter::Share, Clue::Parent),
        Some(true) if facts.parent > 0 => (Limiter::Cap, Clue::Parent),
        Some(true) if facts.available.is_some_and(|part| part < bar::MEMORY_SHORT) => {
            (Limiter::Machine, Clue::Short)
        }
        Some(true) => (Limiter::Unknown, Clue::Stalls),
    }
}

/// The answer for the party of `scene`.
pub(super) fn answer(scene: &Scene<'_>) -> Answer {
    let facts = gather(scene);
    let (limited_by, clue) = decide(&facts);
    let user = scene.user().memory;
    let count = |n: u64| Some(n as f64);
    let own = scene.own().map(|own| own.after);
    let bytes = |value: Option<&Sourced<dunnage_model::units::Bytes>>| {
        value.map(|bytes| bytes.value.0 as f64)
    };
    let mut all = Told::default();
    all.number("stalled_seconds", facts.stalled)
        .number("refaulted_pages", facts.refaults.map(|pages| pages as f64))
        .number("major_faults", user.and_then(|m| count(m.major_faults?)))
        .number("used_bytes", user.map(|memory| memory.used.0 as f64))
        .number(
            "memory_max_bytes",
            bytes(own.and_then(|o| o.memory_max.as_ref())),
        )
        .number(
            "memory_high_bytes",
            bytes(own.and_then(|o| o.memory_high.as_ref())),
        )
        .number("met_max", count(facts.max))
        .number("met_high", count(facts.high))
        .number("met_a_parents_limit", count(facts.parent))
        .number("oom_kills", count(facts.oom_kills))
        .number("machine_available", facts.available);
    told(
        Resource::Memory,
        limited_by,
        decided(scene, &facts, clue),
        sentences(scene, &facts, limited_by, clue),
        scene.accusing(Resource::Memory),
        all.take(),
    )
}

fn gather(scene: &Scene<'_>) -> Facts {
    let seconds = scene.seconds();
    let events = |level: &Level<'_>, of: fn(&MemoryEvents) -> u64| {
        level.grew(|l| l.memory_events.as_ref(), of).unwrap_or(0)
    };
    let own = scene.own();
    let own_events = |of| own.as_ref().map_or(0, |own| events(own, of));
    let parent = parent(scene);
    let met = |level: &Level<'_>| events(level, |e| e.max) + events(level, |e| e.high);
    let harm = |verdict: Option<&dunnage_model::verdict::Verdict>| {
        verdict.map_or(0.0, |verdict| verdict.harm.seconds())
    };
    Facts {
        seconds,
        stalled: scene
            .user()
            .pressure
            .memory_some
            .map(|share| share * seconds),
        refaults: own.and_then(|own| own.grew(|l| l.refaults.as_ref(), |pages| *pages)),
        max: own_events(|e| e.max),
        high: own_events(|e| e.high),
        oom_kills: own
            .and_then(|own| own.grew(|l| l.oom_kills.as_ref(), |kills| *kills))
            .unwrap_or(0),
        parent: parent.as_ref().map_or(0, met),
        siblings: parent.is_some_and(|parent| has_siblings(scene, &parent.after.path)),
        available: scene.close.after.memory_available,
        by_others: harm(scene.accusing(Resource::Memory)),
        by_itself: harm(scene.own_limit(Resource::Memory, "memory.")),
    }
}

/// The nearest parent with a limit.
fn parent<'a>(scene: &Scene<'a>) -> Option<Level<'a>> {
    let limited =
        |level: &Level<'_>| level.after.memory_max.is_some() || level.after.memory_high.is_some();
    scene.levels().skip(1).find(limited)
}

/// Whether others hold memory below the cgroup at `path`.
fn has_siblings(scene: &Scene<'_>, path: &str) -> bool {
    let below = |cgroup: &str| {
        cgroup
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    scene.others().any(|user| {
        user.party.cgroup.as_deref().is_some_and(below) && user.memory.is_some_and(|m| m.used.0 > 0)
    })
}

fn decided(scene: &Scene<'_>, facts: &Facts, clue: Clue) -> Option<Metric> {
    let own = scene.own().map(|own| own.after);
    let events = file(
        own.and_then(|own| own.memory_events.as_ref()),
        "memory.events",
    );
    let met = |name, times: u64, from| Some(metric(name, times as f64, "times", from));
    match clue {
        Clue::Accused => Some(metric(
            "stalled_by_others_seconds",
            facts.by_others,
            "seconds",
            scene.events("reclaim and refaults"),
        )),
        Clue::OwnVerdict => Some(metric(
            "stalled_by_own_limit_seconds",
            facts.by_itself,
            "seconds",
            scene.events("reclaim and refaults"),
        )),
        Clue::Killed => {
            let kills = own.and_then(|own| own.oom_kills.as_ref());
            let from = file(kills, "memory.events");
            Some(metric("oom_kills", facts.oom_kills as f64, "kills", from))
        }
        Clue::Max => met("met_max", facts.max, events),
        Clue::High => met("met_high", facts.high, events),
        Clue::Parent => {
            let parent = parent(scene).map(|parent| parent.after);
            let from = file(
                parent.and_then(|p| p.memory_events.as_ref()),
                "memory.events",
            );
            met("met_a_parents_limit", facts.parent, from)
        }
        Clue::Short => Some(metric(
            "machine_available",
            facts.available.unwrap_or(0.0),
            "of the memory",
            "/proc/meminfo",
        )),
        Clue::Stalls | Clue::NoStalls => match facts.stalled {
            Some(stalled) => {
                let from = file(
                    own.and_then(|o| o.memory_pressure.as_ref()),
                    "memory.pressure",
                );
                Some(metric("stalled_seconds", stalled, "seconds", from))
            }
            None => {
                let from = file(own.and_then(|own| own.refaults.as_ref()), "memory.stat");
                Some(metric(
                    "refaulted_pages",
                    facts.refaults? as f64,
                    "pages",
                    from,
                ))
            }
        },
        Clue::Blind => None,
    }
}

fn sentences(
    scene: &Scene<'_>,
    facts: &Facts,
    limited_by: Limiter,
    clue: Clue,
) -> (String, Option<String>) {
    let name = called(&scene.user().party);
    let window = duration(facts.seconds);
    let stalled = match (facts.stalled, facts.refaults) {
        (Some(stalled), _) => format!("was stalled for memory for {stalled:.2} s"),
        (None, Some(pages)) => format!("read {pages} pages again that had been thrown out"),
        (None, None) => "may have been stalled for memory".to_owned(),
    };
    let raise = |file: &str| {
        scene
            .own_limit(Resource::Memory, "memory.")
            .map(|verdict| verdict.advice.clone())
            .or_else(|| Some(format!("raise {file} of {name}, or let it hold less")))
    };
    match clue {
        Clue::Accused | Clue::OwnVerdict => {
            let verdict = if clue == Clue::Accused {
                scene.accusing(Resource::Memory)
            } else {
                scene.own_limit(Resource::Memory, "memory.")
            };
            let words = verdict.map(|v| (v.evidence.clone(), Some(v.advice.clone())));
            words.unwrap_or_default()
        }
        Clue::Killed => (
            format!(
                "{} killed in {window}: it had all the memory that its limit allows",
                match facts.oom_kills {
                    1 => format!("a process of {name} was"),
                    many => format!("{many} processes of {name} were"),
                }
            ),
            raise("memory.max"),
        ),
        Clue::Max => (
            format!(
                "{name} {stalled} in {window} and met its own memory.max {} times",
                facts.max
            ),
            raise("memory.max"),
        ),
        Clue::High => (
            format!(
                "{name} {stalled} in {window} and met its own memory.high {} times",
                facts.high
            ),
            raise("memory.high"),
        ),
        Clue::Parent => {
            let path = parent(scene).map_or_else(|| "a parent".into(), |p| p.after.path.clone());
            let others = if limited_by == Limiter::Share {
                ", which others share"
            } else {
                ""
            };
            (
                format!(
                    "{name} {stalled} in {window}; the limit of {path}{others} was met {} times",
                    facts.parent
                ),
                Some(format!(
                    "raise memory.max of {path}, or give {name} more of it by memory.low"
                )),
            )
        }
        Clue::Short => (
            format!(
                "{name} {stalled} in {window}, and the machine has {:.0} % of its memory left",
                100.0 * facts.available.unwrap_or(0.0)
            ),
            Some("add memory, or let something hold less".to_owned()),
        ),
        Clue::Stalls => (
            format!("{name} {stalled} in {window}, and no limit of it or of a parent was met"),
            None,
        ),
        Clue::NoStalls => {
            let met = match facts.max + facts.high {
                0 => String::new(),
                times => format!(
                    "; it met its limit {times} times, by page cache that nobody waited for"
                ),
            };
            (format!("{name} {stalled} in {window}{met}"), None)
        }
        Clue::Blind => (
            format!("nothing on this host tells whether {name} stalls for memory"),
            None,
        ),
    }
}
