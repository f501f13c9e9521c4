//! Names from attackers, cgroups that vanish in the middle of a read, engines that lie.

use anyhow::{Context, Result, ensure};
use dunnage_tests::cgroups::{OwnCgroup, mounts, remove_tree};
use dunnage_tests::document::{list, number, party};
use dunnage_tests::dunnage::{Outcome, dunnage};
use dunnage_tests::engine::{Container, Engine, Spec, docker};
use dunnage_tests::fake_engine::{Behaviour, FakeEngine};
use dunnage_tests::machine::{emulated, machine, schedstat};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

/// Clears the screen, sets the window's title, rings, and reverses the reading order.
const NASTY: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\u{202e}txt";

fn own(bytes: &[u8]) -> OsString {
    let mut path = format!("/dunnage-tests-{}-", std::process::id()).into_bytes();
    path.extend_from_slice(bytes);
    OsString::from_vec(path)
}

#[test]
fn cgroup_name_with_escape_sequences() -> Result<()> {
    charged_and_shown_safely(&own(NASTY.as_bytes()))
}

#[test]
fn cgroup_name_in_invalid_utf8() -> Result<()> {
    charged_and_shown_safely(&own(b"\xff\xfe\xc3(\x80\x1b[31m"))
}

#[test]
fn cgroup_name_of_255_bytes() -> Result<()> {
    let mut name = own(b"").into_vec();
    name.resize(256, b'n');
    charged_and_shown_safely(&OsString::from_vec(name))
}

#[test]
fn cgroup_path_of_nearly_4_kib() -> Result<()> {
    let mut path = own(b"deep").into_vec();
    // The kernel shows no path in /proc/PID/cgroup that is longer than a page, mount point included.
    while path.len() < 3_600 {
        path.push(b'/');
        path.extend_from_slice(&[b'd'; 250]);
    }
    charged_and_shown_safely(&OsString::from_vec(path))
}

#[test]
fn cgroup_that_claims_to_be_somebody_elses_container() -> Result<()> {
    let _alone = machine()?;
    let engine = docker()?;
    let victim = Container::start(engine, &Spec::new("dn-web", "sleep --for 60s"))?;
    // A cgroup with the form of another engine's container, beneath a container of Docker.
    let attacker = Container::start(engine, &Spec::new("dn-attacker", "sleep --for 60s"))?;
    let inside = OwnCgroup::make(format!("/docker/{}/docker/{}", attacker.id, victim.id))?;
    let load = inside.start("spin --for 60s")?;
    sleep(Duration::from_millis(300));
    let ps = dunnage(&["ps", "--json", "--for", "2s"])
        .with(&engine.arguments())
        .json()?;
    let used = |name: &str| party(&ps, name).and_then(|entry| number(entry, "cpu.usage_seconds"));
    ensure!(
        used("dn-attacker")? > 0.3,
        "the attacker is charged {:.3} s of what runs beneath it",
        used("dn-attacker")?
    );
    ensure!(
        used("dn-web")? < 0.1,
        "{:.3} s are charged to a container that did nothing",
        used("dn-web")?
    );
    drop(load);
    Ok(())
}

/// A spinner in a cgroup of this name is charged in full, and nothing that a terminal obeys is
/// printed.
fn charged_and_shown_safely(path: &OsString) -> Result<()> {
    let _alone = machine()?;
    let cgroup = OwnCgroup::make(path)?;
    let load = cgroup.start("spin --for 60s")?;
    sleep(Duration::from_millis(300));
    let (before, _) = schedstat(load.pid())?;
    let outcome = dunnage(&["ps", "--json", "--for", "2s"]).run()?;
    let (after, _) = schedstat(load.pid())?;
    ensure!(
        outcome.status == Some(0),
        "ps exits {:?}: {}",
        outcome.status,
        outcome.stderr
    );
    let ps = outcome.json()?;
    let lossy = path.to_string_lossy().into_owned();
    let begin: String = lossy.chars().take(60).collect();
    let mine = |entry: &&serde_json::Value| {
        let text = |field: &str| entry["party"][field].as_str().unwrap_or("").to_owned();
        text("cgroup").starts_with(&begin)
            || text("name").starts_with(begin.trim_start_matches('/'))
    };
    let used: f64 = list(&ps, "parties")?
        .iter()
        .filter(mine)
        .filter_map(|entry| entry["cpu"]["usage_seconds"].as_f64())
        .sum();
    ensure!(
        used > (after - before) * if emulated() { 0.15 } else { 0.5 },
        "{used:.3} s charged to {lossy:?} of {:.3} s that it used",
        after - before
    );
    for command in ["ps", "blame"] {
        shows_nothing_that_terminals_obey(&dunnage(&[command, "--for", "1s"]).run()?)?;
    }
    Ok(())
}

fn shows_nothing_that_terminals_obey(outcome: &Outcome) -> Result<()> {
    ensure!(
        outcome.status == Some(0),
        "exit {:?}: {}",
        outcome.status,
        outcome.stderr
    );
    let output = std::str::from_utf8(&outcome.stdout).context("the output is UTF-8")?;
    for text in [output, &outcome.stderr] {
        let obeyed = |c: &char| {
            (c.is_control() && *c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
        };
        if let Some(found) = text.chars().find(obeyed) {
            anyhow::bail!("{found:?} reaches the terminal in {text:?}");
        }
    }
    Ok(())
}

#[test]
fn cgroups_that_vanish_in_the_middle_of_reads() -> Result<()> {
    let _alone = machine()?;
    let points = mounts()?.points;
    let (ended, made) = (AtomicBool::new(false), AtomicU64::new(0));
    let ps = scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let number = made.fetch_add(1, Ordering::Relaxed);
                let folders: Vec<_> = points
                    .iter()
                    .map(|point| point.join(format!("dunnage-tests-vanish-{number}")))
                    .collect();
                // Failing to make one only makes the storm a little lighter.
                folders
                    .iter()
                    .for_each(|folder| drop(std::fs::create_dir(folder)));
                sleep(Duration::from_millis(4));
                folders.iter().for_each(|folder| remove_tree(folder));
            }
        });
        let ps = dunnage(&["ps", "--json", "--for", "4s"]).json();
        ended.store(true, Ordering::Relaxed);
        ps
    })?;
    let made = made.load(Ordering::Relaxed);
    ensure!(
        made > 300,
        "only {made} cgroups came and went: this shows nothing"
    );
    ensure!(!list(&ps, "parties")?.is_empty(), "no parties");
    Ok(())
}

#[test]
fn engine_that_answers_garbage() -> Result<()> {
    costs_names_only(&Behaviour::Garbage)
}

#[test]
fn engine_that_answers_100_mb() -> Result<()> {
    costs_names_only(&Behaviour::Huge)
}

#[test]
fn engine_that_answers_nothing() -> Result<()> {
    costs_names_only(&Behaviour::Silent)
}

#[test]
fn engine_that_closes_every_connection() -> Result<()> {
    costs_names_only(&Behaviour::Closing)
}

/// The container is charged, with the beginning of its id for a name, and soon enough. Asked as
/// every kind of engine, because their protocols differ.
fn costs_names_only(behaviour: &Behaviour) -> Result<()> {
    let _alone = machine()?;
    let id = "f".repeat(12) + &"0123456789abc".repeat(4);
    let cgroup = OwnCgroup::make(format!("/docker/{id}"))?;
    let _load = cgroup.start("spin --for 60s")?;
    for kind in ["docker", "podman", "containerd", "cri"] {
        let engine = FakeEngine::start(&format!("lies-{kind}"), behaviour.clone())?;
        let command = dunnage(&["ps", "--json", "--for", "1s"]).with(&engine.arguments(kind));
        let outcome = command.run()?;
        ensure!(
            outcome.status == Some(0),
            "{kind}: ps exits {:?}: {}",
            outcome.status,
            outcome.stderr
        );
        ensure!(
            outcome.took < Duration::from_secs(8),
            "{kind}: {:?} for a window of 1 s",
            outcome.took
        );
        let ps = outcome.json()?;
        let mine = list(&ps, "parties")?
            .iter()
            .find(|entry| entry["party"]["id"] == id.as_str());
        let mine = mine.with_context(|| format!("{kind}: no party with the id {id}"))?;
        ensure!(
            number(mine, "cpu.usage_seconds")? > 0.1,
            "{kind}: not charged: {mine}"
        );
        ensure!(mine["party"]["kind"] == "container", "{kind}: {mine}");
    }
    Ok(())
}

#[test]
fn engine_that_names_containers_nastily() -> Result<()> {
    let _alone = machine()?;
    let id = "e".repeat(64);
    let cgroup = OwnCgroup::make(format!("/docker/{id}"))?;
    let _load = cgroup.start("spin --for 60s")?;
    let name = format!("{NASTY}\n{}", "x".repeat(5000));
    let engine = FakeEngine::start(
        "nasty",
        Behaviour::Containers(vec![(id.clone(), name.clone(), NASTY.to_owned())]),
    )?;
    let ps = dunnage(&["ps", "--json", "--for", "2s"])
        .with(&engine.arguments("docker"))
        .json()?;
    let mine = list(&ps, "parties")?
        .iter()
        .find(|entry| entry["party"]["id"] == id.as_str())
        .context("the container is there")?;
    let shown = mine["party"]["name"].as_str().unwrap_or("");
    ensure!(
        shown.starts_with(NASTY),
        "the program's name is the engine's: {shown:?}"
    );
    ensure!(
        shown.len() < 2_000,
        "a name of {} bytes was let through",
        shown.len()
    );
    for command in ["ps", "blame"] {
        shows_nothing_that_terminals_obey(
            &dunnage(&[command, "--for", "1s"])
                .with(&engine.arguments("docker"))
                .run()?,
        )?;
    }
    Ok(())
}
