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
                Some((low, high)) => (low.parse().ok()?, high.parse().ok()?),
                None => {
                    let cpu: u32 = range.parse().ok()?;
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

    #[test]
    fn the_list_format_goes_there_and_back() {
        for text in ["", "0", "0-3", "0-3,8,10-11", "1,3,5"] {
            assert_eq!(CpuSet::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["a", "3-1", "0-", "-1", "0-99999999", "0 1"] {
            assert_eq!(CpuSet::parse(text), None, "{text:?}");
        }
    }
}
