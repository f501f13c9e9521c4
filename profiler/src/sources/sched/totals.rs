//! The table of totals: what each owner ran and waited for on each CPU, as differences.

use super::layout::{self, Geometry, total};
use crate::sys::MappedArray;
use dunnage_model::observation::{OwnerCpu, WAIT_BUCKETS};
use dunnage_model::units::Nanos;

/// What one owner accumulated since the last read.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnerDelta {
    pub(super) cpus: Vec<OwnerCpu>,
    /// Waits per CPU that found no place in the table of pairs, in step with `cpus`.
    pub(super) spilled: Vec<Nanos>,
    pub(super) throttled: Nanos,
    pub(super) unexplained: Nanos,
    pub(super) wakes: u64,
    /// Waits in which nobody ran.
    pub(super) idle: Nanos,
    pub(super) histogram: [u64; WAIT_BUCKETS],
}

impl OwnerDelta {
    pub(super) fn is_empty(&self) -> bool {
        self.cpus.is_empty() && self.throttled == Nanos::ZERO
    }
}

/// The mapped table with the values of the last read.
pub(super) struct Totals {
    table: MappedArray,
    geometry: Geometry,
    /// `total::WORDS` words per element, only for owners that were ever read.
    last: Vec<Option<Box<[u64]>>>,
    /// Run time reported beyond what the table held, because the owner was still running.
    ahead: Vec<(u32, u64)>,
}

impl Totals {
    pub(super) fn new(table: MappedArray, geometry: Geometry) -> Totals {
        let owners = geometry.owners as usize;
        Totals {
            table,
            geometry,
            last: vec![None; owners],
            ahead: vec![(layout::IDLE, 0); geometry.cpus as usize],
        }
    }

    /// Everything since the last call for `owner`. `running[cpu]` is who runs there now, and how long
    /// it has since its last switch-in.
    pub(super) fn take(&mut self, owner: u32, running: &[(u32, u64)]) -> OwnerDelta {
        let cpus = self.geometry.cpus as usize;
        let mut delta = OwnerDelta::default();
        let Some(last) = self.last.get_mut(owner as usize) else {
            return delta;
        };
        let last = last.get_or_insert_with(|| vec![0; cpus * total::WORDS].into_boxed_slice());
        for cpu in 0..cpus {
            let index = cpu * self.geometry.owners as usize + owner as usize;
            let last = &mut last[cpu * total::WORDS..(cpu + 1) * total::WORDS];
            let mut since = |word: usize| {
                let now = self.table.load(index, word);
                now.saturating_sub(std::mem::replace(&mut last[word], now))
            };
            let was_ahead = if self.ahead[cpu].0 == owner {
                self.ahead[cpu].1
            } else {
                0
            };
            let is_ahead = if running[cpu].0 == owner {
                running[cpu].1
            } else {
                0
            };
            let run = (since(total::RUN) + is_ahead).saturating_sub(was_ahead);
            let wait = since(total::WAIT);
            delta.throttled += Nanos(since(total::THROTTLED));
            delta.unexplained += Nanos(since(total::UNEXPLAINED));
            delta.wakes += since(total::WAKES);
            delta.idle += Nanos(since(total::IDLE));
            let spilled = since(total::SPILLED);
            if wait > 0 {
                for pair in 0..WAIT_BUCKETS / 2 {
                    let word = total::HISTOGRAM + pair;
                    let (now, before) = (self.table.load(index, word), last[word]);
                    last[word] = now;
                    delta.histogram[2 * pair] += u64::from(low(now).wrapping_sub(low(before)));
                    delta.histogram[2 * pair + 1] +=
                        u64::from(high(now).wrapping_sub(high(before)));
                }
            }
            if run > 0 || wait > 0 {
                let cpu = u32::try_from(cpu).unwrap_or(u32::MAX);
                delta.cpus.push(OwnerCpu {
                    cpu,
                    run: Nanos(run),
                    wait: Nanos(wait),
                });
                delta.spilled.push(Nanos(spilled));
            }
        }
        delta
    }

    /// Remembers who was running when the window closed; call after the last `take` of a read.
    pub(super) fn close(&mut self, running: &[(u32, u64)]) {
        self.ahead.copy_from_slice(running);
    }

    /// Forgets an owner whose index will be given to another.
    pub(super) fn clear(&mut self, owner: u32) {
        for cpu in 0..self.geometry.cpus as usize {
            let index = cpu * self.geometry.owners as usize + owner as usize;
            for word in 0..total::WORDS {
                self.table.store(index, word, 0);
            }
        }
        if let Some(last) = self.last.get_mut(owner as usize) {
            *last = None;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
fn low(word: u64) -> u32 {
    word as u32
}

fn high(word: u64) -> u32 {
    low(word >> 32)
}
