//! Whose work the kernel does: who makes most of it is no victim of the rest.
//!
//! Of what softirqs and the kernel's threads do for packets and requests a part is done for nobody in
//! particular: timers of queues, freeing what was sent, the way in and out. Who floods a link loses time
//! to that part too, and would be told that the kernel took it.

use dunnage_model::usage::WindowUse;

/// Who makes this part of what softirqs took from it makes most of what is done where it runs.
const MOST: f64 = 0.5;

/// Whether the `lost` seconds that the kernel took from a party go with what it did for that party: it did
/// no less for it, and of what it took where that one ran most was for it.
pub(super) fn goes_with(window: &WindowUse, party: usize, lost: f64) -> bool {
    let Some(interrupts) = &window.stalls.interrupts else {
        return false;
    };
    let handled = interrupts.handled.iter().filter(|of| of.party == party);
    let done: f64 = handled.map(|handled| handled.time.seconds()).sum();
    let taken = interrupts.taken.iter().map(|taken| &taken.blamed);
    let (own, all) = taken
        .filter(|taken| taken.party == party)
        .fold((0.0, 0.0), |(own, all), taken| {
            (own + taken.own.seconds(), all + taken.wait.seconds())
        });
    done > 0.0 && done >= lost && own >= MOST * all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support;
    use dunnage_model::observation::Fidelity;
    use dunnage_model::observation::InterruptKind::NetworkSoftirq;
    use dunnage_model::party::{Party, PartyKind};
    use dunnage_model::units::Nanos;
    use dunnage_model::usage::{Blamed, Handled, Interruption, Interrupts, Stalls};

    /// The kernel did this much for the party, and took this much from it: for it, and in all.
    fn window(done: f64, own: f64, all: f64) -> WindowUse {
        let party = Party::new("/batch", PartyKind::Container, "batch");
        let taken = Interruption {
            kind: NetworkSoftirq,
            blamed: Blamed {
                party: 0,
                wait: Nanos::from_seconds(all),
                own: Nanos::from_seconds(own),
                blame: Vec::new(),
                unexplained: Nanos::from_seconds(all - own),
            },
        };
        let handled = Handled {
            party: 0,
            kind: NetworkSoftirq,
            time: Nanos::from_seconds(done),
            idle: Nanos::ZERO,
        };
        WindowUse {
            stalls: Stalls {
                interrupts: Some(Interrupts {
                    fidelity: Fidelity::Exact,
                    taken: vec![taken],
                    handled: vec![handled],
                }),
                ..Stalls::default()
            },
            ..tests_support::window(vec![tests_support::party_use(party, 1.0)])
        }
    }

    #[test]
    fn the_rest_is_no_loss_of_who_makes_most_of_it() {
        assert!(goes_with(&window(0.06, 0.030, 0.032), 0, 0.023));
        // All was done in the kernel's own threads, and nothing taken from the party while it ran.
        assert!(goes_with(&window(0.06, 0.0, 0.0), 0, 0.023));
    }

    #[test]
    fn it_is_a_loss_where_more_was_lost_than_done_or_most_was_done_for_others() {
        assert!(!goes_with(&window(0.06, 0.030, 0.032), 0, 0.1));
        assert!(!goes_with(&window(0.06, 0.030, 0.2), 0, 0.023));
        assert!(!goes_with(&window(0.0, 0.0, 0.0), 0, 0.0));
        assert!(!goes_with(&window(0.06, 0.03, 0.032), 1, 0.023));
        let mut unseen = window(0.06, 0.030, 0.032);
        unseen.stalls.interrupts = None;
        assert!(!goes_with(&unseen, 0, 0.023));
    }
}
