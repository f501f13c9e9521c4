//! Disk: waits for block devices behind others' requests or its own, and throttling by a limit.

use super::scene::{Facts as Told, Scene, answer as told, file, metric, sum};
use super::thresholds::{self as bar, shows};
use crate::verdict::words::{called, duration};
use dunnage_model::usage::DiskUse;
use dunnage_model::verdict::Resource;
use dunnage_model::why::{Answer, Limiter, Metric};

/// What the decision rests on. Times in seconds of the window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// The window.
    pub(super) seconds: f64,
    /// At least one task stalled for I/O (PSI).
    pub(super) stalled: Option<f64>,
    /// Request-time waited for devices, where requests are followed.
    pub(super) waited: Option<f64>,
    /// The part of it that its own requests needed.
    pub(super) own: f64,
    /// Held back by a limit before the device's queue.
    pub(super) throttled: f64,
    /// A limit on a device is set, for it or for a parent.
    pub(super) limited: bool,
    /// The largest use of such a limit, 0 to 1; `None` where it cannot be told.
    pub(super) of_limit: Option<f64>,
    /// Operations of its own.
    pub(super) operations: f64,
    /// Operations of others on the same devices.
    pub(super) others: f64,
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
    /// Throttled.
    Throttled,
    /// Stalled, and its use is at its limit.
    AtLimit,
    /// Behind others' requests.
    Others,
    /// Behind its own.
    Own,
    /// Stalled, and who used the device cannot be told.
    Stalls,
    /// It does not wait.
    NoStalls,
    /// Nothing tells.
    Blind,
}

/// What limits it.
pub(super) fn decide(facts: &Facts) -> (Limiter, Clue) {
    let held = facts.throttled.max(facts.by_itself);
    if facts.by_others > 0.0 && facts.by_others >= held {
        return (Limiter::Share, Clue::Accused);
    }
    if facts.by_itself > 0.0 {
        return (Limiter::Cap, Clue::OwnVerdict);
    }
    let waited = facts.waited.unwrap_or(0.0);
    if facts.throttled >= waited && shows(facts.throttled, 0.0, facts.seconds) {
        return (Limiter::Cap, Clue::Throttled);
    }
    // Requests overlap, and many have nobody waiting for them: pressure tells whether they matter.
    let stalled = facts.stalled.or(facts.waited);
    let Some(stalled) = stalled else {
        return (Limiter::Unknown, Clue::Blind);
    };
    if stalled < bar::IO_PRESSURE * facts.seconds {
        return (Limiter::Nothing, Clue::NoStalls);
    }
    if facts.limited && facts.of_limit.is_some_and(|part| part >= bar::AT_LIMIT) {
        return (Limiter::Cap, Clue::AtLimit);
    }
    if let Some(waited) = facts.waited.filter(|waited| *waited > 0.0) {
        return if facts.own < (1.0 - bar::MOST) * waited {
            (Limiter::Share, Clue::Others)
        } else {
            (Limiter::Machine, Clue::Own)
        };
    }
    let all = facts.operations + facts.others;
    match all > 0.0 {
        true if facts.others >= bar::OTHERS_BUSY * all => (Limiter::Share, Clue::Others),
        true => (Limiter::Machine, Clue::Own),
        false => (Limiter::Unknown, Clue::Stalls),
    }
}

/// The answer for the party of `scene`.
pub(super) fn answer(scene: &Scene<'_>) -> Answer {
    let facts = gather(scene);
    let (limited_by, clue) = decide(&facts);
    let limit = limits(scene).next().map(|limit| &*limit.value);
    let mut all = Told::default();
    all.number("stalled_seconds", facts.stalled)
        .number("waited_seconds", facts.waited)
        .number("own_seconds", facts.waited.map(|_| facts.own))
        .number("throttled_seconds", facts.waited.map(|_| facts.throttled))
        .number("of_limit", facts.of_limit)
        .number("operations", Some(facts.operations))
        .number("others_operations", Some(facts.others))
        .text("limit", limit);
    told(
        Resource::Disk,
        limited_by,
        decided(scene, &facts, clue),
        sentences(scene, &facts, clue),
        scene.accusing(Resource::Disk),
        all.take(),
    )
}

fn gather(scene: &Scene<'_>) -> Facts {
    let seconds = scene.seconds();
    let own_stalls = || {
        let all = scene.window.stalls.disk.iter().flatten();
        all.filter(|stall| stall.blamed.party == scene.party)
    };
    let followed = scene.window.stalls.disk.is_some();
    let used = scene.user().disk.as_deref().unwrap_or_default();
    let mine = |disk: &&DiskUse| used.iter().any(|own| own.device == disk.device);
    let others = scene.others().flat_map(|user| user.disk.iter().flatten());
    let operations = |disk: &DiskUse| (disk.reads + disk.writes) as f64;
    let harm = |verdict: Option<&dunnage_model::verdict::Verdict>| {
        verdict.map_or(0.0, |verdict| verdict.harm.seconds())
    };
    let limited = limits(scene).next().is_some();
    let stalled = scene.user().pressure.io_some.map(|share| share * seconds);
    // A limit holds requests back before they are seen: its tasks are stalled, and nothing of theirs
    // is outstanding.
    let outstanding = sum(own_stalls().map(|stall| stall.waiting.seconds()));
    let held = stalled.map_or(0.0, |stalled| (stalled - outstanding).max(0.0));
    Facts {
        seconds,
        stalled,
        waited: followed.then(|| sum(own_stalls().map(|stall| stall.blamed.wait.seconds()))),
        own: sum(own_stalls().map(|stall| stall.blamed.own.seconds())),
        throttled: if limited && followed { held } else { 0.0 },
        limited,
        of_limit: of_limit(scene, used),
        operations: used.iter().map(operations).sum(),
        others: others.filter(mine).map(operations).sum(),
        by_others: harm(scene.accusing(Resource::Disk)),
        by_itself: harm(limit_verdict(scene)),
    }
}

/// The verdict on a limit of its own, by the names of both versions.
fn limit_verdict<'a>(scene: &Scene<'a>) -> Option<&'a dunnage_model::verdict::Verdict> {
    scene
        .own_limit(Resource::Disk, "io.")
        .or_else(|| scene.own_limit(Resource::Disk, "blkio"))
}

/// The limits on devices, its own first.
fn limits<'a>(
    scene: &Scene<'a>,
) -> impl Iterator<Item = &'a dunnage_model::observation::Sourced<std::sync::Arc<str>>> {
    scene.levels().flat_map(|level| &level.after.io_limits)
}

/// The largest part of a limit that its use made up. Limits name devices by number and uses by
/// name, so that all devices are taken together: right for one device, too much for several.
fn of_limit(scene: &Scene<'_>, used: &[DiskUse]) -> Option<f64> {
    let seconds = scene.seconds();
    let rate = |of: fn(&DiskUse) -> u64| used.iter().map(of).sum::<u64>() as f64 / seconds;
    let part = |word: &str| {
        let (name, limit) = word.split_once('=')?;
        let limit: f64 = limit.parse::<u64>().ok()? as f64;
        let rate = match name {
            "rbps" => rate(|disk| disk.read.0),
            "wbps" => rate(|disk| disk.written.0),
            "riops" => rate(|disk| disk.reads),
            "wiops" => rate(|disk| disk.writes),
            _ => return None,
        };
        (limit > 0.0).then_some(rate / limit)
    };
    scene.user().disk.as_ref()?;
    limits(scene)
        .flat_map(|limit| limit.value.split(' ').filter_map(part).collect::<Vec<_>>())
        .reduce(f64::max)
        .map(|part| part.min(1.0))
}

fn decided(scene: &Scene<'_>, facts: &Facts, clue: Clue) -> Option<Metric> {
    let requests = || scene.events("block requests (block_rq_issue, block_rq_complete)");
    let seconds = |name, value| Some(metric(name, value, "seconds", requests()));
    match clue {
        Clue::Accused => seconds("behind_others_seconds", facts.by_others),
        Clue::OwnVerdict => seconds("throttled_seconds", facts.by_itself),
        // What its tasks stalled for and no request shows.
        Clue::Throttled => {
            let own = scene.own().and_then(|own| own.after.io_pressure.as_ref());
            let from = file(own, "io.pressure");
            Some(metric(
                "throttled_seconds",
                facts.throttled,
                "seconds",
                from,
            ))
        }
        Clue::AtLimit => Some(metric(
            "of_limit",
            facts.of_limit.unwrap_or(0.0),
            "of the limit",
            file(limits(scene).next(), "io.max"),
        )),
        Clue::Others | Clue::Own if facts.waited.is_some() => {
            let waited = facts.waited.unwrap_or(0.0);
            if clue == Clue::Own {
                seconds("own_seconds", facts.own)
            } else {
                seconds("behind_others_seconds", waited - facts.own)
            }
        }
        Clue::Others | Clue::Own | Clue::Stalls | Clue::NoStalls => match facts.stalled {
            Some(stalled) => {
                let own = scene.own().and_then(|own| own.after.io_pressure.as_ref());
                Some(metric(
                    "stalled_seconds",
                    stalled,
                    "seconds",
                    file(own, "io.pressure"),
                ))
            }
            None => seconds("waited_seconds", facts.waited?),
        },
        Clue::Blind => None,
    }
}

fn sentences(scene: &Scene<'_>, facts: &Facts, clue: Clue) -> (String, Option<String>) {
    let name = called(&scene.user().party);
    let window = duration(facts.seconds);
    let stalled = match facts.stalled {
        Some(stalled) => format!("was stalled for I/O for {stalled:.2} s"),
        None => format!("waited {:.2} s for disks", facts.waited.unwrap_or(0.0)),
    };
    let of_all = 100.0 * facts.others / (facts.operations + facts.others).max(1.0);
    let limit = limits(scene).next();
    let limit_words = limit.map_or(String::new(), |limit| format!(" ({})", limit.value));
    match clue {
        Clue::Accused | Clue::OwnVerdict => {
            let verdict = if clue == Clue::Accused {
                scene.accusing(Resource::Disk)
            } else {
                limit_verdict(scene)
            };
            verdict
                .map(|v| (v.evidence.clone(), Some(v.advice.clone())))
                .unwrap_or_default()
        }
        Clue::Throttled => (
            format!(
                "{name}'s requests were held for {:.2} s in {window} by its limit{limit_words}",
                facts.throttled
            ),
            Some(format!(
                "raise the limit of {name} on that device, or let it do less"
            )),
        ),
        Clue::AtLimit => (
            format!(
                "{name} {stalled} in {window} and used {:.0} % of its limit{limit_words}",
                100.0 * facts.of_limit.unwrap_or(0.0)
            ),
            Some(format!(
                "raise the limit of {name} on that device, or let it do less"
            )),
        ),
        Clue::Others => (
            match facts.waited {
                Some(waited) => format!(
                    "{name} waited {waited:.2} s for disks in {window}, {:.2} s of it behind others, none with more than its share",
                    waited - facts.own
                ),
                None => format!(
                    "{name} {stalled} in {window}, and others made {of_all:.0} % of the requests on its disks"
                ),
            },
            Some(format!(
                "give {name} more weight on the disk (io.weight), or move it to another"
            )),
        ),
        Clue::Own => (
            format!(
                "{name} {stalled} in {window} behind its own requests; others made {of_all:.0} % of those on its disks"
            ),
            Some(format!(
                "give {name} a faster disk, or let it read and write less"
            )),
        ),
        Clue::Stalls => (
            format!(
                "{name} {stalled} in {window}, and whose requests those were is not known here"
            ),
            None,
        ),
        Clue::NoStalls => (format!("{name} {stalled} in {window}"), None),
        Clue::Blind => (
            format!("nothing on this host tells whether {name} waits for disks"),
            None,
        ),
    }
}
