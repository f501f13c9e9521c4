//! The tables of pairs: who ran while whom waited, as differences.
//!
//! A CPU has two tables. It writes one; when that is half full, the other takes over, and the first is
//! emptied once it has stood still for a whole window. So nothing is lost to emptying, and pairs of
//! cgroups that are long gone do not pile up.

use super::layout::{Geometry, cpu, pair};
use crate::sys::MappedArray;
use rustc_hash::FxHashMap;

/// The mapped tables with the values of the last read.
pub(super) struct Pairs {
    table: MappedArray,
    geometry: Geometry,
    last: Vec<u64>,
    state: Vec<TableState>,
}

#[derive(Clone, Copy, Default)]
struct TableState {
    active: u32,
    /// The other table still holds pairs, and since when nothing changed there.
    draining: bool,
}

impl Pairs {
    pub(super) fn new(table: MappedArray, geometry: Geometry) -> Pairs {
        let cells = table.len();
        Pairs {
            table,
            geometry,
            last: vec![0; cells],
            state: vec![TableState::default(); geometry.cpus as usize],
        }
    }

    /// Adds what was charged since the last call to `into`, by (victim, culprit) index.
    pub(super) fn take(&mut self, cpus: &MappedArray, into: &mut FxHashMap<(u32, u32), u64>) {
        for at in 0..self.geometry.cpus {
            let TableState { active, draining } = self.state[at as usize];
            let used = self.read(at, active, into).0;
            if draining {
                let (_, changed) = self.read(at, active ^ 1, into);
                if !changed {
                    self.empty(at, active ^ 1);
                    self.state[at as usize].draining = false;
                }
            } else if used * 2 > self.geometry.pairs {
                self.state[at as usize] = TableState {
                    active: active ^ 1,
                    draining: true,
                };
                cpus.store_half(at as usize, cpu::TABLE, 0, active ^ 1);
            }
        }
    }

    fn cells(&self, cpu: u32, table: u32) -> std::ops::Range<usize> {
        let start = (cpu as usize * 2 + table as usize) * self.geometry.pairs as usize;
        start..start + self.geometry.pairs as usize
    }

    /// Returns the number of cells in use, and whether any grew.
    fn read(&mut self, cpu: u32, table: u32, into: &mut FxHashMap<(u32, u32), u64>) -> (u32, bool) {
        let (mut used, mut changed) = (0, false);
        for cell in self.cells(cpu, table) {
            let Some((victim, culprit)) = key(self.table.load(cell, pair::KEY)) else {
                continue;
            };
            used += 1;
            let time = self.table.load(cell, pair::TIME);
            let grown = time.saturating_sub(std::mem::replace(&mut self.last[cell], time));
            if grown > 0 {
                changed = true;
                *into.entry((victim, culprit)).or_default() += grown;
            }
        }
        (used, changed)
    }

    fn empty(&mut self, cpu: u32, table: u32) {
        for cell in self.cells(cpu, table) {
            self.table.store(cell, pair::KEY, 0);
            self.table.store(cell, pair::TIME, 0);
            self.last[cell] = 0;
        }
    }
}

fn key(word: u64) -> Option<(u32, u32)> {
    let key = u32::try_from(word & 0xffff_ffff).unwrap_or(0);
    (key != 0).then_some((key >> 16, key & 0xffff))
}
