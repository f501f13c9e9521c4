//! The tables of `tables.h` as words of 8 bytes. The reader compares these sizes with those that the
//! kernel reports for the loaded maps.

use crate::sys::MappedArray;
use dunnage_model::observation::InterruptKind;

pub(super) const OWNERS: usize = 4096;
pub(super) const WORKED: usize = 4096;
/// `struct name`.
pub(super) const NAME_WORDS: usize = 2;
/// `struct cell`: key, time.
pub(super) const CELL_WORDS: usize = 2;

/// Cells of time taken for so many CPUs: a power of two, at most 1 MiB in all. On one CPU some ten parties
/// run at a time, for a few others.
pub(super) fn taken_cells(cpus: u32) -> u32 {
    cpus.saturating_mul(512)
        .clamp(4096, 65_536)
        .next_power_of_two()
}

pub(super) const IDLE: u32 = 0;
pub(super) const UNKNOWN: u32 = 1;
pub(super) const KERNEL: u32 = 2;
pub(super) const RESERVED: u32 = 4;

/// `struct cpu`.
pub(super) mod cpu {
    pub(crate) const SLOT: usize = 0;
    pub(crate) const EVENTS: usize = 1;
    /// When the softirq began, and the handler; 0 in neither.
    pub(crate) const BEGAN: [usize; 2] = [2, 8];
    pub(crate) const LOST: usize = 16;
    pub(crate) const SENT_BY: usize = 21;
    pub(crate) const WORDS: usize = 32;
}

/// What the key of a cell of time taken says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) kind: InterruptKind,
    /// Index of whose task ran.
    pub(super) victim: u32,
    /// Index of for whom the kernel worked.
    pub(super) culprit: u32,
}

impl Taken {
    /// 1 in the highest bit, then the CPU, kind, victim and culprit.
    pub(super) fn of_key(key: u64) -> Taken {
        let index = |shift: u32| u32::try_from(key >> shift & 0xff_ffff).unwrap_or(UNKNOWN);
        let kind = match key >> 48 & 3 {
            0 => InterruptKind::Irq,
            1 => InterruptKind::NetworkSoftirq,
            2 => InterruptKind::BlockSoftirq,
            _ => InterruptKind::OtherSoftirq,
        };
        Taken {
            kind,
            victim: index(24),
            culprit: index(0),
        }
    }
}

/// What the key of a cell of work says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Worked {
    /// Index of for whom.
    pub(super) index: u32,
    /// The CPU.
    pub(super) cpu: u32,
}

impl Worked {
    pub(super) fn of_key(key: u64) -> Worked {
        let half = |shift: u32| u32::try_from(key >> shift & 0xffff_ffff).unwrap_or(UNKNOWN);
        Worked {
            index: half(32),
            cpu: half(0),
        }
    }
}

/// A table of cells that only grow, with the values of the last read.
pub(super) struct Cells {
    map: MappedArray,
    last: Vec<u64>,
}

impl Cells {
    pub(super) fn new(map: MappedArray) -> Cells {
        Cells {
            last: vec![0; map.len()],
            map,
        }
    }

    /// The keys of cells that grew since the last call, and by how much.
    pub(super) fn take(&mut self) -> Vec<(u64, u64)> {
        let mut grown = Vec::new();
        for (at, last) in self.last.iter_mut().enumerate() {
            let key = self.map.load(at, 0);
            if key == 0 {
                continue;
            }
            let time = self.map.load(at, 1);
            if time > *last {
                grown.push((key, time - *last));
                *last = time;
            }
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_many_cpus() {
        assert_eq!(taken_cells(1), 4096);
        assert_eq!(taken_cells(48), 32_768);
        assert_eq!(taken_cells(u32::MAX), 65_536);
    }

    #[test]
    fn keys_of_cells_are_read_as_the_program_writes_them() {
        let key = 1 << 63 | 77 << 50 | 2 << 48 | 4095 << 24 | 17;
        let taken = Taken {
            kind: InterruptKind::BlockSoftirq,
            victim: 4095,
            culprit: 17,
        };
        assert_eq!(Taken::of_key(key), taken);
        let nothing = Taken::of_key(1 << 63);
        assert_eq!((nothing.kind, nothing.victim), (InterruptKind::Irq, IDLE));
        let worked = Worked { index: 9, cpu: 3 };
        assert_eq!(Worked::of_key(9 << 32 | 3), worked);
    }
}
