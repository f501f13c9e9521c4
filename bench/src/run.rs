//! How much the times of equal runs differ, by what `dunnage run` says of them.
//!
//! The same fixed work again and again, in half of the runs beside neighbours whose number and load
//! are drawn; a generator with a fixed seed draws, so that every measurement has the same ones. If
//! the verdict is worth something, the runs it calls clean are alike.

use crate::cgroups::Cgroups;
use crate::figures::{Table, median};
use anyhow::{Context, ensure};
use dunnage_model::document::RunDocument;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};

/// Of the spread of the disturbed runs, the clean ones may have this part: "a fraction", put into a
/// number that says something.
const FRACTION: f64 = 0.5;
/// A neighbour outlives the run beside it by far and ends with its cgroup.
const NEIGHBOUR_SECONDS: u64 = 60;
/// The most neighbours beside one run; each works 20 to 100 % of the time.
const MOST_NEIGHBOURS: u64 = 6;
/// Walked over and over: beyond any level-2 cache, so that memory is part of the work.
const WALKED: usize = 16 << 20;

/// One run.
struct Run {
    beside: usize,
    seconds: f64,
    disturbance: f64,
    verdict: String,
}

/// Runs the work `runs` times and compares.
pub(crate) fn measure(binary: &Path, runs: u32) -> anyhow::Result<Table> {
    let mut drawn = 0x9e37_79b9_7f4a_7c15_u64;
    let mut all = Vec::new();
    for at in 0..runs {
        // xorshift64 (Marsaglia, 2003).
        drawn ^= drawn << 13;
        drawn ^= drawn >> 7;
        drawn ^= drawn << 17;
        let beside = if at % 2 == 0 {
            0
        } else {
            1 + (drawn % MOST_NEIGHBOURS) as usize
        };
        let busy_us = 20_000 + drawn / MOST_NEIGHBOURS % 80_000;
        all.push(one(binary, beside, busy_us)?);
    }
    Ok(table(&all))
}

fn one(binary: &Path, beside: usize, busy_us: u64) -> anyhow::Result<Run> {
    let _neighbours = (beside > 0)
        .then(|| Cgroups::make(beside, busy_us, NEIGHBOUR_SECONDS))
        .transpose()?;
    let file = std::env::temp_dir().join(format!("dunnage-bench-run-{}.json", std::process::id()));
    let output = Command::new(binary)
        .args(["run", "--no-engines", "--json"])
        .arg(&file)
        .arg("--")
        .arg(std::env::current_exe()?)
        .arg("work")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("starting {}", binary.display()))?;
    ensure!(
        output.status.success(),
        "dunnage run ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()));
    let _ = std::fs::remove_file(&file);
    let document: RunDocument = serde_json::from_slice(&text?)?;
    Ok(Run {
        beside,
        seconds: document.seconds,
        disturbance: document.disturbance,
        verdict: document.verdict.into_owned(),
    })
}

fn table(all: &[Run]) -> Table {
    let mut table = Table::new();
    let mut spreads = Vec::new();
    for verdict in ["clean", "disturbed"] {
        let runs: Vec<&Run> = all.iter().filter(|run| run.verdict == verdict).collect();
        let seconds: Vec<f64> = runs.iter().map(|run| run.seconds).collect();
        let lost: Vec<f64> = runs.iter().map(|run| run.disturbance * 100.0).collect();
        let alone = runs.iter().filter(|run| run.beside == 0).count();
        let note = format!(
            "{} runs, {alone} of them without a neighbour of ours; {:.1} % lost in the middle one",
            runs.len(),
            median(&lost)
        );
        table.add(
            format!("time of the runs called {verdict}, middle"),
            median(&seconds),
            "s",
            None,
            note,
        );
        match spread(&seconds) {
            Some(spread) => {
                spreads.push(spread);
                table.add(
                    "their spread, standard deviation / mean",
                    spread * 100.0,
                    "%",
                    None,
                    "",
                );
            }
            None => table.leave_out(
                format!("the spread of the runs called {verdict}"),
                "there were less than two",
            ),
        }
    }
    if let [clean, disturbed] = spreads[..] {
        table.add(
            "spread of the clean runs beside that of the disturbed",
            clean / disturbed,
            "ratio",
            Some(FRACTION),
            "",
        );
    }
    table
}

/// The standard deviation beside the mean; nothing of less than two.
fn spread(seconds: &[f64]) -> Option<f64> {
    let count = seconds.len() as f64;
    if count < 2.0 {
        return None;
    }
    let mean = seconds.iter().sum::<f64>() / count;
    let squares: f64 = seconds.iter().map(|time| (time - mean).powi(2)).sum();
    (mean > 0.0).then(|| (squares / (count - 1.0)).sqrt() / mean)
}

/// The fixed work: arithmetic on memory, walked in strides, on one thread.
pub(crate) fn work() {
    const ROUNDS: usize = 32;
    const STRIDE: usize = 64;
    let mut memory = vec![1_u8; WALKED];
    let mut sum = 0_u64;
    for round in 0..ROUNDS {
        for start in 0..4 {
            for at in (start..memory.len()).step_by(STRIDE) {
                memory[at] = memory[at].wrapping_mul(31).wrapping_add(7);
                sum = sum
                    .wrapping_add(u64::from(memory[at]))
                    .rotate_left(u32::try_from(round % 7).unwrap_or(0));
            }
        }
    }
    black_box(sum);
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn the_spread_is_that_of_two_runs_at_least() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[1.0]), None);
        assert_eq!(spread(&[1.0, 2.0, 3.0]), Some(0.5));
    }
}
