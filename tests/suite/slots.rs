//! A load that leaves the CPUs time to spare and switches all the time is watched for a part of the time;
//! it accuses nobody, and whoever saturates a CPU then is named as ever.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::{at, list, name, number, summary, text, verdicts};
use dunnage_tests::dunnage::{Outcome, dunnage};
use dunnage_tests::engine::{Container, Engine, Spec, runc};
use dunnage_tests::load::HostLoad;
use dunnage_tests::machine::{machine, settles, two_cpus};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

const FAR_END: &str = "127.0.0.1:39117";

#[test]
fn switching_all_the_time_is_watched_in_slots_and_saturation_as_a_whole() -> Result<()> {
    let _alone = machine()?;
    let engine = runc()?;
    let [first, second] = two_cpus()?;
    let quiet = settles()?;
    // Each answer is a wake-up on one CPU, then on the other; each CPU waits for the other meanwhile.
    let _server = HostLoad::start(
        &second.to_string(),
        &["answer", "--to", FAR_END, "--for", "30s"],
    )?;
    let _client = HostLoad::start(
        &first.to_string(),
        &["ping", "--to", FAR_END, "--every", "0us", "--for", "30s"],
    )?;
    let alone = windows(engine, Duration::from_secs(6), || Ok(()))?;
    // Somebody else's work on a shared host may have saturated a CPU meanwhile.
    if quiet {
        let seen: Vec<f64> = alone
            .iter()
            .filter_map(|window| number(window, "governor.sampled_fraction").ok())
            .collect();
        ensure!(
            seen.iter().any(|share| (0.01..0.9).contains(share)),
            "of {} windows these parts were seen: {seen:?}",
            alone.len()
        );
        for window in &alone {
            // What a hypervisor or the kernel takes from it is not this test's matter.
            for verdict in list(window, "verdicts")? {
                ensure!(
                    text(verdict, "cause")? != "neighbour",
                    "accused: {}",
                    summary(window)
                );
            }
        }
    }
    let mut containers = Vec::new();
    let beside = windows(engine, Duration::from_secs(8), || {
        let cpu = first.to_string();
        let victim = Spec::new("dn-victim", "tick --work 10ms --every 40ms --for 20s").on(&cpu);
        let culprit = Spec::new("dn-culprit", "spin --threads 3 --for 20s").on(&cpu);
        containers.push(Container::start(engine, &victim)?);
        containers.push(Container::start(engine, &culprit)?);
        Ok(())
    })?;
    let last = beside.last().context("no window")?;
    ensure!(
        text(last, "coverage.cpu")? == "exact",
        "a saturated host's CPUs are watched as {}",
        text(last, "coverage.cpu")?
    );
    let mut named = false;
    for window in &beside {
        for verdict in verdicts(window, "dn-victim", &["neighbour"])? {
            let worst = list(verdict, "culprits")?.first().context("no culprit")?;
            named |= name(at(worst, "party")?) == "dn-culprit";
        }
    }
    ensure!(named, "the culprit is not named: {}", summary(last));
    Ok(())
}

/// What is seen in windows of a second for so long, with `meanwhile` done after two of them.
fn windows(
    engine: &dyn Engine,
    length: Duration,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<Vec<Value>> {
    let running = dunnage(&["blame", "--watch", "--json", "--for", "1s"])
        .with(&engine.arguments())
        .spawn()?;
    sleep(Duration::from_secs(2));
    meanwhile()?;
    sleep(length);
    running.send(Signal::SIGTERM)?;
    documents(&running.finish(Duration::from_secs(5))?)
}

/// One document a line; the last window was cut short.
fn documents(outcome: &Outcome) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for line in outcome.text().lines() {
        let document: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if document.get("verdicts").is_some() {
            all.push(document);
        }
    }
    all.pop();
    Ok(all)
}
