//! What must hold in more than one window before it is said: that the kernel, for nobody in particular,
//! takes CPU time from somebody. Pure: it knows windows, no clock.
//!
//! The kernel has no entitlement, and works for all: what its threads and interrupts do at one moment
//! delays whoever runs there, on every host. That is no state of the host, and nobody can act on it.
//! Parties are not judged here: a neighbour's burst is found in the window in which it is.

use dunnage_model::party::PartyKind;
use dunnage_model::verdict::{Cause, Judgement, Resource, Verdict};
use std::collections::HashMap;
use std::sync::Arc;

/// So much CPU time lost in one window is said at once, in seconds: five times the least that counts as
/// harm at all, and more than a commit of a journal or a round of writeback of an ordinary host takes.
const AT_ONCE: f64 = 0.1;

/// Else it must have held in so many windows: a moment lies in one.
const HELD: u32 = 2;

/// Of so many, this one included. Writeback and journals come every five seconds: with windows of a second
/// each of them is a moment.
const OF_WINDOWS: u32 = 4;

/// From this part of the harm on it is the kernel's doing, and not that of a service beside it.
const MOST: f64 = 0.5;

/// From whom the kernel took time in the last windows.
#[derive(Debug, Default)]
pub struct Persistence {
    /// By victim, the windows in which it was found, the last one in the lowest bit. Keys come from
    /// cgroup paths, which containers choose, so that the hash must not be guessable.
    found: HashMap<Arc<str>, u8>,
}

impl Persistence {
    /// Takes the next window in, and out of its verdicts what has not held long enough to be one.
    pub fn settle(&mut self, judgement: &mut Judgement) {
        self.found.retain(|_, windows| {
            *windows = (*windows << 1) & ((1 << OF_WINDOWS) - 1);
            *windows != 0
        });
        for verdict in judgement
            .verdicts
            .iter()
            .filter(|v| by_the_kernel(v).is_some())
        {
            *self.found.entry(verdict.victim.key.clone()).or_default() |= 1;
        }
        judgement.verdicts.retain(|verdict| {
            let Some(seconds) = by_the_kernel(verdict) else {
                return true;
            };
            let held = self.found.get(&verdict.victim.key);
            seconds >= AT_ONCE || held.is_some_and(|windows| windows.count_ones() >= HELD)
        });
    }
}

/// The CPU time that the kernel took, where that is what the verdict says.
fn by_the_kernel(verdict: &Verdict) -> Option<f64> {
    let kernel = verdict
        .culprits
        .iter()
        .find(|culprit| culprit.party.kind == PartyKind::Kernel)?;
    let says = verdict.resource == Resource::Cpu && verdict.cause == Cause::Host;
    (says && kernel.share >= MOST).then(|| kernel.time.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage_model::party::Party;
    use dunnage_model::units::Nanos;
    use dunnage_model::verdict::Culprit;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// `victim` lost so many seconds of CPU time to each.
    fn verdict(victim: &str, cause: Cause, by: &[(Party, f64)]) -> Verdict {
        let harm: f64 = by.iter().map(|(_, seconds)| seconds).sum();
        let culprit = |(party, seconds): &(Party, f64)| Culprit {
            party: Arc::new(party.clone()),
            time: Nanos::from_seconds(*seconds),
            share: seconds / harm,
        };
        Verdict {
            victim: Arc::new(container(victim)),
            resource: Resource::Cpu,
            cause,
            harm: Nanos::from_seconds(harm),
            fraction: 0.1,
            culprits: by.iter().map(culprit).collect(),
            unexplained: 0.0,
            confidence: 0.9,
            evidence: "e".into(),
            advice: "a".into(),
            facts: BTreeMap::new(),
        }
    }

    fn container(name: &str) -> Party {
        Party::new(name, PartyKind::Container, name)
    }

    fn service(name: &str) -> Party {
        Party::new(name, PartyKind::Service, name)
    }

    fn kernel(victim: &str, seconds: f64) -> Verdict {
        verdict(victim, Cause::Host, &[(Party::kernel(), seconds)])
    }

    /// How many of these verdicts are said in the next window.
    fn said(persistence: &mut Persistence, verdicts: Vec<Verdict>) -> usize {
        let mut judgement = Judgement {
            verdicts,
            cleared: Vec::new(),
        };
        persistence.settle(&mut judgement);
        judgement.verdicts.len()
    }

    #[test]
    fn a_moment_of_the_kernel_accuses_nobody() {
        let mut persistence = Persistence::default();
        for _ in 0..10 {
            assert_eq!(said(&mut persistence, Vec::new()), 0);
        }
        assert_eq!(said(&mut persistence, vec![kernel("web", 0.04)]), 0);
        for _ in 0..10 {
            assert_eq!(said(&mut persistence, Vec::new()), 0);
        }
    }

    #[test]
    fn what_comes_every_five_seconds_accuses_nobody() {
        let mut persistence = Persistence::default();
        for window in 0..600 {
            let verdicts = match window % 5 {
                0 => vec![kernel("web", 0.04)],
                _ => Vec::new(),
            };
            assert_eq!(said(&mut persistence, verdicts), 0, "window {window}");
        }
    }

    #[test]
    fn a_moment_for_each_of_several_accuses_nobody() {
        let mut persistence = Persistence::default();
        let both = vec![kernel("web", 0.04), kernel("api", 0.03)];
        assert_eq!(said(&mut persistence, both), 0);
        assert_eq!(said(&mut persistence, vec![kernel("shop", 0.05)]), 0);
    }

    #[test]
    fn one_moment_that_two_judges_see_is_one() {
        let mut persistence = Persistence::default();
        let both = vec![kernel("web", 0.04), kernel("web", 0.03)];
        assert_eq!(said(&mut persistence, both), 0);
    }

    #[test]
    fn what_holds_is_said_from_the_second_window_on() {
        let mut persistence = Persistence::default();
        let told: Vec<usize> = (0..4)
            .map(|_| said(&mut persistence, vec![kernel("web", 0.03)]))
            .collect();
        assert_eq!(told, [0, 1, 1, 1]);
    }

    #[test]
    fn what_holds_in_two_windows_of_four_is_said() {
        let mut persistence = Persistence::default();
        assert_eq!(said(&mut persistence, vec![kernel("web", 0.03)]), 0);
        assert_eq!(said(&mut persistence, Vec::new()), 0);
        assert_eq!(said(&mut persistence, Vec::new()), 0);
        assert_eq!(said(&mut persistence, vec![kernel("web", 0.03)]), 1);
    }

    #[test]
    fn much_is_said_at_once() {
        let mut persistence = Persistence::default();
        assert_eq!(said(&mut persistence, vec![kernel("web", 0.12)]), 1);
    }

    #[test]
    fn who_is_no_kernel_is_found_in_one_window() {
        let mut persistence = Persistence::default();
        let verdicts = vec![
            verdict("web", Cause::Neighbour, &[(container("batch"), 0.03)]),
            verdict("web", Cause::Host, &[(service("backup"), 0.03)]),
            verdict(
                "api",
                Cause::Host,
                &[(service("backup"), 0.03), (Party::kernel(), 0.02)],
            ),
        ];
        assert_eq!(said(&mut persistence, verdicts), 3);
    }

    #[test]
    fn other_resources_have_their_own_judges() {
        let mut persistence = Persistence::default();
        let on_the_disk = Verdict {
            resource: Resource::Disk,
            ..kernel("web", 0.04)
        };
        assert_eq!(said(&mut persistence, vec![on_the_disk]), 1);
        assert_eq!(said(&mut persistence, vec![kernel("web", 0.04)]), 0);
    }

    #[test]
    fn nobody_is_remembered_for_ever() {
        let mut persistence = Persistence::default();
        said(&mut persistence, vec![kernel("web", 0.04)]);
        for _ in 0..OF_WINDOWS {
            said(&mut persistence, Vec::new());
        }
        assert!(persistence.found.is_empty());
    }

    proptest! {
        #[test]
        fn little_is_said_when_it_held_in_two_of_the_last_four(windows: Vec<bool>) {
            let mut persistence = Persistence::default();
            for (at, found) in windows.iter().enumerate() {
                let verdicts = if *found { vec![kernel("web", 0.05)] } else { Vec::new() };
                let last = &windows[at.saturating_sub(3)..=at];
                let held = last.iter().filter(|found| **found).count();
                let told = said(&mut persistence, verdicts) == 1;
                prop_assert_eq!(told, *found && held >= 2);
            }
        }
    }
}
