//! Where the demo plays: on the CPUs that have least to do, so that it meets and disturbs least.

use super::DemoError;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

/// How long the CPUs are watched before two are chosen.
const LOOK: Duration = Duration::from_millis(250);

/// The CPUs of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Of the victim and the culprit.
    pub(super) stage: usize,
    /// Of the bystander; `None` where there is only one CPU to run on.
    pub(super) aside: Option<usize>,
}

/// Chooses out of the CPUs that this process may use.
///
/// # Errors
/// Where the kernel does not say which these are.
pub(super) fn find() -> Result<Places, DemoError> {
    let allowed = sched_getaffinity(Pid::from_raw(0))
        .map_err(|e| DemoError::load("demo", "ask for its CPUs", e.into()))?;
    let allowed: Vec<usize> = (0..CpuSet::count())
        .filter(|cpu| allowed.is_set(*cpu).unwrap_or(false))
        .collect();
    let stat = || fs::read_to_string("/proc/stat").unwrap_or_default();
    let before = stat();
    thread::sleep(LOOK);
    Ok(choose(&allowed, &before, &stat()))
}

/// The two of `allowed` that were idle longest between two readings of `/proc/stat`; of equal ones
/// the lower number.
fn choose(allowed: &[usize], before: &str, after: &str) -> Places {
    let (before, after) = (idle_ticks(before), idle_ticks(after));
    let idle = |cpu: &usize| {
        let at = |ticks: &BTreeMap<usize, u64>| ticks.get(cpu).copied().unwrap_or(0);
        at(&after).saturating_sub(at(&before))
    };
    let mut cpus = allowed.to_vec();
    cpus.sort_by_key(|cpu| (Reverse(idle(cpu)), *cpu));
    Places {
        stage: cpus.first().copied().unwrap_or(0),
        aside: cpus.get(1).copied(),
    }
}

/// Ticks in idle and iowait by CPU, out of the `cpuN` lines of `/proc/stat` (proc_stat(5)).
fn idle_ticks(stat: &str) -> BTreeMap<usize, u64> {
    let of_line = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_whitespace();
        let cpu = words.next()?.parse().ok()?;
        let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        Some((cpu, ticks.get(3)?.saturating_add(*ticks.get(4)?)))
    };
    // The line of all CPUs together has no number: its first word is already a count.
    stat.lines()
        .filter(|line| !line.starts_with("cpu "))
        .filter_map(of_line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "cpu  9 0 0 300 0 0 0 0 0 0\ncpu0 1 0 0 100 0 0 0 0 0 0\ncpu1 1 0 0 100 0 0 0 0 0 0\ncpu2 1 0 0 100 0 0 0 0 0 0\nintr 5\n";
    const AFTER: &str = "cpu  9 0 0 300 0 0 0 0 0 0\ncpu0 9 0 0 105 0 0 0 0 0 0\ncpu1 1 0 0 120 4 0 0 0 0 0\ncpu2 1 0 0 123 0 0 0 0 0 0\n";

    #[test]
    fn the_idlest_cpus_are_taken() {
        assert_eq!(
            choose(&[0, 1, 2], BEFORE, AFTER),
            Places {
                stage: 1,
                aside: Some(2)
            }
        );
        assert_eq!(
            choose(&[0, 2], BEFORE, AFTER),
            Places {
                stage: 2,
                aside: Some(0)
            }
        );
    }

    #[test]
    fn without_readings_the_first_ones_are_taken() {
        assert_eq!(
            choose(&[3, 4], "", "garbage"),
            Places {
                stage: 3,
                aside: Some(4)
            }
        );
        assert_eq!(
            choose(&[5], BEFORE, AFTER),
            Places {
                stage: 5,
                aside: None
            }
        );
    }
}
