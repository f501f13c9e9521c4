//! The machine that the scenarios measure: one scenario at a time, and what it says of itself.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Held by every scenario, because two that measure one machine would measure each other, however
/// many threads the test runner uses. Fails where the tests do not run as root.
pub fn machine() -> Result<MutexGuard<'static, ()>> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the end-to-end tests start engines and make cgroups: run them as root, or by ./check"
    );
    // A test that failed leaves the machine as usable as one that passed: its guards cleaned up.
    Ok(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Whether the suite runs on an emulated CPU, where everything takes many times as long.
#[must_use]
pub fn emulated() -> bool {
    std::env::var_os("DUNNAGE_TESTS_EMULATED").is_some()
}

/// For how long an engine may take to do what it was told.
#[must_use]
pub fn patience() -> Duration {
    Duration::from_secs(if emulated() { 180 } else { 40 })
}

/// The first two CPUs that are online.
pub fn two_cpus() -> Result<[u32; 2]> {
    let online = read("/sys/devices/system/cpu/online")?;
    let cpus = cpu_list(&online)?;
    match cpus.as_slice() {
        [first, second, ..] => Ok([*first, *second]),
        _ => anyhow::bail!(
            "these tests need two CPUs; /sys/devices/system/cpu/online says {online:?}"
        ),
    }
}

fn cpu_list(text: &str) -> Result<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<u32>()?..=last.parse()?);
    }
    Ok(cpus)
}

/// Reads a text file of the kernel.
pub fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {path}"))
}

/// Run time and run delay of all tasks of a process, in seconds (`/proc/PID/task/TID/schedstat`).
/// Tasks that have exited are not in it.
pub fn schedstat(pid: u32) -> Result<(f64, f64)> {
    let folder = format!("/proc/{pid}/task");
    let mut sums = (0.0, 0.0);
    for task in fs::read_dir(&folder).with_context(|| format!("list {folder}"))? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let numbers: Vec<f64> = text
            .split_whitespace()
            .take(2)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        if let [ran, waited] = numbers[..] {
            sums.0 += ran / 1e9;
            sums.1 += waited / 1e9;
        }
    }
    Ok(sums)
}

/// Waits until less than a tenth of the machine is in use for a second, at most 20 s; false where
/// that did not come. A machine that others keep busy costs this patience once, not once a scenario.
pub fn settles() -> Result<bool> {
    static NEVER_QUIET: AtomicBool = AtomicBool::new(false);
    let patience = Duration::from_secs(if NEVER_QUIET.load(Ordering::Relaxed) {
        0
    } else {
        20
    });
    let start = Instant::now();
    loop {
        let (busy, all) = ticks()?;
        std::thread::sleep(Duration::from_secs(1));
        let (busy_after, all_after) = ticks()?;
        if (busy_after - busy) / (all_after - all).max(1.0) < 0.1 {
            return Ok(true);
        }
        if start.elapsed() > patience {
            NEVER_QUIET.store(true, Ordering::Relaxed);
            return Ok(false);
        }
    }
}

/// Busy ticks and all ticks of the machine since boot.
fn ticks() -> Result<(f64, f64)> {
    let numbers = cpu_ticks()?;
    let all: f64 = numbers.iter().sum();
    Ok((all - numbers[3] - numbers[4], all))
}

/// CPU time that the hypervisor took from the machine since boot, in seconds.
pub fn stolen_seconds() -> Result<f64> {
    Ok(cpu_ticks()?[7] / TICKS_A_SECOND)
}

/// What `/proc/stat` counts in, on every architecture that Dunnage runs on (`USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;

/// The machine's CPU time since boot in ticks, up to the stolen one: the first line of `/proc/stat`.
fn cpu_ticks() -> Result<Vec<f64>> {
    let text = read("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let numbers: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    ensure!(numbers.len() == 8, "/proc/stat begins with {line:?}");
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::cpu_list;

    #[test]
    fn cpu_lists_have_ranges_and_single_numbers() {
        assert_eq!(cpu_list("0-2,5\n").unwrap(), [0, 1, 2, 5]);
        assert!(cpu_list("x").is_err());
    }
}
