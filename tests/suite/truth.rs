//! The short run of the bench of truth: labelled scenarios whose victims measure themselves.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::number;
use dunnage_tests::dunnage::binary;
use dunnage_tests::machine::{machine, settles};
use serde_json::Value;
use std::process::Command;

/// Precision and recall over the short run. The goal of the whole bench is 0.95; of so few scenarios one
/// or two that a shared machine spoils are some 6 points each.
const LEAST: f64 = 0.85;

/// Some twenty scenarios of every resource in three minutes. A host that others use too makes
/// scenarios void; what is accused wrongly or missed in the others counts.
#[test]
fn the_short_run_of_the_bench_of_truth_is_right() -> Result<()> {
    let _alone = machine()?;
    settles()?;
    let bench = dunnage_tests::target().join("release/dunnage-bench");
    ensure!(
        bench.exists(),
        "{} is missing: run ./check, or `cargo build --release -p dunnage-bench`",
        bench.display()
    );
    let output = Command::new(bench)
        .args(["truth", "--subset", "--json", "--binary"])
        .arg(binary()?)
        .output()?;
    let scenarios = String::from_utf8_lossy(&output.stderr);
    let document: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no document; it said: {scenarios}"))?;
    for figure in ["precision", "recall"] {
        let value = number(&document, &format!("resources.all.{figure}"))?;
        ensure!(value >= LEAST, "{figure} is {value:.3}: {scenarios}");
    }
    Ok(())
}
