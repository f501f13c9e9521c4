//! The talk's game on the CPU, and what it leaves out. Ten seconds on four CPUs.

use crate::verdict::why::cpu::{Clue, Facts, decide};
use dunnage_model::why::Limiter::{self, Cap, Hypervisor, Machine, Nothing, Share, Unknown};

/// An idle container on an idle machine, every wait counted.
const QUIET: Facts = Facts {
    seconds: 10.0,
    used: 0.1,
    frozen: false,
    throttled: 0.0,
    at_quota: false,
    throttled_by_parent: 0.0,
    refused_forks: 0,
    waited: Some(0.0),
    behind_itself: 0.0,
    stalled: Some(0.0),
    involuntary: Some(2),
    cpus: 4.0,
    allowed: 4.0,
    idle: 39.0,
    host_idle: 39.0,
    others: 0.9,
    stolen: 0.0,
    interrupted: 0.0,
    accused: false,
};

/// The same without eBPF.
const UNCOUNTED: Facts = Facts {
    waited: None,
    ..QUIET
};

/// A full machine: no idle CPU.
const FULL: Facts = Facts {
    idle: 0.1,
    host_idle: 0.1,
    ..QUIET
};

fn cases() -> Vec<(&'static str, Facts, Limiter, Clue)> {
    vec![
        ("idle on an idle machine", QUIET, Nothing, Clue::NoWaits),
        (
            "paused: it waits for nothing, and may not run",
            Facts {
                used: 0.0,
                frozen: true,
                ..QUIET
            },
            Cap,
            Clue::Frozen,
        ),
        (
            "game a: throttled time rises, while half the CPUs idle",
            Facts {
                throttled: 6.0,
                used: 5.0,
                idle: 20.0,
                host_idle: 20.0,
                ..QUIET
            },
            Cap,
            Clue::Quota,
        ),
        (
            "game a on a full machine: throttled time rises and others are busy",
            Facts {
                throttled: 6.0,
                used: 5.0,
                waited: Some(1.0),
                others: 34.0,
                ..FULL
            },
            Cap,
            Clue::Quota,
        ),
        (
            "game b: not throttled, taken off the CPU, no idle CPU, others busy",
            Facts {
                used: 10.0,
                waited: Some(12.0),
                behind_itself: 1.0,
                involuntary: Some(3_000),
                others: 29.9,
                ..FULL
            },
            Share,
            Clue::Others,
        ),
        (
            "game c: the same, and others are idle",
            Facts {
                used: 39.0,
                waited: Some(30.0),
                behind_itself: 29.0,
                involuntary: Some(9_000),
                others: 0.9,
                ..FULL
            },
            Machine,
            Clue::Threads,
        ),
        (
            "misleading: others are busy, and it waits behind its own threads nine times as long",
            Facts {
                used: 30.0,
                waited: Some(120.0),
                behind_itself: 109.0,
                others: 9.5,
                ..FULL
            },
            Machine,
            Clue::Threads,
        ),
        (
            "game d: neither rises, on a machine that others fill",
            Facts {
                used: 3.0,
                others: 36.9,
                waited: Some(0.05),
                ..FULL
            },
            Nothing,
            Clue::NoWaits,
        ),
        (
            "misleading: its use equals its cap and it was never throttled",
            Facts {
                used: 10.0,
                ..QUIET
            },
            Nothing,
            Clue::NoWaits,
        ),
        (
            "misleading: a quota is met for some milliseconds",
            Facts {
                used: 9.9,
                throttled: 0.05,
                ..QUIET
            },
            Nothing,
            Clue::NoWaits,
        ),
        (
            "misleading: thousands of involuntary switches that cost nothing",
            Facts {
                used: 10.0,
                involuntary: Some(5_000),
                waited: Some(0.1),
                ..QUIET
            },
            Nothing,
            Clue::NoWaits,
        ),
        (
            "misleading: the machine is full and it wants nothing",
            Facts {
                used: 0.0,
                others: 39.9,
                ..FULL
            },
            Nothing,
            Clue::NoWaits,
        ),
        (
            "throttled a little, and waits behind others much more",
            Facts {
                used: 5.0,
                throttled: 0.5,
                waited: Some(8.0),
                behind_itself: 0.5,
                others: 34.9,
                ..FULL
            },
            Share,
            Clue::Others,
        ),
        (
            "it waits longer than it is throttled, and had all that its quota allows",
            Facts {
                used: 4.0,
                throttled: 1.8,
                at_quota: true,
                waited: Some(3.3),
                others: 35.9,
                ..FULL
            },
            Cap,
            Clue::Quota,
        ),
        (
            "the same, and somebody took more than its share",
            Facts {
                used: 4.0,
                throttled: 1.8,
                at_quota: true,
                waited: Some(3.3),
                accused: true,
                others: 35.9,
                ..FULL
            },
            Share,
            Clue::Others,
        ),
        (
            "a light victim that a verdict says is harmed",
            Facts {
                used: 2.0,
                waited: Some(0.4),
                accused: true,
                others: 37.9,
                ..FULL
            },
            Share,
            Clue::Others,
        ),
        (
            "harmed in bursts on a machine that is half idle",
            Facts {
                used: 2.0,
                waited: Some(0.6),
                behind_itself: 0.1,
                idle: 20.0,
                host_idle: 20.0,
                ..QUIET
            },
            Share,
            Clue::Others,
        ),
        (
            "a parent's quota that a sibling used up",
            Facts {
                used: 3.0,
                throttled_by_parent: 4.0,
                accused: true,
                ..QUIET
            },
            Share,
            Clue::ParentQuota,
        ),
        (
            "a parent's quota that it has to itself",
            Facts {
                used: 3.0,
                throttled_by_parent: 4.0,
                ..QUIET
            },
            Cap,
            Clue::ParentQuota,
        ),
        (
            "its own threads on one CPU of its cpuset, the others idle",
            Facts {
                used: 10.0,
                allowed: 1.0,
                idle: 0.0,
                host_idle: 29.0,
                others: 0.0,
                waited: Some(30.0),
                behind_itself: 29.5,
                ..QUIET
            },
            Cap,
            Clue::Cpuset,
        ),
        (
            "beside a hog on the one CPU of its cpuset, the others idle",
            Facts {
                used: 5.0,
                allowed: 1.0,
                idle: 0.0,
                host_idle: 29.0,
                others: 5.0,
                waited: Some(5.0),
                behind_itself: 0.0,
                ..QUIET
            },
            Share,
            Clue::Others,
        ),
        (
            "confined to half of a machine that is full anyway",
            Facts {
                used: 19.0,
                allowed: 2.0,
                idle: 0.0,
                host_idle: 0.2,
                others: 1.0,
                waited: Some(30.0),
                behind_itself: 29.0,
                ..FULL
            },
            Machine,
            Clue::Threads,
        ),
        (
            "the hypervisor takes a third of a machine that is all its own",
            Facts {
                used: 26.0,
                stolen: 13.0,
                waited: Some(2.0),
                behind_itself: 2.0,
                ..FULL
            },
            Hypervisor,
            Clue::Steal,
        ),
        (
            "misleading: steal, while it sleeps",
            Facts {
                used: 0.0,
                stolen: 0.0,
                host_idle: 20.0,
                ..QUIET
            },
            Nothing,
            Clue::NoWaits,
        ),
        (
            "softirqs for a neighbour's packets take its CPU, and it waits for none",
            Facts {
                used: 6.0,
                interrupted: 1.5,
                ..QUIET
            },
            Share,
            Clue::Interrupts,
        ),
        (
            "forks are refused, and nothing else",
            Facts {
                refused_forks: 7,
                ..QUIET
            },
            Cap,
            Clue::Forks,
        ),
        (
            "forks are refused while others take the CPU: the CPU is what it lacks",
            Facts {
                refused_forks: 7,
                used: 5.0,
                waited: Some(6.0),
                others: 34.0,
                ..FULL
            },
            Share,
            Clue::Others,
        ),
        (
            "without eBPF: pressure, no idle CPU, others busy",
            Facts {
                used: 10.0,
                stalled: Some(6.0),
                others: 29.0,
                ..Facts {
                    waited: None,
                    ..FULL
                }
            },
            Share,
            Clue::Others,
        ),
        (
            "without eBPF: pressure, no idle CPU, others idle",
            Facts {
                used: 39.0,
                stalled: Some(9.0),
                others: 0.5,
                ..Facts {
                    waited: None,
                    ..FULL
                }
            },
            Machine,
            Clue::Threads,
        ),
        (
            "without eBPF, misleading: all the pressure is its own quota's",
            Facts {
                used: 5.0,
                throttled: 6.0,
                stalled: Some(6.5),
                others: 34.0,
                ..Facts {
                    waited: None,
                    ..FULL
                }
            },
            Cap,
            Clue::Quota,
        ),
        (
            "without eBPF: pressure while CPUs idle, and nobody seen",
            Facts {
                used: 5.0,
                stalled: Some(4.0),
                idle: 20.0,
                host_idle: 20.0,
                ..UNCOUNTED
            },
            Unknown,
            Clue::Waits,
        ),
        (
            "without eBPF, misleading: a little pressure, as kernel threads make it",
            Facts {
                used: 20.0,
                stalled: Some(0.4),
                ..UNCOUNTED
            },
            Nothing,
            Clue::NoWaits,
        ),
        (
            "without pressure too: the talk's own game, b",
            Facts {
                used: 10.0,
                stalled: None,
                involuntary: Some(2_500),
                others: 29.0,
                ..Facts {
                    waited: None,
                    ..FULL
                }
            },
            Share,
            Clue::Others,
        ),
        (
            "without pressure too: the talk's own game, c",
            Facts {
                used: 39.0,
                stalled: None,
                involuntary: Some(9_000),
                others: 0.5,
                ..Facts {
                    waited: None,
                    ..FULL
                }
            },
            Machine,
            Clue::Threads,
        ),
        (
            "without pressure too: the talk's own game, d",
            Facts {
                used: 9.0,
                stalled: None,
                involuntary: Some(90),
                others: 30.0,
                ..Facts {
                    waited: None,
                    ..FULL
                }
            },
            Nothing,
            Clue::NoWaits,
        ),
        (
            "nothing tells",
            Facts {
                used: 9.0,
                stalled: None,
                involuntary: None,
                ..UNCOUNTED
            },
            Unknown,
            Clue::Blind,
        ),
    ]
}

#[test]
fn every_case_has_its_label() {
    for (case, facts, limiter, clue) in cases() {
        assert_eq!(decide(&facts), (limiter, clue), "{case}");
    }
}

#[test]
fn longer_windows_of_the_same_give_the_same() {
    for (case, facts, limiter, clue) in cases() {
        let scale = 6.0;
        let longer = Facts {
            seconds: facts.seconds * scale,
            used: facts.used * scale,
            throttled: facts.throttled * scale,
            throttled_by_parent: facts.throttled_by_parent * scale,
            waited: facts.waited.map(|waited| waited * scale),
            behind_itself: facts.behind_itself * scale,
            stalled: facts.stalled.map(|stalled| stalled * scale),
            involuntary: facts.involuntary.map(|count| count * 6),
            idle: facts.idle * scale,
            host_idle: facts.host_idle * scale,
            others: facts.others * scale,
            stolen: facts.stolen * scale,
            interrupted: facts.interrupted * scale,
            ..facts
        };
        assert_eq!(decide(&longer), (limiter, clue), "{case}");
    }
}
