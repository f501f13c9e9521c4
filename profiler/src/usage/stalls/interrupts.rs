//! Time that interrupts and softirqs took, by party and kind.

use super::{Accounts, Wait};
use dunnage_model::observation::{InterruptKind, InterruptWindow};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{Handled, Interruption, Interrupts};
use std::collections::BTreeMap;

/// One row a party that was interrupted, and one a party that was worked for. What was taken from
/// nobody, because the CPU was idle, is in the latter alone.
pub(super) fn rows(
    window: &InterruptWindow,
    accounts: &mut Accounts<'_, '_, '_, '_>,
) -> Interrupts {
    let mut taken: BTreeMap<(usize, InterruptKind), Wait> = BTreeMap::new();
    let mut handled: BTreeMap<(usize, InterruptKind), (Nanos, Nanos)> = BTreeMap::new();
    for interrupt in &window.taken {
        let culprit = accounts.of(interrupt.culprit);
        let (time, idle) = handled.entry((culprit, interrupt.kind)).or_default();
        *time += interrupt.time;
        match interrupt.victim {
            None => *idle += interrupt.time,
            Some(victim) => {
                let victim = accounts.of(victim);
                let row = taken.entry((victim, interrupt.kind)).or_default();
                row.wait += interrupt.time;
                row.add(culprit, interrupt.time);
            }
        }
    }
    Interrupts {
        fidelity: window.fidelity,
        taken: taken
            .into_iter()
            .map(|((party, kind), wait)| Interruption {
                kind,
                blamed: wait.finish(party),
            })
            .collect(),
        handled: handled
            .into_iter()
            .map(|((party, kind), (time, idle))| Handled {
                party,
                kind,
                time,
                idle,
            })
            .collect(),
    }
}
