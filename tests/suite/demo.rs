//! The newcomer's first command: right, and clean behind itself however it ends.

use anyhow::{Context, Result, ensure};
use dunnage_tests::cgroups::{named, processes_below};
use dunnage_tests::document::{at, text};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::machine::{machine, settles};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn demo_is_right_and_shows_the_truth_beside_the_verdict() -> Result<()> {
    let _alone = machine()?;
    settles()?;
    let outcome = dunnage(&["demo"]).run()?;
    ensure!(
        outcome.status == Some(0),
        "demo exits {:?}:\n{}{}",
        outcome.status,
        outcome.text(),
        outcome.stderr
    );
    for word in ["victim", "culprit"] {
        ensure!(
            outcome.text().contains(word),
            "no {word} in:\n{}",
            outcome.text()
        );
    }
    Ok(())
}

#[test]
fn demo_json_has_verdict_and_truth() -> Result<()> {
    let _alone = machine()?;
    settles()?;
    let demo = dunnage(&["demo", "--json"]).json()?;
    ensure!(
        text(&demo, "schema")? == "dunnage.demo/1",
        "schema is {}",
        demo["schema"]
    );
    ensure!(
        at(&demo, "right")? == true,
        "the demo says it was wrong: {demo:#}"
    );
    ensure!(
        text(&demo, "blame.schema")? == "dunnage.blame/1",
        "its blame is {}",
        demo["blame"]
    );
    at(&demo, "truth")?;
    Ok(())
}

#[test]
fn demo_cleans_up_after_ctrl_c() -> Result<()> {
    leaves_nothing_after(Signal::SIGINT)
}

#[test]
fn demo_cleans_up_after_sigterm() -> Result<()> {
    leaves_nothing_after(Signal::SIGTERM)
}

#[test]
fn demo_cleans_up_after_sigkill() -> Result<()> {
    leaves_nothing_after(Signal::SIGKILL)
}

fn leaves_nothing_after(signal: Signal) -> Result<()> {
    let _alone = machine()?;
    let running = dunnage(&["demo", "--for", "20s"]).spawn()?;
    let folder = format!("dunnage-demo-{}", running.pid());
    let loads = started(&folder).context("the demo's own cgroups with processes in them")?;
    running.send(signal)?;
    running.finish(Duration::from_secs(5))?;

    let start = Instant::now();
    loop {
        let folders = named(&folder)?;
        let alive: Vec<&u32> = loads
            .iter()
            .filter(|pid| Path::new(&format!("/proc/{pid}")).exists())
            .collect();
        if folders.is_empty() && alive.is_empty() {
            return Ok(());
        }
        ensure!(
            start.elapsed() < Duration::from_secs(5),
            "5 s after {signal} there are still {folders:?} and processes {alive:?}"
        );
        sleep(Duration::from_millis(50));
    }
}

/// Waits for the demo's processes and gives their ids.
fn started(folder: &str) -> Result<BTreeSet<u32>> {
    let start = Instant::now();
    loop {
        let pids: BTreeSet<u32> = named(folder)?
            .iter()
            .flat_map(|folder| processes_below(folder))
            .collect();
        if pids.len() >= 2 {
            return Ok(pids);
        }
        ensure!(
            start.elapsed() < Duration::from_secs(10),
            "{pids:?} after 10 s in {folder}"
        );
        sleep(Duration::from_millis(50));
    }
}
