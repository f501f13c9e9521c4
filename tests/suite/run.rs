//! `dunnage run`: the command is what it would have been without, and the report is true.

use anyhow::{Context, Result, ensure};
use dunnage_tests::cgroups::{OwnCgroup, named};
use dunnage_tests::document::{list, name, number, text};
use dunnage_tests::dunnage::{Outcome, binary, dunnage};
use dunnage_tests::keeper::own_folder;
use dunnage_tests::machine::{machine, settles, two_cpus};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::Duration;

/// A shell that counts: work of a fixed size on one thread.
const COUNT: &str = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";

fn run(arguments: &[&str], command: &[&str]) -> Result<Outcome> {
    let mut words = vec!["run", "--no-engines"];
    words.extend(arguments);
    words.push("--");
    words.extend(command);
    dunnage(&words).run()
}

/// Runs a command and reads the report.
fn report(command: &[&str]) -> Result<Value> {
    let file = own_folder("run")?.join("report.json");
    let path = file.to_str().context("the path is UTF-8")?;
    let outcome = run(&["--json", path], command)?;
    let text = fs::read(&file).with_context(|| outcome.stderr.clone())?;
    Ok(serde_json::from_slice(&text)?)
}

#[test]
fn run_exits_as_the_command_does() -> Result<()> {
    let _alone = machine()?;
    let cases: [(&[&str], i32); 5] = [
        (&["true"], 0),
        (&["sh", "-c", "exit 3"], 3),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["no-such-command-of-ours"], 127),
        (&["/etc/passwd"], 126),
    ];
    for (command, code) in cases {
        let outcome = run(&[], command)?;
        ensure!(
            outcome.status == Some(code),
            "{command:?} ends with {:?}, not {code}: {}",
            outcome.status,
            outcome.stderr
        );
    }
    for wrong in [&["run", "--json", "--", "true"][..], &["run", "true"]] {
        let outcome = dunnage(wrong).run()?;
        ensure!(outcome.status == Some(2), "{wrong:?}: {:?}", outcome.status);
    }
    let outcome = run(&["--json", "/no-such-folder/x"], &["true"])?;
    ensure!(outcome.status == Some(1), "{:?}", outcome.status);
    // A report that finds no room takes neither its text nor the command's own failure along.
    for (command, code) in [("true", 1), ("exit 3", 3)] {
        let outcome = run(&["--json", "/dev/full"], &["sh", "-c", command])?;
        ensure!(
            outcome.status == Some(code)
                && outcome.stderr.contains("CPU time")
                && outcome.stderr.contains("cannot write the report"),
            "{command}: {:?}: {}",
            outcome.status,
            outcome.stderr
        );
    }
    Ok(())
}

#[test]
fn run_leaves_the_commands_output_alone_and_no_cgroup_behind() -> Result<()> {
    let _alone = machine()?;
    let outcome = run(
        &[],
        &["sh", "-c", "echo out; echo err >&2; cat /proc/self/cgroup"],
    )?;
    let out = outcome.text();
    ensure!(out.starts_with("out\n"), "{out}");
    ensure!(out.contains("/dunnage-run-"), "no cgroup of its own: {out}");
    ensure!(
        !out.contains("CPU time"),
        "the report is on standard output: {out}"
    );
    ensure!(outcome.stderr.starts_with("err\n"), "{}", outcome.stderr);
    ensure!(outcome.stderr.contains("CPU time"), "{}", outcome.stderr);
    let left = named("dunnage-run-")?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

#[test]
fn run_hands_on_signals_and_tells_of_what_runs_on() -> Result<()> {
    let _alone = machine()?;
    let script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let running = dunnage(&["run", "--no-engines", "--", "sh", "-c", script]).spawn()?;
    sleep(Duration::from_secs(2));
    running.send(Signal::SIGTERM)?;
    let outcome = running.finish(Duration::from_secs(10))?;
    ensure!(outcome.status == Some(5), "{:?}", outcome.status);
    ensure!(outcome.text() == "ready\ntold\n", "{}", outcome.text());

    let daemon = "sleep 1 >/dev/null 2>&1 & exit 0";
    let outcome = run(&[], &["sh", "-c", daemon])?;
    ensure!(
        outcome.stderr.contains("still running"),
        "{}",
        outcome.stderr
    );
    let left = named("dunnage-run-")?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

#[test]
fn what_a_killed_run_leaves_the_next_one_removes() -> Result<()> {
    let _alone = machine()?;
    let running = dunnage(&["run", "--no-engines", "--", "sleep", "3"]).spawn()?;
    sleep(Duration::from_secs(2));
    ensure!(!named("dunnage-run-")?.is_empty(), "it made no cgroup");
    running.send(Signal::SIGKILL)?;
    // It ends when the command does, which has its output and goes on.
    let _ = running.finish(Duration::from_secs(10))?;
    run(&[], &["true"])?;
    let left = named("dunnage-run-")?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

#[test]
fn run_names_the_neighbour_and_its_sums_close() -> Result<()> {
    let _alone = machine()?;
    let [cpu, _] = two_cpus()?;
    let cpu = cpu.to_string();
    let hog = OwnCgroup::make(format!("/dunnage-tests-hog-{}", std::process::id()))?;
    let _hog = hog.start_on(&cpu, "spin --for 60s")?;
    let report = report(&["taskset", "-c", &cpu, "sh", "-c", COUNT])?;
    ensure!(text(&report, "verdict")? == "disturbed", "{report:#}");
    let lost = &list(&report, "lost")?[0];
    ensure!(text(lost, "resource")? == "cpu", "{lost:#}");
    let to = list(lost, "to")?;
    let first = &to[0]["party"];
    ensure!(name(first).contains("dunnage-tests-hog"), "{lost:#}");
    // They share one CPU: about half of the time is lost, and what is left is the run's own.
    let fraction = number(&report, "disturbance")?;
    ensure!((0.35..0.75).contains(&fraction), "{fraction}");
    let named: f64 = to
        .iter()
        .map(|taker| number(taker, "seconds"))
        .sum::<Result<f64>>()?;
    let (all, nobody) = (
        number(lost, "seconds")?,
        number(lost, "unexplained_seconds")?,
    );
    ensure!((named + nobody - all).abs() < 1e-6 * all, "{lost:#}");
    let (took, ran) = (number(&report, "seconds")?, number(&report, "ran_seconds")?);
    ensure!(
        (ran + all - took).abs() < 0.1 * took,
        "ran {ran} s and lost {all} s of {took} s"
    );
    Ok(())
}

#[test]
fn runs_called_clean_are_more_alike_than_those_called_disturbed() -> Result<()> {
    let _alone = machine()?;
    let [cpu, _] = two_cpus()?;
    let cpu = cpu.to_string();
    let hog = OwnCgroup::make(format!("/dunnage-tests-hog-{}", std::process::id()))?;
    let (mut clean, mut disturbed) = (Vec::new(), Vec::new());
    for at in 0..12 {
        // Beside every other run a neighbour, each time another one.
        let load = format!(
            "burst --on {}ms --off {}ms --for 60s",
            10 * at,
            100 - 8 * at
        );
        let hog = if at % 2 == 1 {
            Some(hog.start_on(&cpu, &load)?)
        } else {
            None
        };
        let report = report(&["taskset", "-c", &cpu, "sh", "-c", COUNT])?;
        drop(hog);
        // What the same work took of a CPU tells how fast that was: other guests and the clock change it,
        // and no accounting of waits can tell.
        let pace = number(&report, "ran_seconds")?;
        let seconds = number(&report, "seconds")? / pace;
        match text(&report, "verdict")? {
            "clean" => clean.push(seconds),
            "disturbed" => disturbed.push(seconds),
            other => anyhow::bail!("{other}: {report:#}"),
        }
    }
    ensure!(
        disturbed.len() >= 5,
        "only {} were called disturbed",
        disturbed.len()
    );
    if clean.len() < 3 {
        ensure!(
            !settles()?,
            "the machine is quiet and no run was clean: {disturbed:?}"
        );
        eprintln!("the machine is too busy for clean runs: nothing to compare");
        return Ok(());
    }
    // The standard deviation over the mean: the longest and the shortest of a few runs are chance.
    let spread = |all: &[f64]| {
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let squares: f64 = all.iter().map(|one| (one - mean).powi(2)).sum();
        (squares / all.len() as f64).sqrt() / mean
    };
    let (of_clean, of_disturbed) = (spread(&clean), spread(&disturbed));
    ensure!(
        of_clean < 0.5 * of_disturbed,
        "clean runs differ by {of_clean:.3}, disturbed ones by {of_disturbed:.3}"
    );
    Ok(())
}

#[test]
fn past_the_bound_a_command_that_succeeds_exits_with_75() -> Result<()> {
    let _alone = machine()?;
    let [cpu, _] = two_cpus()?;
    let cpu = cpu.to_string();
    let hog = OwnCgroup::make(format!("/dunnage-tests-hog-{}", std::process::id()))?;
    let _hog = hog.start_on(&cpu, "spin --for 60s")?;
    let failing = format!("{COUNT}; exit 3");
    for (script, bound, code) in [
        (COUNT, "2%", 75),
        (COUNT, "100%", 0),
        (failing.as_str(), "2%", 3),
    ] {
        let command = ["taskset", "-c", &cpu, "sh", "-c", script];
        let outcome = run(&["--max-disturbance", bound], &command)?;
        ensure!(
            outcome.status == Some(code),
            "{bound}: {:?}, not {code}: {}",
            outcome.status,
            outcome.stderr
        );
    }
    Ok(())
}

#[test]
fn nobody_at_all_runs_a_command_and_is_told_what_was_not_seen() -> Result<()> {
    let _alone = machine()?;
    let folder = own_folder("run-copied")?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    let copy = folder.join("dunnage");
    fs::copy(binary()?, &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    let outcome = dunnage(&["run", "--no-engines", "--", "sh", "-c", COUNT])
        .copied_to(copy)
        .through(&[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ])
        .run()?;
    ensure!(
        outcome.status == Some(0),
        "{:?}: {}",
        outcome.status,
        outcome.stderr
    );
    for told in ["no cgroup for the command", "CPU time", "is an estimate"] {
        ensure!(
            outcome.stderr.contains(told),
            "{told:?} is not in: {}",
            outcome.stderr
        );
    }
    Ok(())
}
