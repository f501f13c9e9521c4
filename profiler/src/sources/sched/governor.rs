//! Keeps the cost of the exact accounting within bounds: the operator's, and what a light load can bear.
//!
//! The program measures itself on one event in 1,024. Where all events together would cost more than the
//! operator's budget, it is attached for a part of the time only, and the amounts are scaled up: coverage
//! `sampled`, said in the output. The same where a load that leaves every CPU time to spare switches so
//! often that to enter the program would cost it more than [`TERMS`] say ([`crate::sources::slots`]). Where
//! a CPU is saturated, and somebody waits, all is seen.

use super::layout::cpu;
use crate::sources::slots::{Slots, SlotsError, Tables, Terms};
use crate::sources::switched::Switched;
use crate::sys::MappedArray;
use std::sync::Arc;
use std::time::Duration;

/// The share of the machine's CPU time, 0 to 1, that the accounting may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget(pub f64);

impl Default for Budget {
    /// 3 %: a machine would have to switch some 300,000 times a second on each CPU to reach it.
    fn default() -> Budget {
        Budget(0.03)
    }
}

/// The shortest share of the time that is still worth scaling up.
const LEAST_DUTY: f64 = 0.02;

/// Half a percent of the busy time of a light load: all sources together are to stay within 2 %.
const TERMS: Terms = Terms {
    budget: 0.005,
    // Never idle, but for a tick of a look: whoever wakes up finds somebody there.
    saturation: Some(0.95),
    // A shorter one may fall between two slots, and nobody would have run in it.
    shortest_window: Duration::from_millis(500),
};

/// The share of the time for which the program may run, given what it would cost if always on.
pub(super) fn duty_for(budget: Budget, cost_share: f64) -> f64 {
    if cost_share <= budget.0 || cost_share <= 0.0 {
        1.0
    } else {
        (budget.0 / cost_share).max(LEAST_DUTY)
    }
}

/// Attaches the program and takes it away; always there until it costs too much.
pub(super) struct Governor {
    slots: Slots,
}

impl Governor {
    /// Attaches `programs`; `cpus` is the table of that name.
    pub(super) fn start(
        programs: Switched,
        cpus: Arc<MappedArray>,
    ) -> Result<Governor, SlotsError> {
        let slots = Slots::start("run queues", TERMS, programs, Epochs(cpus))?;
        Ok(Governor { slots })
    }

    /// The share of the time since the last call for which the program was on.
    pub(super) fn share(&mut self) -> f64 {
        self.slots.share().clamp(LEAST_DUTY / 2.0, 1.0)
    }

    /// Lets it run for `duty` of the time at most from now on.
    pub(super) fn limit(&mut self, duty: f64) {
        self.slots.limit(duty);
    }
}

/// Each time it is switched on, a new epoch begins: what happened meanwhile is not accounted for.
struct Epochs(Arc<MappedArray>);

impl Tables for Epochs {
    fn begin(&mut self) {
        for at in 0..self.0.len() {
            let control = self.0.load(at, cpu::CONTROL);
            let epoch = u32::try_from(control >> 32).unwrap_or(0).wrapping_add(1) & 0x7fff;
            self.0.store_half(at, cpu::CONTROL, 1, epoch);
            self.0.store_half(at, cpu::CONTROL, 0, 1);
        }
    }

    fn end(&mut self) {
        for at in 0..self.0.len() {
            self.0.store_half(at, cpu::CONTROL, 0, 0);
        }
    }

    fn events(&self) -> Vec<u64> {
        (0..self.0.len())
            .map(|at| self.0.load(at, cpu::SWITCHES))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_within_its_budget_is_always_on() {
        assert!((duty_for(Budget(0.01), 0.01) - 1.0).abs() < 1e-9);
        assert!((duty_for(Budget(0.01), 0.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_program_beyond_its_budget_is_on_for_the_share_that_fits() {
        assert!((duty_for(Budget(0.01), 0.04) - 0.25).abs() < 1e-9);
        assert!((duty_for(Budget(0.0), 0.5) - LEAST_DUTY).abs() < 1e-9);
    }
}
