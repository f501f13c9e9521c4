//! The contract of the command line: documents, exit codes, options.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::{at, list, number, text};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::engine::{Container, Engine, Spec, docker};
use dunnage_tests::machine::{machine, two_cpus};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

/// The parts of every document that tell where and when.
fn framed(document: &Value, schema: &str, seconds: f64) -> Result<()> {
    ensure!(
        text(document, "schema")? == schema,
        "schema is {}",
        document["schema"]
    );
    for path in ["host.name", "host.kernel", "host.cgroup", "window.start"] {
        ensure!(!text(document, path)?.is_empty(), "{path} is empty");
    }
    ensure!(
        number(document, "host.cpus")? >= 1.0,
        "host.cpus is {}",
        at(document, "host.cpus")?
    );
    let start = text(document, "window.start")?;
    ensure!(
        start.len() >= 20 && start.contains('T') && (start.ends_with('Z') || start.contains('+')),
        "window.start {start:?} is no RFC 3339 time"
    );
    let length = number(document, "window.seconds")?;
    ensure!(
        (length - seconds).abs() < 0.25 * seconds,
        "the window has {length} s, asked for were {seconds} s"
    );
    Ok(())
}

#[test]
fn ps_json_has_the_contracts_keys() -> Result<()> {
    let _alone = machine()?;
    let container = Container::start(docker()?, &Spec::new("dn-web", "tick --for 60s"))?;
    let ps = dunnage(&["ps", "--json", "--for", "2s"])
        .with(&docker()?.arguments())
        .json()?;
    framed(&ps, "dunnage.ps/1", 2.0)?;
    for path in ["busy_seconds", "idle_seconds", "steal_seconds"] {
        number(&ps, &format!("machine.cpu.{path}"))?;
    }
    let entry = dunnage_tests::document::party(&ps, &container.name)?;
    for path in [
        "party.kind",
        "party.id",
        "party.name",
        "party.engine",
        "party.image",
        "party.cgroup",
    ] {
        text(entry, path)?;
    }
    let cpu = [
        "cpu.usage_seconds",
        "cpu.user_seconds",
        "cpu.system_seconds",
        "cpu.throttled_seconds",
        "cpu.runqueue_wait_seconds",
        "cpu.pressure_some",
    ];
    let memory = [
        "memory.used_bytes",
        "memory.anon_bytes",
        "memory.file_bytes",
        "memory.major_faults",
        "processes",
    ];
    for path in cpu.iter().chain(&memory) {
        number(entry, path)?;
    }
    Ok(())
}

#[test]
fn blame_json_has_the_contracts_keys() -> Result<()> {
    let _alone = machine()?;
    let (_web, _batch) = harmed()?;
    let blame = dunnage(&["blame", "--json", "--for", "4s"])
        .with(&docker()?.arguments())
        .json()?;
    framed(&blame, "dunnage.blame/1", 4.0)?;
    for resource in ["cpu", "disk", "memory", "network", "gpu"] {
        let word = text(&blame, &format!("coverage.{resource}"))?;
        ensure!(
            ["exact", "sampled", "correlated", "none"].contains(&word),
            "coverage.{resource} is {word}"
        );
    }
    let verdict = list(&blame, "verdicts")?
        .first()
        .context("no verdict where dn-batch harms dn-web")?;
    for path in [
        "resource",
        "cause",
        "evidence",
        "advice",
        "victim.kind",
        "victim.name",
    ] {
        text(verdict, path)?;
    }
    for path in [
        "harm.seconds",
        "harm.fraction",
        "unexplained",
        "confidence",
        "facts.runqueue_wait_seconds",
        "facts.p99_wait_seconds",
    ] {
        number(verdict, path)?;
    }
    let culprit = list(verdict, "culprits")?
        .first()
        .context("a verdict without culprits")?;
    text(culprit, "party.name")?;
    number(culprit, "seconds")?;
    number(culprit, "share")?;
    for entry in list(&blame, "cleared")? {
        text(entry, "party.name")?;
        text(entry, "of")?;
        text(entry, "why")?;
    }
    Ok(())
}

#[test]
fn exit_code_3_where_a_neighbour_harms_and_0_where_not_asked() -> Result<()> {
    let _alone = machine()?;
    let arguments = docker()?.arguments();
    let (_web, _batch) = harmed()?;
    let asked = dunnage(&["blame", "--exit-code", "--for", "3s"])
        .with(&arguments)
        .run()?;
    ensure!(
        asked.status == Some(3),
        "exits {:?} with --exit-code:\n{}{}",
        asked.status,
        asked.text(),
        asked.stderr
    );
    ensure!(
        asked.text().contains("dn-web") && asked.text().contains("dn-batch"),
        "the text names neither: {}",
        asked.text()
    );
    let unasked = dunnage(&["blame", "--for", "3s"]).with(&arguments).run()?;
    ensure!(
        unasked.status == Some(0),
        "exits {:?} without --exit-code",
        unasked.status
    );
    Ok(())
}

#[test]
fn victim_chooses_whose_verdicts_are_shown() -> Result<()> {
    let _alone = machine()?;
    let arguments = docker()?.arguments();
    let (web, _batch) = harmed()?;
    for wanted in ["dn-web", &web.id[..12]] {
        let blame = dunnage(&["blame", "--json", "--for", "3s", "--victim", wanted])
            .with(&arguments)
            .json()?;
        let verdicts = list(&blame, "verdicts")?;
        ensure!(!verdicts.is_empty(), "no verdict for {wanted}");
        ensure!(
            verdicts
                .iter()
                .all(|verdict| verdict["victim"]["name"] == "dn-web"),
            "others' verdicts too: {verdicts:?}"
        );
    }
    let unknown = dunnage(&["blame", "--for", "1s", "--victim", "dn-wep"])
        .with(&arguments)
        .run()?;
    ensure!(
        unknown.status == Some(1),
        "exits {:?} for a victim that is not there",
        unknown.status
    );
    ensure!(
        unknown.stderr.contains("dn-web"),
        "names that are near are told: {}",
        unknown.stderr
    );
    Ok(())
}

#[test]
fn watch_prints_one_document_a_line_until_it_is_told_to_end() -> Result<()> {
    let _alone = machine()?;
    let running = dunnage(&["blame", "--watch", "--json", "--for", "1s"]).spawn()?;
    sleep(Duration::from_millis(4500));
    running.send(Signal::SIGINT)?;
    let outcome = running.finish(Duration::from_secs(3))?;
    ensure!(
        outcome.status == Some(0),
        "ends with {:?} after Ctrl-C: {}",
        outcome.status,
        outcome.stderr
    );
    let output = outcome.text();
    let documents: Vec<Value> = output
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .with_context(|| output.clone())?;
    ensure!(
        (3..=6).contains(&documents.len()),
        "{} documents in 4.5 s",
        documents.len()
    );
    ensure!(
        documents
            .iter()
            .all(|document| document["schema"] == "dunnage.blame/1"),
        "another schema: {output}"
    );
    Ok(())
}

#[test]
fn an_interrupted_window_is_judged_as_far_as_it_went() -> Result<()> {
    let _alone = machine()?;
    let running = dunnage(&["blame", "--json", "--for", "60s"]).spawn()?;
    sleep(Duration::from_millis(2500));
    running.send(Signal::SIGINT)?;
    let outcome = running.finish(Duration::from_secs(3))?;
    ensure!(
        outcome.status == Some(0),
        "ends with {:?}: {}",
        outcome.status,
        outcome.stderr
    );
    let seconds = number(&outcome.json()?, "window.seconds")?;
    ensure!(
        (0.5..4.0).contains(&seconds),
        "a window of {seconds} s after an interruption at 2.5 s"
    );
    Ok(())
}

#[test]
fn wrong_usage_exits_2_and_an_unreadable_host_1() -> Result<()> {
    for arguments in [
        &["blame", "--for", "soon"][..],
        &["nonsense"],
        &["ps", "--for", "1ms"],
        &["blame", "--for", "2d"],
    ] {
        let outcome = dunnage(arguments).run()?;
        ensure!(
            outcome.status == Some(2),
            "{arguments:?} exits {:?}: {}",
            outcome.status,
            outcome.stderr
        );
        ensure!(
            outcome.stdout.is_empty(),
            "diagnostics of {arguments:?} are on standard output: {}",
            outcome.text()
        );
    }
    for command in [&["ps", "--for", "200ms"][..], &["devices"], &["doctor"]] {
        let elsewhere = ["--host-root", "/nonexistent"].map(str::to_owned);
        let outcome = dunnage(command).with(&elsewhere).run()?;
        ensure!(
            outcome.status == Some(1),
            "{command:?} exits {:?} for a host root that is not there: {}",
            outcome.status,
            outcome.stderr
        );
        ensure!(
            outcome.stderr.contains("/nonexistent"),
            "the message of {command:?} names the path: {}",
            outcome.stderr
        );
    }
    Ok(())
}

#[test]
fn a_reader_that_goes_away_is_no_error_message() -> Result<()> {
    let child = dunnage(&["ps", "--for", "500ms"]).spawn_unread()?;
    let stderr = String::from_utf8(child.wait_with_output()?.stderr)?;
    ensure!(
        !stderr.contains("panicked") && !stderr.to_lowercase().contains("broken pipe"),
        "it says {stderr:?}"
    );
    Ok(())
}

#[test]
fn doctor_tells_what_works_with_remedies() -> Result<()> {
    let _alone = machine()?;
    let doctor = dunnage(&["doctor", "--json"])
        .with(&docker()?.arguments())
        .json()?;
    ensure!(
        text(&doctor, "schema")? == "dunnage.doctor/1",
        "schema is {}",
        doctor["schema"]
    );
    let checks = list(&doctor, "checks")?;
    for check in checks {
        for path in ["name", "status", "detail"] {
            text(check, path)?;
        }
        ensure!(
            check["status"] == "ok"
                || check["remedy"]
                    .as_str()
                    .is_some_and(|remedy| !remedy.is_empty()),
            "no remedy: {check}"
        );
    }
    for wanted in ["CAP_BPF", "CAP_PERFMON", "docker"] {
        let told = |check: &Value| {
            format!("{} {}", check["name"], check["detail"])
                .to_lowercase()
                .contains(&wanted.to_lowercase())
        };
        ensure!(
            checks.iter().any(told),
            "nothing about {wanted} in {checks:?}"
        );
    }
    Ok(())
}

#[test]
fn completions_and_man_pages_are_printed() -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = dunnage(&["completions", shell]).run()?;
        ensure!(
            outcome.status == Some(0) && outcome.text().contains("blame"),
            "completions {shell}: {:?} {}",
            outcome.status,
            outcome.stderr
        );
    }
    let man = dunnage(&["man"]).run()?;
    ensure!(
        man.status == Some(0) && man.text().contains(".TH"),
        "man: {:?} {}",
        man.status,
        man.stderr
    );
    Ok(())
}

/// A victim and its neighbour on one CPU.
fn harmed() -> Result<(Container<'static>, Container<'static>)> {
    let engine = docker()?;
    let cpu = two_cpus()?[0].to_string();
    let web = Container::start(
        engine,
        &Spec::new("dn-web", "tick --work 10ms --every 100ms --for 60s").on(&cpu),
    )?;
    let batch = Container::start(
        engine,
        &Spec::new("dn-batch", "spin --threads 3 --for 60s").on(&cpu),
    )?;
    sleep(Duration::from_secs(1));
    Ok((web, batch))
}
