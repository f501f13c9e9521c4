//! What a slot is to the programs at interrupts and packets, and what they may cost.
//!
//! Some eleven times in a small request a program would be entered here, and to enter it costs more than
//! what it does.

use super::tables::cpu;
use crate::sources::slots::{Tables, Terms};
use crate::sys::MappedArray;
use std::sync::Arc;
use std::time::Duration;

/// A fifth of a percent of busy time: all sources together are to stay within 2 %.
pub(super) const TERMS: Terms = Terms {
    budget: 0.002,
    // Where a CPU is saturated, packets flood it: that is when it costs most.
    saturation: None,
    shortest_window: Duration::ZERO,
};

/// The words of the table of CPUs that tell the programs of slots.
pub(super) struct Slots {
    cpus: Arc<MappedArray>,
    slot: u64,
}

impl Slots {
    /// `cpus` is the table of that name.
    pub(super) fn new(cpus: Arc<MappedArray>) -> Slots {
        Slots { cpus, slot: 0 }
    }
}

impl Tables for Slots {
    /// Contexts begin only now that all programs are there.
    fn begin(&mut self) {
        self.slot += 1;
        for at in 0..self.cpus.len() {
            // What ended unseen in between.
            for word in cpu::BEGAN {
                self.cpus.store(at, word, 0);
            }
            self.cpus.store(at, cpu::SENT_BY, 0);
            self.cpus.store(at, cpu::SLOT, self.slot);
        }
    }

    fn end(&mut self) {
        for at in 0..self.cpus.len() {
            self.cpus.store(at, cpu::SLOT, 0);
        }
    }

    fn events(&self) -> Vec<u64> {
        (0..self.cpus.len())
            .map(|at| self.cpus.load(at, cpu::EVENTS))
            .collect()
    }
}
