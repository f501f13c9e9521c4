//! The tables of `tables.h` as words of 8 bytes, and how large they are made for a host.
//!
//! The numbers repeat the structs of that file; `Probe::load` compares them with the sizes that the
//! kernel reports for the loaded maps, so a change on one side alone is refused.

use dunnage_model::observation::WAIT_BUCKETS;

/// `struct cpu`.
pub(super) mod cpu {
    /// Low half: enabled; high half: epoch_wanted.
    pub(crate) const CONTROL: usize = 0;
    /// Low half: which table of pairs is written.
    pub(crate) const TABLE: usize = 1;
    pub(crate) const LAST: usize = 3;
    pub(crate) const CLOCK_RQ: usize = 5;
    pub(crate) const SWITCHES: usize = 6;
    /// Low half: the owner that runs now.
    pub(crate) const CURRENT_OWNER: usize = 7;
    pub(crate) const CLOCK_MONO: usize = 8;
    pub(crate) const MIGRATIONS: usize = 9;
    pub(crate) const COST_NS: usize = 10;
    pub(crate) const COST_EVENTS: usize = 11;
    /// Three pages.
    pub(crate) const WORDS: usize = 3 * 512;
}

/// `struct total`.
pub(super) mod total {
    pub(crate) const RUN: usize = 0;
    pub(crate) const WAIT: usize = 1;
    pub(crate) const THROTTLED: usize = 2;
    pub(crate) const UNEXPLAINED: usize = 3;
    pub(crate) const SPILLED: usize = 4;
    pub(crate) const WAKES: usize = 6;
    pub(crate) const IDLE: usize = 7;
    /// Two counts of 32 bits a word.
    pub(crate) const HISTOGRAM: usize = 8;
    pub(crate) const WORDS: usize = HISTOGRAM + super::WAIT_BUCKETS / 2;
}

/// `struct pair`.
pub(super) mod pair {
    /// Low half: victim << 16 | culprit.
    pub(crate) const KEY: usize = 0;
    pub(crate) const TIME: usize = 1;
    pub(crate) const WORDS: usize = 2;
}

/// `struct name`.
pub(super) const NAME_WORDS: usize = 2;

pub(super) const IDLE: u32 = 0;
pub(super) const UNKNOWN: u32 = 1;
pub(super) const KERNEL: u32 = 2;
pub(super) const RESERVED: u32 = 4;

/// How large the tables are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Possible CPUs.
    pub(super) cpus: u32,
    /// Owners, a power of two.
    pub(super) owners: u32,
    /// Pairs in one of the two tables of a CPU, a power of two.
    pub(super) pairs: u32,
}

/// All maps of the program together stay below this.
pub(super) const MAPS_LIMIT_BYTES: u64 = 32 << 20;
/// `struct throttle`.
const THROTTLE_BYTES: u64 = 24;
/// One slot a task: `TASKS` times `struct task`.
const TASKS_BYTES: u64 = 32_768 * 64;

impl Geometry {
    /// The largest tables for `cpus` CPUs that stay below the limit, at most 8,192 owners and 4,096
    /// pairs a table; `None` for more CPUs than there is room for.
    pub(super) fn for_cpus(cpus: u32) -> Option<Geometry> {
        let mut geometry = Geometry {
            cpus,
            owners: 8_192,
            pairs: 4_096,
        };
        while geometry.bytes() > MAPS_LIMIT_BYTES {
            // An owner costs some four pairs: halve whichever is the larger expense.
            if geometry.pairs * 4 >= geometry.owners {
                geometry.pairs /= 2;
            } else {
                geometry.owners /= 2;
            }
            if geometry.owners < 256 || geometry.pairs < 64 {
                return None;
            }
        }
        Some(geometry)
    }

    /// What all maps take.
    pub(super) fn bytes(self) -> u64 {
        let words = |n: usize| n as u64 * 8;
        let a_cpu = words(cpu::WORDS)
            + u64::from(self.owners) * (words(total::WORDS) + THROTTLE_BYTES)
            + 2 * u64::from(self.pairs) * words(pair::WORDS);
        let shared = u64::from(self.owners) * (8 + words(NAME_WORDS));
        u64::from(self.cpus) * a_cpu + shared + TASKS_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stay_below_the_limit_on_every_host() {
        for cpus in [1, 2, 8, 64, 128, 256, 512] {
            let geometry = Geometry::for_cpus(cpus).unwrap();
            assert!(geometry.bytes() <= MAPS_LIMIT_BYTES, "{geometry:?}");
            assert!(geometry.owners.is_power_of_two() && geometry.pairs.is_power_of_two());
        }
        assert!(Geometry::for_cpus(2).unwrap().owners >= 4_096);
        assert!(Geometry::for_cpus(128).unwrap().owners >= 1_024);
        assert_eq!(Geometry::for_cpus(100_000), None);
    }
}
