//! The agent at 1 Hz: CPU time and memory over the number of cgroups.

use crate::cgroups::Cgroups;
use crate::figures::Table;
use crate::loads;
use anyhow::Context;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Commands that run all day, and what each reads.
const AGENTS: [(&str, &[&str]); 2] = [
    (
        "blame --watch",
        &["blame", "--watch", "--for", "1s", "--json"],
    ),
    ("ps --watch", &["ps", "--watch", "--for", "1s", "--json"]),
];

/// What is promised, as percent of one core: (cgroups, busy) -> at most.
fn promised(agent: &str, cgroups: usize, busy: bool) -> Option<f64> {
    match (agent, cgroups, busy) {
        ("blame --watch", 100, false) => Some(0.2),
        ("blame --watch", 100, true) => Some(0.5),
        ("blame --watch", 1000, true) => Some(2.0),
        _ => None,
    }
}

/// Measures idle and busy cgroups at each number.
pub(crate) fn measure(binary: &Path, numbers: &[usize], seconds: u64) -> anyhow::Result<Table> {
    let mut table = Table::new();
    for &number in numbers {
        for busy in [false, true] {
            // Together some 40 % of a core, however many they are.
            let busy_us = if busy {
                (40_000 / number as u64).max(1)
            } else {
                0
            };
            let _cgroups = Cgroups::make(number, busy_us, 6 * seconds + 60)?;
            for (name, arguments) in AGENTS {
                let (share, resident, peak) = one(binary, arguments, seconds)?;
                let state = if busy { "busy" } else { "idle" };
                let note = format!("over {seconds} s after 4 s of starting");
                table.add(
                    format!("{name}, {number} {state}"),
                    share * 100.0,
                    "% of a core",
                    promised(name, number, busy),
                    note,
                );
                table.add(
                    format!("{name}, {number} {state}: resident"),
                    resident,
                    "MiB",
                    Some(30.0),
                    format!("VmRSS at the end; {peak:.1} MiB at the peak, while starting"),
                );
            }
        }
    }
    Ok(table)
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Share of a core, MiB resident at the end, MiB at the peak.
fn one(binary: &Path, arguments: &[&str], seconds: u64) -> anyhow::Result<(f64, f64, f64)> {
    let child = Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| {
            format!(
                "starting {}: build it with `cargo build --release -p dunnage`",
                binary.display()
            )
        })?;
    let agent = Agent(child);
    // Loading and the first walk are not what it costs all day.
    std::thread::sleep(Duration::from_secs(4));
    let before = cpu_seconds(agent.0.id())?;
    std::thread::sleep(Duration::from_secs(seconds));
    let share = (cpu_seconds(agent.0.id())? - before) / seconds as f64;
    Ok((
        share,
        memory_mib(agent.0.id(), "VmRSS:")?,
        memory_mib(agent.0.id(), "VmHWM:")?,
    ))
}

/// Run time of all threads; one that has just ended has none.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("the agent ended early")? {
        sum += loads::thread_nanos(&task?.path()).unwrap_or(0.0) / 1e9;
    }
    Ok(sum)
}

fn memory_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .with_context(|| format!("no {field} in the status"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
