//! Memory: whose limit it was, and when it does not matter. Ten seconds.

use crate::verdict::why::memory::{Clue, Facts, decide};
use dunnage_model::why::Limiter::{self, Cap, Machine, Nothing, Share, Unknown};

const QUIET: Facts = Facts {
    seconds: 10.0,
    stalled: Some(0.0),
    refaults: Some(0),
    max: 0,
    high: 0,
    oom_kills: 0,
    parent: 0,
    siblings: false,
    available: Some(0.6),
    by_others: 0.0,
    by_itself: 0.0,
};

fn cases() -> Vec<(&'static str, Facts, Limiter, Clue)> {
    vec![
        ("holds little", QUIET, Nothing, Clue::NoStalls),
        (
            "misleading: its limit is full of page cache and met all the time, and nobody waits",
            Facts {
                max: 40_000,
                stalled: Some(0.05),
                refaults: Some(300),
                ..QUIET
            },
            Nothing,
            Clue::NoStalls,
        ),
        (
            "misleading: many refaults from a fast disk that nobody waits for",
            Facts {
                refaults: Some(90_000),
                stalled: Some(0.1),
                ..QUIET
            },
            Nothing,
            Clue::NoStalls,
        ),
        (
            "misleading: the machine is short of memory and it has what it wants",
            Facts {
                available: Some(0.02),
                ..QUIET
            },
            Nothing,
            Clue::NoStalls,
        ),
        (
            "thrashes at its own memory.max, on a machine with plenty",
            Facts {
                max: 9_000,
                stalled: Some(4.0),
                refaults: Some(80_000),
                ..QUIET
            },
            Cap,
            Clue::Max,
        ),
        (
            "thrashes at its own memory.max, on a machine that is short too",
            Facts {
                max: 9_000,
                stalled: Some(4.0),
                available: Some(0.03),
                ..QUIET
            },
            Cap,
            Clue::Max,
        ),
        (
            "held back by its own memory.high",
            Facts {
                high: 700,
                stalled: Some(6.0),
                ..QUIET
            },
            Cap,
            Clue::High,
        ),
        (
            "its processes are killed at its own limit",
            Facts {
                oom_kills: 2,
                max: 20,
                ..QUIET
            },
            Cap,
            Clue::Killed,
        ),
        (
            "a parent's limit that siblings share",
            Facts {
                parent: 400,
                siblings: true,
                stalled: Some(2.0),
                ..QUIET
            },
            Share,
            Clue::Parent,
        ),
        (
            "a parent's limit that it has to itself",
            Facts {
                parent: 400,
                stalled: Some(2.0),
                ..QUIET
            },
            Cap,
            Clue::Parent,
        ),
        (
            "misleading: a parent's limit is met by siblings, and it does not stall",
            Facts {
                parent: 400,
                siblings: true,
                ..QUIET
            },
            Nothing,
            Clue::NoStalls,
        ),
        (
            "the machine has nothing left, and nobody can be named",
            Facts {
                stalled: Some(3.0),
                available: Some(0.03),
                ..QUIET
            },
            Machine,
            Clue::Short,
        ),
        (
            "a verdict names a neighbour that grew",
            Facts {
                stalled: Some(3.0),
                available: Some(0.03),
                by_others: 2.5,
                ..QUIET
            },
            Share,
            Clue::Accused,
        ),
        (
            "a verdict names its own limit, and a neighbour does a little harm",
            Facts {
                stalled: Some(3.0),
                by_others: 0.2,
                by_itself: 2.5,
                ..QUIET
            },
            Cap,
            Clue::OwnVerdict,
        ),
        (
            "stalls without any limit met",
            Facts {
                stalled: Some(3.0),
                ..QUIET
            },
            Unknown,
            Clue::Stalls,
        ),
        (
            "without pressure: refaults at its own limit",
            Facts {
                stalled: None,
                refaults: Some(90_000),
                max: 9_000,
                ..QUIET
            },
            Cap,
            Clue::Max,
        ),
        (
            "without pressure: no refaults",
            Facts {
                stalled: None,
                max: 9_000,
                ..QUIET
            },
            Nothing,
            Clue::NoStalls,
        ),
        (
            "nothing tells",
            Facts {
                stalled: None,
                refaults: None,
                ..QUIET
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
