//! From start to the first verdict.

use crate::figures::{Table, median, spread};
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Wall time of whole commands.
pub(crate) fn measure(binary: &Path, rounds: u32) -> anyhow::Result<Table> {
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let output = Command::new(binary)
            .args(["blame", "--for", "2s", "--json"])
            .stderr(Stdio::null())
            .output()
            .with_context(|| format!("starting {}", binary.display()))?;
        ensure!(
            output.status.success(),
            "blame ended with {}",
            output.status
        );
        seconds.push(began.elapsed().as_secs_f64());
    }
    let mut table = Table::new();
    table.add(
        "start to first verdict, --for 2s",
        median(&seconds),
        "s",
        Some(3.0),
        spread(&seconds),
    );
    Ok(table)
}
