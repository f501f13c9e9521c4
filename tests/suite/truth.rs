//! The short run of the bench of truth: labelled scenarios whose victims measure themselves.

use anyhow::{Result, ensure};
use dunnage_tests::dunnage::binary;
use dunnage_tests::machine::{machine, settles};
use std::process::Command;

/// Some fifteen scenarios of every resource in two to three minutes. A host that others use too
/// makes scenarios void; what is accused wrongly or missed in the others counts.
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
        .args(["truth", "--subset", "--binary"])
        .arg(binary()?)
        .output()?;
    let (tables, scenarios) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "{scenarios}\n{tables}");
    Ok(())
}
