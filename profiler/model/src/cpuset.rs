//! Sets of CPUs in the kernel's list format (`0-3,8,10-11`).
//!
//! Format: `Documentation/admin-guide/cputopology.rst` and `cpuset.cpus` in
//! `Documentation/admin-guide/cgroup-v2.rst`.

use std::collections::BTreeSet;
use std::fmt;

/// The largest CPU number accepted; the kernel's own `NR_CPUS` stops at 8,192.
pub const MAX_CPU: u32 = 65_535;

/// A set of CPU numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<u32>);

impl CpuSet {
    /// The set `0..n`.
    #[must_use]
    pub fn first(n: u32) -> CpuSet {
        (0..n).collect()
    }

    /// Parses the kernel's list format; `None` for anything else. The empty string is the empty set.
    #[must_use]
    pub fn parse(text: &str) -> Option<CpuSet> {
        let mut set = BTreeSet::new();
        for range in text.trim().split(',').filter(|r| !r.is_empty()) {
            let (low, high) = match range.split_once('-') {
                Some((low, high)) => (number(low)?, number(high)?),
                None => {
                    let cpu = number(range)?;
                    (cpu, cpu)
                }
            };
            if low > high || high > MAX_CPU {
                return None;
            }
            set.extend(low..=high);
        }
        Some(CpuSet(set))
    }

    /// How many CPUs are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no CPU is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `cpu` is in the set.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.contains(&cpu)
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }
}

/// Digits alone; `str::parse` would take a sign as well.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(iter: I) -> CpuSet {
        CpuSet(iter.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus: Vec<u32> = self.iter().collect();
        let mut i = 0;
        while i < cpus.len() {
            let mut j = i;
            while j + 1 < cpus.len() && cpus[j + 1] == cpus[j] + 1 {
                j += 1;
            }
            if i > 0 {
                f.write_str(",")?;
            }
            if i == j {
                write!(f, "{}", cpus[i])?;
            } else {
                write!(f, "{}-{}", cpus[i], cpus[j])?;
            }
            i = j + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_list_format_goes_there_and_back() {
        for text in ["", "0", "0-3", "0-3,8,10-11", "1,3,5"] {
            assert_eq!(CpuSet::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["a", "3-1", "0-", "-1", "+1", "0-+3", "0-99999999", "0 1"] {
            assert_eq!(CpuSet::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn ranges_may_overlap_and_come_in_any_order() {
        assert_eq!(CpuSet::parse("8,0-3,2-5\n").unwrap().to_string(), "0-5,8");
    }

    #[test]
    fn the_largest_cpu_is_the_last_one_accepted() {
        assert!(CpuSet::parse("65535").unwrap().contains(MAX_CPU));
        assert_eq!(CpuSet::parse("65536"), None);
        assert_eq!(CpuSet::parse("0-65536"), None);
        assert_eq!(CpuSet::parse("4294967296"), None);
    }

    #[test]
    fn the_first_n_are_counted_from_zero() {
        assert!(CpuSet::first(0).is_empty());
        assert_eq!(CpuSet::first(3).to_string(), "0-2");
        assert_eq!(CpuSet::first(3).len(), 3);
        assert!(!CpuSet::first(3).contains(3));
    }

    proptest! {
        #[test]
        fn every_set_survives_its_own_text(cpus in prop::collection::btree_set(0..=MAX_CPU, 0..64)) {
            let set: CpuSet = cpus.iter().copied().collect();
            prop_assert_eq!(CpuSet::parse(&set.to_string()), Some(set));
        }

        #[test]
        fn dense_sets_survive_too(cpus in prop::collection::btree_set(0_u32..16, 0..16)) {
            let set: CpuSet = cpus.iter().copied().collect();
            let text = set.to_string();
            prop_assert_eq!(CpuSet::parse(&text), Some(set), "{}", text);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "[0-9,\\-\\n x]{0,24}") {
            if let Some(set) = CpuSet::parse(&text) {
                prop_assert!(set.iter().all(|cpu| cpu <= MAX_CPU));
                prop_assert_eq!(set.iter().count(), set.len());
            }
        }
    }
}
