//! Sums that must close: blame against the kernel's own run delay, parties against the machine.

use anyhow::{Context, Result, ensure};
use dunnage_tests::cgroups::OwnCgroup;
use dunnage_tests::document::{at, list, name, number, text};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::engine::{Container, Engine, Spec, docker, runc};
use dunnage_tests::load::{HostLoad, program};
use dunnage_tests::machine::{emulated, machine, two_cpus};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

#[test]
fn blame_of_a_pinned_victim_is_its_run_delay() -> Result<()> {
    let [first, _] = two_cpus()?;
    closes(&first.to_string(), "tick --work 10ms --every 40ms --for 4s")
}

#[test]
fn blame_of_an_unpinned_victim_is_its_run_delay() -> Result<()> {
    let [first, second] = two_cpus()?;
    closes(
        &format!("{first},{second}"),
        "tick --work 10ms --every 40ms --for 4s",
    )
}

#[test]
fn blame_of_an_unpinned_spinner_with_threads_is_its_run_delay() -> Result<()> {
    let [first, second] = two_cpus()?;
    closes(&format!("{first},{second}"), "spin --threads 3 --for 4s")
}

#[test]
fn blame_of_a_bursting_victim_is_its_run_delay() -> Result<()> {
    let [first, second] = two_cpus()?;
    closes(
        &format!("{first},{second}"),
        "burst --on 30ms --off 70ms --threads 2 --for 4s",
    )
}

/// The victim lives within the window, so that the window's sums are its life's, which it reads
/// from the kernel itself just before it ends.
fn closes(cpus: &str, load: &str) -> Result<()> {
    let _alone = machine()?;
    program()?;
    let [first, second] = two_cpus()?;
    let everywhere = format!("{first},{second}");
    let victim = OwnCgroup::make(format!("/dunnage-tests-victim-{}", std::process::id()))?;
    let rival = OwnCgroup::make(format!("/dunnage-tests-rival-{}", std::process::id()))?;
    let running = dunnage(&["blame", "--json", "--for", "10m"]).spawn()?;
    sleep(Duration::from_secs(1));
    let load_of_victim = victim.start_on(cpus, load)?;
    // The victim comes and goes while nobody else wants its CPU: what it waits at its cgroup's door
    // and at its end is in the row and not in its own report.
    sleep(Duration::from_millis(700));
    let _busy = rival.start_on(&everywhere, "spin --threads 4 --for 2500ms")?;
    let report = load_of_victim.report()?;
    // An interrupted window is judged as far as it went: it ends when the victim has ended.
    running.send(Signal::SIGINT)?;
    let blame = running.finish(Duration::from_secs(5))?.json()?;
    row_closes(
        &blame,
        &victim.path().to_string_lossy(),
        number(&report, "run_delay_seconds")?,
    )
    .with_context(|| format!("{load} on {cpus}; its own report is {report}\ncoverage {}, governor {}, gaps {}, row {}", blame["coverage"], blame["governor"], blame["gaps"], row_of(&blame, &victim.path().to_string_lossy()).unwrap_or(&Value::Null)))
}

fn row_of<'v>(blame: &'v Value, cgroup: &str) -> Result<&'v Value> {
    let rows = list(blame, "waits")?;
    rows.iter()
        .find(|row| row["victim"]["cgroup"] == cgroup)
        .with_context(|| format!("no row for {cgroup}"))
}

fn row_closes(blame: &Value, cgroup: &str, truth: f64) -> Result<()> {
    ensure!(
        blame["coverage"]["cpu"] == "exact",
        "coverage of the CPU is {}",
        blame["coverage"]["cpu"]
    );
    let row = row_of(blame, cgroup)?;
    let (waited, unexplained) = (
        number(row, "wait_seconds")?,
        number(row, "unexplained_seconds")?,
    );
    let blamed: f64 = list(row, "blame")?
        .iter()
        .map(|entry| number(entry, "seconds"))
        .sum::<Result<f64>>()?
        + row["others_seconds"].as_f64().unwrap_or(0.0);
    ensure!(
        (blamed + unexplained - waited).abs() <= waited * 1e-3,
        "blame {blamed} s and unexplained {unexplained} s do not add up to the wait {waited} s"
    );
    // One preemption at the door or at the end, as above.
    let outside = 0.004;
    ensure!(
        (waited - truth).abs() <= truth * 1e-3 + outside,
        "the row has {waited} s, the kernel counted {truth} s"
    );
    ensure!(
        unexplained <= waited * 0.01,
        "unexplained is {:.2} % of {waited} s",
        100.0 * unexplained / waited
    );
    ensure!(
        truth > 0.1,
        "the victim waited only {truth} s: this shows nothing"
    );
    Ok(())
}

#[test]
fn parties_add_up_to_the_machine_while_containers_come_and_go() -> Result<()> {
    let _alone = machine()?;
    let engine = docker()?;
    let [first, second] = two_cpus()?;
    let _steady = Container::start(
        engine,
        &Spec::new("dn-steady", "tick --work 3ms --every 10ms --for 60s"),
    )?;
    let _storm = Container::start(
        runc()?,
        &Spec::new("dn-storm", "fork --threads 2 --work 2ms --for 60s"),
    )?;
    let _service = HostLoad::start(
        &format!("{first},{second}"),
        &["tick", "--work", "2ms", "--every", "10ms", "--for", "60s"],
    )?;
    let ended = AtomicBool::new(false);
    let ps = scope(|scope| -> Result<Value> {
        let churn = scope.spawn(|| -> Result<()> {
            while !ended.load(Ordering::Relaxed) {
                let brief = Container::start(runc()?, &Spec::new("dn-churn", "spin --for 2s"))?;
                sleep(Duration::from_millis(400));
                drop(brief);
            }
            Ok(())
        });
        let ps = dunnage(&["ps", "--json", "--for", "10s"])
            .with(&engine.arguments())
            .json();
        ended.store(true, Ordering::Relaxed);
        churn
            .join()
            .map_err(|_| anyhow::anyhow!("the churning thread panicked"))??;
        ps
    })?;
    adds_up(&ps)
}

fn adds_up(ps: &Value) -> Result<()> {
    let (busy, idle) = (
        number(ps, "machine.cpu.busy_seconds")?,
        number(ps, "machine.cpu.idle_seconds")?,
    );
    let steal = number(ps, "machine.cpu.steal_seconds")?;
    let mut sum = 0.0;
    for entry in list(ps, "parties")? {
        if text(entry, "party.kind")? != "hypervisor" {
            sum += number(entry, "cpu.usage_seconds").unwrap_or(0.0);
        }
    }
    let table = || -> Vec<String> {
        let parties = ps["parties"].as_array().into_iter().flatten();
        parties
            .map(|entry| {
                format!(
                    "{}: {}",
                    name(&entry["party"]),
                    entry["cpu"]["usage_seconds"]
                )
            })
            .collect()
    };
    ensure!(
        (sum - busy).abs() <= busy * 0.01,
        "the parties sum up to {sum:.3} s, the machine was busy for {busy:.3} s: {:#?}",
        table()
    );
    let there = number(ps, "host.cpus")? * number(ps, "window.seconds")?;
    let tolerance = if emulated() { 0.1 } else { 0.02 };
    ensure!(
        (busy + idle + steal - there).abs() <= there * tolerance,
        "busy, idle and steal are {:.3} s of {there:.3} s",
        busy + idle + steal
    );
    ensure!(
        at(ps, "parties")?.as_array().is_some_and(|parties| parties
            .iter()
            .any(|entry| entry["party"]["kind"] == "kernel")),
        "no kernel party"
    );
    Ok(())
}
