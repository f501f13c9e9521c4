//! What limits a container: the talk's game and its like, on real containers with their label.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::{list, number, text};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::engine::{Container, Engine, Spec, runc};
use dunnage_tests::machine::{emulated, machine, settles, two_cpus};
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

/// The window, and how long after the start the answer may come: opening the sources takes a third
/// of a second, and a debug build or a busy machine some more.
const WINDOW: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(WINDOW + 2);

/// Asks what limits the first of `all` while all of them run, and has the answer looked at while
/// they still do.
fn ask(all: &[Spec], look: impl FnOnce(&Value) -> Result<()>) -> Result<()> {
    ask_beside(all, |why, _| look(why))
}

/// The same for labels that want the machine to be theirs: `look` is told whether it was quiet.
fn ask_beside(all: &[Spec], look: impl FnOnce(&Value, bool) -> Result<()>) -> Result<()> {
    let _alone = machine()?;
    let engine: &'static dyn Engine = runc()?;
    let quiet = settles()?;
    let mut started = Vec::new();
    for spec in all {
        started.push(Container::start(engine, spec)?);
    }
    sleep(Duration::from_millis(1500));
    let window = format!("{WINDOW}s");
    let outcome = dunnage(&["why", &all[0].name, "--json", "--for", &window]).run()?;
    ensure!(
        outcome.status == Some(0),
        "exits {:?}: {}{}",
        outcome.status,
        outcome.text(),
        outcome.stderr
    );
    ensure!(
        emulated() || outcome.took <= PATIENCE,
        "the answer took {:?}",
        outcome.took
    );
    look(&outcome.json()?, quiet)
}

/// What the document says of one resource.
fn resource<'v>(why: &'v Value, name: &str) -> Result<&'v Value> {
    let mut all = list(why, "resources")?.iter();
    all.find(|answer| answer["resource"] == name)
        .with_context(|| format!("no {name} in {why:#}"))
}

/// Holds an answer against its label; gives the answer.
fn limited<'v>(why: &'v Value, name: &str, by: &str, metric: &str) -> Result<&'v Value> {
    let answer = resource(why, name)?;
    ensure!(text(answer, "limited_by")? == by, "{name}: {answer:#}");
    ensure!(text(answer, "metric.name")? == metric, "{name}: {answer:#}");
    let from = text(answer, "read_from")?;
    if let Some(path) = Some(from).filter(|from| from.starts_with('/')) {
        ensure!(std::path::Path::new(path).exists(), "no file {path}");
    }
    Ok(answer)
}

fn both() -> Result<String> {
    let [first, second] = two_cpus()?;
    Ok(format!("{first},{second}"))
}

#[test]
fn its_own_quota_even_with_idle_cpus() -> Result<()> {
    let victim = Spec {
        quota: Some(0.3),
        ..Spec::new("dunnage-why-quota", "spin --for 60s").on(&both()?)
    };
    ask(&[victim], |why| {
        let cpu = limited(why, "cpu", "cap", "throttled_seconds")?;
        ensure!(text(cpu, "read_from")?.ends_with("/dunnage-tests/dunnage-why-quota/cpu.stat"));
        ensure!(
            number(cpu, "facts.throttled_seconds")? > 0.3 * WINDOW as f64,
            "{cpu:#}"
        );
        let view = list(why, "view")?;
        let cpus = view.iter().find(|entry| entry["what"] == "cpus");
        let cpus = cpus.with_context(|| format!("{view:#?}"))?;
        ensure!(
            number(cpus, "sees")? >= 2.0 && number(cpus, "may_use")? == 0.3,
            "{cpus:#}"
        );
        Ok(())
    })
}

#[test]
fn a_use_that_equals_its_cap_is_no_clue() -> Result<()> {
    let victim = Spec {
        quota: Some(1.0),
        ..Spec::new("dunnage-why-equal", "spin --for 60s").on(&both()?)
    };
    ask(&[victim], |why| {
        let cpu = resource(why, "cpu")?;
        ensure!(text(cpu, "limited_by")? != "cap", "{cpu:#}");
        ensure!(
            number(cpu, "facts.used_seconds")? > 0.8 * WINDOW as f64,
            "{cpu:#}"
        );
        Ok(())
    })
}

#[test]
fn its_share_beside_a_hog() -> Result<()> {
    let cpus = both()?;
    ask(
        &[
            Spec::new("dunnage-why-shared", "spin --threads 2 --for 60s").on(&cpus),
            Spec::new("dunnage-why-hog", "spin --threads 2 --for 60s").on(&cpus),
        ],
        |why| {
            let cpu = limited(why, "cpu", "share", "behind_others_seconds")?;
            ensure!(
                number(cpu, "facts.involuntary_switches")? > 10.0 * WINDOW as f64,
                "{cpu:#}"
            );
            Ok(())
        },
    )
}

#[test]
fn a_light_victim_names_the_one_above_its_share() -> Result<()> {
    let first = two_cpus()?[0].to_string();
    ask(
        &[
            Spec::new(
                "dunnage-why-light",
                "tick --work 20ms --every 100ms --for 60s",
            )
            .on(&first),
            Spec::new("dunnage-why-heavy", "spin --for 60s").on(&first),
        ],
        |why| {
            let cpu = limited(why, "cpu", "share", "behind_others_seconds")?;
            let culprits = list(cpu, "culprits")?;
            ensure!(
                culprits[0]["party"]["name"] == "dunnage-why-heavy",
                "{cpu:#}"
            );
            Ok(())
        },
    )
}

#[test]
fn the_machine_alone_with_more_threads_than_cpus() -> Result<()> {
    ask_beside(
        &[Spec::new(
            "dunnage-why-threads",
            "spin --threads 8 --for 60s",
        )],
        |why, quiet| {
            // Busy others make it a share, which is right as well.
            let answer = limited(why, "cpu", "machine", "behind_itself_seconds");
            answer.map(drop).or_else(|error| {
                if quiet {
                    return Err(error);
                }
                limited(why, "cpu", "share", "behind_others_seconds").map(drop)
            })
        },
    )
}

#[test]
fn its_cpuset_while_the_machine_idles() -> Result<()> {
    let first = two_cpus()?[0].to_string();
    ask_beside(
        &[Spec::new("dunnage-why-set", "spin --threads 4 --for 60s").on(&first)],
        |why, quiet| {
            let cpu = resource(why, "cpu")?;
            if quiet {
                limited(why, "cpu", "cap", "behind_itself_seconds")?;
            }
            ensure!(number(cpu, "facts.usable_cpus")? == 1.0, "{cpu:#}");
            Ok(())
        },
    )
}

#[test]
fn nothing_limits_who_wants_nothing_beside_a_hog() -> Result<()> {
    let cpus = both()?;
    ask(
        &[
            Spec::new("dunnage-why-idle", "sleep --for 60s").on(&cpus),
            Spec::new("dunnage-why-busy", "spin --threads 2 --for 60s").on(&cpus),
        ],
        |why| {
            for name in ["cpu", "memory", "disk"] {
                let answer = resource(why, name)?;
                ensure!(text(answer, "limited_by")? == "nothing", "{answer:#}");
            }
            Ok(())
        },
    )
}

#[test]
fn refused_forks_are_its_limit_on_tasks() -> Result<()> {
    let victim = Spec {
        tasks: Some(2),
        ..Spec::new("dunnage-why-forks", "fork --every 100ms --for 60s").on(&both()?)
    };
    ask_beside(&[victim], |why, quiet| {
        let cpu = resource(why, "cpu")?;
        if quiet {
            limited(why, "cpu", "cap", "forks_refused")?;
        }
        let verdicts = list(cpu, "verdicts")?;
        let limit = verdicts.iter().find(|v| v["facts"]["limit"] == "pids.max");
        ensure!(limit.is_some(), "{cpu:#}");
        Ok(())
    })
}

#[test]
fn its_own_limit_on_memory_on_a_machine_with_plenty() -> Result<()> {
    let victim = Spec {
        memory: Some(24 << 20),
        ..Spec::new("dunnage-why-memory", "read --bytes 67108864 --for 60s").on(&both()?)
    };
    ask(&[victim], |why| {
        let memory = resource(why, "memory")?;
        ensure!(text(memory, "limited_by")? == "cap", "{memory:#}");
        let view = list(why, "view")?;
        let seen = view.iter().find(|entry| entry["what"] == "memory");
        let seen = seen.with_context(|| format!("{view:#?}"))?;
        ensure!(number(seen, "may_use")? == f64::from(24 << 20), "{seen:#}");
        Ok(())
    })
}

#[test]
fn a_wrong_name_is_told_at_once() -> Result<()> {
    let outcome = dunnage(&["why", "no-such-container"]).run()?;
    ensure!(outcome.status == Some(1), "{outcome:?}");
    ensure!(
        outcome.stderr.contains("no container or service is called"),
        "{outcome:?}"
    );
    ensure!(outcome.took < Duration::from_secs(4), "{outcome:?}");
    Ok(())
}
