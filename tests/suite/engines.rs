//! Names, images and use under each engine, also of containers that come and go in the window.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::{at, name, number, party, text};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::engine::{Container, Engine, Spec, containerd, docker, podman, runc};
use dunnage_tests::load::IMAGE;
use dunnage_tests::machine::{emulated, machine, schedstat};
use serde_json::Value;
use std::thread::{scope, sleep};
use std::time::Duration;

#[test]
fn docker_containers_are_named_and_charged() -> Result<()> {
    let _alone = machine()?;
    named_and_charged(docker()?)
}

#[test]
fn podman_containers_are_named_and_charged() -> Result<()> {
    let _alone = machine()?;
    named_and_charged(podman()?)
}

#[test]
fn containerd_containers_are_named_and_charged() -> Result<()> {
    let _alone = machine()?;
    named_and_charged(containerd()?)
}

#[test]
fn runc_containers_are_named_and_charged() -> Result<()> {
    let _alone = machine()?;
    named_and_charged(runc()?)
}

#[test]
fn docker_container_that_comes_and_goes_in_the_window() -> Result<()> {
    let _alone = machine()?;
    comes_and_goes(docker()?)
}

#[test]
fn runc_container_that_comes_and_goes_in_the_window() -> Result<()> {
    let _alone = machine()?;
    comes_and_goes(runc()?)
}

#[test]
fn all_engines_at_once() -> Result<()> {
    let _alone = machine()?;
    let engines: [&dyn Engine; 4] = [docker()?, podman()?, containerd()?, runc()?];
    let mut containers = Vec::new();
    let mut arguments = Vec::new();
    for engine in engines {
        containers.push(Container::start(
            engine,
            &Spec::new(&format!("dn-{}", engine.word()), "tick --for 60s"),
        )?);
        arguments.extend(engine.arguments());
    }
    let ps = dunnage(&["ps", "--json", "--for", "2s"])
        .with(&arguments)
        .json()?;
    for engine in engines {
        let entry = party(&ps, &format!("dn-{}", engine.word()))?;
        ensure!(
            text(entry, "party.engine")? == engine.word(),
            "engine of {entry}"
        );
    }
    Ok(())
}

fn named_and_charged(engine: &dyn Engine) -> Result<()> {
    let mut spec = Spec::new("dn-shop", "spin --for 60s");
    spec.labels
        .push(("dunnage.test".to_owned(), "with a space".to_owned()));
    let container = Container::start(engine, &spec)?;
    sleep(Duration::from_millis(500));
    let (before, _) = schedstat(container.pid)?;
    let ps = dunnage(&["ps", "--json", "--for", "3s"])
        .with(&engine.arguments())
        .json()?;
    let (after, _) = schedstat(container.pid)?;
    let entry = party(&ps, "dn-shop")?;
    identity(engine, &container, at(entry, "party")?)?;

    let used = number(entry, "cpu.usage_seconds")?;
    let least = if emulated() { 0.3 } else { 0.7 };
    ensure!(
        used <= (after - before) * 1.02 && used >= (after - before) * least,
        "{used:.3} s charged, {:.3} s counted by the kernel around the window",
        after - before
    );
    ensure!(
        number(entry, "processes")? >= 1.0,
        "it has processes: {entry}"
    );
    ensure!(
        number(entry, "memory.used_bytes")? > 0.0,
        "it uses memory: {entry}"
    );
    Ok(())
}

fn identity(engine: &dyn Engine, container: &Container<'_>, party: &Value) -> Result<()> {
    ensure!(text(party, "kind")? == "container", "kind of {party}");
    ensure!(text(party, "engine")? == engine.word(), "engine of {party}");
    ensure!(
        text(party, "id")? == container.id,
        "id of {party}: the engine says {}",
        container.id
    );
    ensure!(
        text(party, "cgroup")?.contains(&container.id),
        "cgroup of {party}"
    );
    if engine.knows_images() {
        ensure!(text(party, "image")? == IMAGE, "image of {party}");
    }
    Ok(())
}

/// A container that lives for a part of the window is named, and charged with about what it says it
/// used itself.
fn comes_and_goes(engine: &dyn Engine) -> Result<()> {
    let command = dunnage(&["ps", "--json", "--for", "6s"]).with(&engine.arguments());
    let (ps, report) = scope(|scope| -> Result<(Value, Value)> {
        let running = scope.spawn(|| command.json());
        sleep(Duration::from_secs(1));
        let container = Container::start(engine, &Spec::new("dn-brief", "spin --for 1s"))?;
        let report = container.report(Duration::from_secs(if emulated() { 60 } else { 4 }));
        drop(container);
        let ps = running
            .join()
            .map_err(|_| anyhow::anyhow!("the runner panicked"))??;
        Ok((ps, report?))
    })?;
    let entry = party(&ps, "dn-brief").context("the container that came and went")?;
    ensure!(
        name(at(entry, "party")?) == "dn-brief" && text(entry, "party.kind")? == "container",
        "{entry}"
    );
    let (used, truth) = (
        number(entry, "cpu.usage_seconds")?,
        number(&report, "ran_seconds")?,
    );
    // What the runtime itself used inside the cgroup comes on top of what the load knows of.
    ensure!(
        used >= truth * 0.98 && used <= truth * 1.05 + 0.15,
        "charged {used:.3} s; its own clock says {truth:.3} s"
    );
    Ok(())
}
