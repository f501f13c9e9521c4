//! Disk: a limit, others' requests, its own, or nobody waits. Ten seconds.

use crate::verdict::why::disk::{Clue, Facts, decide};
use dunnage_model::why::Limiter::{self, Cap, Machine, Nothing, Share, Unknown};

/// Reads some, with every request followed.
const QUIET: Facts = Facts {
    seconds: 10.0,
    stalled: Some(0.1),
    waited: Some(0.2),
    own: 0.2,
    throttled: 0.0,
    limited: false,
    of_limit: None,
    operations: 100.0,
    others: 0.0,
    by_others: 0.0,
    by_itself: 0.0,
};

/// The same without eBPF.
const UNFOLLOWED: Facts = Facts {
    waited: None,
    own: 0.0,
    ..QUIET
};

fn cases() -> Vec<(&'static str, Facts, Limiter, Clue)> {
    vec![
        ("reads now and then", QUIET, Nothing, Clue::NoStalls),
        (
            "misleading: its use equals its limit and nobody waits",
            Facts {
                limited: true,
                of_limit: Some(1.0),
                ..QUIET
            },
            Nothing,
            Clue::NoStalls,
        ),
        (
            "misleading: long queues of writeback that nobody waits for",
            Facts {
                waited: Some(90.0),
                own: 90.0,
                ..QUIET
            },
            Nothing,
            Clue::NoStalls,
        ),
        (
            "misleading: others use the disk heavily, and it wants nothing",
            Facts {
                operations: 1.0,
                others: 90_000.0,
                stalled: Some(0.0),
                waited: Some(0.0),
                ..QUIET
            },
            Nothing,
            Clue::NoStalls,
        ),
        (
            "throttled by its own limit",
            Facts {
                throttled: 8.0,
                limited: true,
                stalled: Some(8.5),
                ..QUIET
            },
            Cap,
            Clue::Throttled,
        ),
        (
            "alone on a slow disk",
            Facts {
                stalled: Some(8.0),
                waited: Some(9.0),
                own: 8.8,
                ..QUIET
            },
            Machine,
            Clue::Own,
        ),
        (
            "behind others, none of them above its share",
            Facts {
                stalled: Some(8.0),
                waited: Some(9.0),
                own: 2.0,
                others: 900.0,
                ..QUIET
            },
            Share,
            Clue::Others,
        ),
        (
            "a verdict names a neighbour",
            Facts {
                stalled: Some(8.0),
                waited: Some(9.0),
                own: 2.0,
                by_others: 6.0,
                ..QUIET
            },
            Share,
            Clue::Accused,
        ),
        (
            "misleading: a verdict names a neighbour, and its own limit costs it far more",
            Facts {
                stalled: Some(8.0),
                throttled: 7.5,
                limited: true,
                by_others: 0.1,
                ..QUIET
            },
            Cap,
            Clue::Throttled,
        ),
        (
            "a verdict names its own limit",
            Facts {
                stalled: Some(8.0),
                by_itself: 6.0,
                ..QUIET
            },
            Cap,
            Clue::OwnVerdict,
        ),
        (
            "misleading: a limit is set and far away, others have the disk",
            Facts {
                limited: true,
                of_limit: Some(0.1),
                stalled: Some(8.0),
                others: 900.0,
                ..UNFOLLOWED
            },
            Share,
            Clue::Others,
        ),
        (
            "without eBPF: stalled, and its use is at its limit",
            Facts {
                limited: true,
                of_limit: Some(0.97),
                stalled: Some(8.0),
                ..UNFOLLOWED
            },
            Cap,
            Clue::AtLimit,
        ),
        (
            "without eBPF: stalled, alone on the disk",
            Facts {
                stalled: Some(8.0),
                others: 3.0,
                ..UNFOLLOWED
            },
            Machine,
            Clue::Own,
        ),
        (
            "without eBPF: stalled, and nothing counts operations",
            Facts {
                stalled: Some(8.0),
                operations: 0.0,
                ..UNFOLLOWED
            },
            Unknown,
            Clue::Stalls,
        ),
        (
            "nothing tells",
            Facts {
                stalled: None,
                ..UNFOLLOWED
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
