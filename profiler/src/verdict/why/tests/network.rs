//! Network: others' packets, its own, a limit, or nobody waits. Ten seconds.

use crate::verdict::why::network::{Clue, Facts, decide};
use dunnage_model::why::Limiter::{self, Cap, Machine, Nothing, Share, Unknown};

/// Some traffic, with every queue watched.
const QUIET: Facts = Facts {
    seconds: 10.0,
    waited: Some(0.01),
    own: 0.01,
    dropped: 0,
    bytes: Some(1 << 20),
    dropped_inside: 0,
    by_others: 0.0,
    by_itself: 0.0,
};

/// The same without eBPF.
const UNWATCHED: Facts = Facts {
    waited: None,
    own: 0.0,
    ..QUIET
};

fn cases() -> Vec<(&'static str, Facts, Limiter, Clue)> {
    vec![
        (
            "some traffic through empty queues",
            QUIET,
            Nothing,
            Clue::NoWaits,
        ),
        (
            "misleading: much traffic through empty queues",
            Facts {
                bytes: Some(1 << 40),
                ..QUIET
            },
            Nothing,
            Clue::NoWaits,
        ),
        (
            "its packets stand behind others'",
            Facts {
                waited: Some(5.0),
                own: 0.5,
                ..QUIET
            },
            Share,
            Clue::Others,
        ),
        (
            "its packets fill the link alone",
            Facts {
                waited: Some(8.0),
                own: 7.9,
                dropped: 40,
                ..QUIET
            },
            Machine,
            Clue::Own,
        ),
        (
            "a verdict names a neighbour",
            Facts {
                waited: Some(5.0),
                own: 0.5,
                by_others: 4.0,
                ..QUIET
            },
            Share,
            Clue::Accused,
        ),
        (
            "a verdict names its own limit",
            Facts {
                waited: Some(5.0),
                own: 5.0,
                by_itself: 4.0,
                ..QUIET
            },
            Cap,
            Clue::OwnVerdict,
        ),
        (
            "no traffic, nothing watched",
            Facts {
                bytes: Some(0),
                ..UNWATCHED
            },
            Nothing,
            Clue::NoTraffic,
        ),
        (
            "packets are dropped somewhere, nothing watched",
            Facts {
                dropped_inside: 9,
                ..UNWATCHED
            },
            Unknown,
            Clue::Drops,
        ),
        ("traffic, nothing watched", UNWATCHED, Unknown, Clue::Blind),
    ]
}

#[test]
fn every_case_has_its_label() {
    for (case, facts, limiter, clue) in cases() {
        assert_eq!(decide(&facts), (limiter, clue), "{case}");
    }
}
