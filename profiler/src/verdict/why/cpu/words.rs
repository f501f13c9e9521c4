//! The metric that decided about the CPU, and the sentences.

use super::{Clue, Facts, own_advice, threads_advice};
use crate::verdict::cpu::knobs::{limit_knob, weight_knob};
use crate::verdict::why::scene::{Scene, file, metric as of};
use crate::verdict::words::{called, duration, handle, place};
use dunnage_model::party::Party;
use dunnage_model::why::{Limiter, Metric};

const WAITS: &str = "run queue waits (sched_switch)";

/// The number that decided, and where it was read.
pub(super) fn metric(scene: &Scene<'_>, facts: &Facts, clue: Clue) -> Option<Metric> {
    let own = scene.own().map(|own| own.after);
    let waits = || waited(scene, facts);
    match clue {
        Clue::Frozen => Some(of(
            "frozen_cgroups",
            1.0,
            "cgroups",
            file(own.and_then(|own| own.frozen.as_ref()), "cgroup.events"),
        )),
        Clue::Quota => Some(of(
            "throttled_seconds",
            facts.throttled,
            "seconds",
            file(own.and_then(|own| own.throttled.as_ref()), "cpu.stat"),
        )),
        Clue::ParentQuota => {
            let parent = parent(scene);
            Some(of(
                "throttled_by_parent_seconds",
                facts.throttled_by_parent,
                "seconds",
                file(parent.and_then(|p| p.throttled.as_ref()), "cpu.stat"),
            ))
        }
        Clue::Forks => Some(of(
            "forks_refused",
            facts.refused_forks as f64,
            "forks",
            file(
                own.and_then(|own| own.forks_refused.as_ref()),
                "pids.events",
            ),
        )),
        Clue::Steal => Some(of("stolen_seconds", facts.stolen, "seconds", "/proc/stat")),
        Clue::Interrupts => Some(of(
            "interrupted_seconds",
            facts.interrupted,
            "seconds",
            scene.events("interrupts and softirqs on the CPUs"),
        )),
        Clue::Others if facts.waited.is_some() => Some(of(
            "behind_others_seconds",
            facts.waited.unwrap_or(0.0) - facts.behind_itself,
            "seconds",
            scene.events(WAITS),
        )),
        Clue::Cpuset | Clue::Threads if facts.waited.is_some() => Some(of(
            "behind_itself_seconds",
            facts.behind_itself,
            "seconds",
            scene.events(WAITS),
        )),
        Clue::Cpuset | Clue::Threads | Clue::Others | Clue::Waits | Clue::NoWaits => waits(),
        Clue::Blind => None,
    }
}

/// How long it waited, by the best that tells.
fn waited(scene: &Scene<'_>, facts: &Facts) -> Option<Metric> {
    if let Some(waited) = facts.waited {
        return Some(of(
            "runqueue_wait_seconds",
            waited,
            "seconds",
            scene.events(WAITS),
        ));
    }
    if let Some(stalled) = facts.stalled {
        let own = scene.own().and_then(|own| own.after.cpu_pressure.as_ref());
        return Some(of(
            "stalled_seconds",
            stalled,
            "seconds",
            file(own, "cpu.pressure"),
        ));
    }
    let involuntary = facts.involuntary? as f64;
    let from = "nonvoluntary_ctxt_switches in /proc/PID/task/TID/status";
    Some(of(
        "involuntary_switches",
        involuntary,
        "switches",
        scene.events(from),
    ))
}

/// The parent whose quota held it longest.
fn parent<'a>(scene: &Scene<'a>) -> Option<&'a dunnage_model::observation::LevelReading> {
    let levels = scene.levels().skip(1);
    let grown = levels.map(|level| {
        let nanos = level.grew(|l| l.throttled.as_ref(), |time| time.0);
        (nanos.unwrap_or(0), level.after)
    });
    grown
        .filter(|(_, level)| level.quota_cpus.is_some())
        .max_by_key(|(nanos, _)| *nanos)
        .map(|(_, level)| level)
}

/// Evidence and advice.
pub(super) fn sentences(
    scene: &Scene<'_>,
    facts: &Facts,
    limited_by: Limiter,
    clue: Clue,
) -> (String, Option<String>) {
    let name = called(&scene.user().party);
    let window = duration(facts.seconds);
    let accusing = scene.outrun();
    let idle = format!(
        "{:.0} % of the CPUs that it may use stood idle",
        100.0 * part(facts.idle, facts.allowed * facts.seconds)
    );
    let taken = facts.involuntary.map_or(String::new(), |switches| {
        let times = match switches {
            1 => "once".to_owned(),
            many => format!("{many} times"),
        };
        format!(", and the CPU was taken from it {times}")
    });
    match clue {
        Clue::Frozen => (
            format!(
                "{name} is frozen: nothing in it may run, and it used {:.2} s",
                facts.used
            ),
            Some(thaw(&scene.user().party)),
        ),
        Clue::Quota => {
            let quota = scene.user().claim.quota_cpus;
            let limit = quota.map_or(String::new(), |cpus| format!(" of {cpus:.2} CPUs"));
            let advice = own_advice(scene, "cpu.max").unwrap_or_else(|| {
                let more = 2.0 * quota.unwrap_or(0.5);
                let knob = limit_knob(&scene.user().party, more, scene.window.host.cgroup);
                format!("raise the CPU limit of {name} ({knob}), or let it do less")
            });
            (
                format!(
                    "{name}'s own limit{limit} held it for {:.2} s in {window} while {idle}",
                    facts.throttled
                ),
                Some(advice),
            )
        }
        Clue::ParentQuota => {
            let path = parent(scene).map_or("a parent", |parent| &*parent.path);
            let by = if limited_by == Limiter::Share {
                "others below it used more than their share of it"
            } else {
                "nobody else below it used more than a share"
            };
            (
                format!(
                    "the CPU limit of {path} held {name} for {:.2} s in {window}; {by}",
                    facts.throttled_by_parent
                ),
                accusing
                    .map(|verdict| verdict.advice.clone())
                    .or_else(|| own_advice(scene, "cpu.max"))
                    .or_else(|| Some(format!("raise cpu.max of {path}"))),
            )
        }
        Clue::Forks => {
            let own = scene.own().map(|own| own.after);
            let max = own
                .and_then(|own| own.tasks_max.as_ref())
                .map(|max| max.value);
            let room = max.map_or(String::new(), |max| format!(" of {max} tasks"));
            (
                format!(
                    "{} forks of {name} were refused in {window}: it has all that its limit{room} allows",
                    facts.refused_forks
                ),
                own_advice(scene, "pids.max").or_else(|| {
                    Some(format!(
                        "raise pids.max of {name}, or let it start fewer tasks"
                    ))
                }),
            )
        }
        Clue::Steal => (
            format!(
                "the hypervisor gave {:.2} s of {name}'s time in {window} to other machines",
                facts.stolen
            ),
            Some("ask for dedicated CPUs, or move this machine to another host".to_owned()),
        ),
        Clue::Interrupts => scene
            .interrupted()
            .map(|verdict| (verdict.evidence.clone(), Some(verdict.advice.clone())))
            .unwrap_or_default(),
        Clue::Others => {
            let waited = waited_words(facts);
            let who = match accusing {
                Some(_) => "others ran meanwhile with more than their share",
                None => "others ran meanwhile, none with more than its share",
            };
            (
                format!("{name} {waited} in {window}{taken}; {who}, and {idle}"),
                accusing
                    .map(|verdict| verdict.advice.clone())
                    .or_else(|| own_advice(scene, "cpu.weight"))
                    .or_else(|| {
                        let knob = weight_knob(scene.user(), scene.window.host.cgroup);
                        Some(format!("raise the weight of {name} ({knob}), or add CPUs"))
                    }),
            )
        }
        Clue::Cpuset => (
            format!(
                "{name} {} in {window} behind its own threads on the {:.0} CPUs that it may use, while the machine has {:.0}",
                waited_words(facts),
                facts.allowed,
                facts.cpus
            ),
            own_advice(scene, "cpuset")
                .or_else(|| Some(format!("widen the cpuset or the affinity of {name}"))),
        ),
        Clue::Threads => (
            format!(
                "{name} {} in {window} behind its own threads{taken}; others used {:.0} % of the CPUs",
                waited_words(facts),
                100.0 * part(facts.others, facts.allowed * facts.seconds)
            ),
            threads_advice(scene)
                .or_else(|| Some(format!("add CPUs, or let {name} run fewer threads at once"))),
        ),
        Clue::Waits => (
            format!(
                "{name} {} in {window} while {idle}; who had its CPU was not seen",
                waited_words(facts)
            ),
            Some("run with eBPF, which counts who runs while it waits".to_owned()),
        ),
        Clue::NoWaits => (
            format!(
                "{name} was not throttled and {} in {window}; it used {:.2} s, and {idle}",
                waited_words(facts),
                facts.used
            ),
            None,
        ),
        Clue::Blind => (
            format!("nothing on this host tells whether {name} waits for a CPU"),
            None,
        ),
    }
}

/// How to let it run again.
fn thaw(party: &Party) -> String {
    match (party.engine.as_deref(), handle(party)) {
        (Some(engine @ ("docker" | "podman")), Some(handle)) => {
            format!("let it run: {engine} unpause {handle}")
        }
        (Some("systemd"), Some(handle)) => format!("let it run: systemctl thaw {handle}"),
        _ => format!(
            "let {} run: write 0 to cgroup.freeze, or THAWED to freezer.state, of {} or of the parent that is frozen",
            called(party),
            place(party)
        ),
    }
}

/// "waited 1.20 s for a CPU".
fn waited_words(facts: &Facts) -> String {
    match (facts.waited, facts.stalled, facts.involuntary) {
        (Some(waited), ..) => format!("waited {waited:.2} s for a CPU"),
        (None, Some(stalled), _) => format!("was stalled for a CPU for {stalled:.2} s"),
        (None, None, Some(switches)) => format!("lost the CPU {switches} times"),
        (None, None, None) => "may have waited for a CPU".to_owned(),
    }
}

fn part(of: f64, all: f64) -> f64 {
    if all > 0.0 {
        (of / all).clamp(0.0, 1.0)
    } else {
        0.0
    }
}
