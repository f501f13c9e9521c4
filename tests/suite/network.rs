//! Who fills the link: containers on one bridge with a narrow uplink, held against what the victim
//! measures of its own answers.
//!
//! The bridge, its uplink and the far end are in network namespaces of their own; engines start the
//! containers without a network, and a veth is moved in.

use anyhow::{Context, Result, ensure};
use dunnage_tests::document::{
    accusations, at, cleared, list, name, number, summary, text, verdicts,
};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::engine::{Container, Engine, Spec, docker, runc, said};
use dunnage_tests::load::{HostLoad, program};
use dunnage_tests::machine::machine;
use serde_json::Value;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const ROUTER: &str = "dunnage-tests-router";
const FAR: &str = "dunnage-tests-far";
/// Where the far end answers.
const FAR_END: &str = "10.214.0.1:7";

/// A window, and what containers need to be ready before it and to stay beyond it.
const WINDOW: &str = "4s";
const LONG: &str = "14s";
const READY: Duration = Duration::from_millis(1500);

/// The bridge and its uplink.
struct Link {
    _answers: HostLoad,
}

impl Link {
    /// `queue` is what the uplink's queue shall be, as tc takes it.
    fn new(queue: &str) -> Result<Link> {
        remove();
        for namespace in [ROUTER, FAR] {
            ip(&format!("netns add {namespace}"))?;
        }
        ip(&format!("-n {ROUTER} link add br0 type bridge"))?;
        ip(&format!("-n {ROUTER} link set br0 up"))?;
        ip(&format!(
            "-n {ROUTER} link add up0 type veth peer name eth0 netns {FAR}"
        ))?;
        ip(&format!("-n {ROUTER} link set up0 master br0 up"))?;
        ip(&format!("-n {FAR} addr add 10.214.0.1/24 dev eth0"))?;
        ip(&format!("-n {FAR} link set eth0 up"))?;
        if !queue.is_empty() {
            tc(&format!("-n {ROUTER} qdisc add dev up0 root {queue}"))?;
        }
        let mut answers = Command::new("ip");
        answers
            .args(["netns", "exec", FAR])
            .arg(program()?)
            .args(["answer", "--to", FAR_END, "--for", "60s"]);
        Ok(Link {
            _answers: HostLoad::spawn(answers)?,
        })
    }

    /// Starts a container and plugs it into the bridge; `number` is its address.
    fn container<'e>(
        &self,
        engine: &'e dyn Engine,
        number: u8,
        name: &str,
        load: &str,
    ) -> Result<Container<'e>> {
        let load = format!("{load} --to {FAR_END}");
        let container = Container::start(engine, &Spec::new(name, &load))?;
        let namespace = format!("dunnage-tests-{number}");
        ip(&format!("netns attach {namespace} {}", container.pid))?;
        ip(&format!(
            "-n {ROUTER} link add port{number} type veth peer name eth0 netns {namespace}"
        ))?;
        ip(&format!("-n {ROUTER} link set port{number} master br0 up"))?;
        ip(&format!(
            "-n {namespace} addr add 10.214.0.{number}/24 dev eth0"
        ))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
        Ok(container)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        remove();
    }
}

/// Takes all namespaces of these tests away, and with them the devices in them.
fn remove() {
    let names = std::fs::read_dir("/run/netns").into_iter().flatten();
    for name in names.flatten().map(|entry| entry.file_name()) {
        if name.to_string_lossy().starts_with("dunnage-tests-") {
            let _ = Command::new("ip").args(["netns", "del"]).arg(name).output();
        }
    }
}

fn ip(arguments: &str) -> Result<String> {
    said(Command::new("ip").args(arguments.split_whitespace()))
}

fn tc(arguments: &str) -> Result<String> {
    said(Command::new("tc").args(arguments.split_whitespace()))
}

/// What the command says of the link, right now.
fn blame(engine: &dyn Engine) -> Result<Value> {
    blame_for(engine, WINDOW)
}

fn blame_for(engine: &dyn Engine, window: &str) -> Result<Value> {
    let outcome = dunnage(&["blame", "--json", "--for", window])
        .with(&engine.arguments())
        .run()?;
    ensure!(
        outcome.status == Some(0),
        "blame exits {:?}: {}{}",
        outcome.status,
        outcome.text(),
        outcome.stderr
    );
    let blame = outcome.json()?;
    // Under much traffic what softirqs take is sampled; queues are not.
    ensure!(
        ["exact", "sampled"].contains(&text(&blame, "coverage.network")?),
        "coverage of the network is {:?}: {}",
        text(&blame, "coverage.network")?,
        outcome.stderr
    );
    Ok(blame)
}

/// The one accusation about the network in favour of `victim`.
fn accusation<'v>(blame: &'v Value, victim: &str) -> Result<&'v Value> {
    let found = on_the_link(&accusations(blame, victim)?)?;
    let [verdict] = found[..] else {
        anyhow::bail!(
            "{} accusations for {victim}, not 1: {}",
            found.len(),
            summary(blame)
        );
    };
    Ok(verdict)
}

fn on_the_link<'v>(verdicts: &[&'v Value]) -> Result<Vec<&'v Value>> {
    let mut found = Vec::new();
    for verdict in verdicts {
        if text(verdict, "resource")? == "network" {
            found.push(*verdict);
        }
    }
    Ok(found)
}

fn share(verdict: &Value, culprit: &str) -> Result<f64> {
    for entry in list(verdict, "culprits")? {
        if name(at(entry, "party")?) == culprit {
            return number(entry, "share");
        }
    }
    anyhow::bail!("{culprit} is not among the culprits of {verdict}")
}

const NARROW: &str = "tbf rate 20mbit burst 16kb latency 100ms";

/// A flood beside a ping-pong: the harm is what the victim's own answers took longer.
fn flood_is_named(engine: &'static dyn Engine) -> Result<()> {
    let _alone = machine()?;
    let link = Link::new(NARROW)?;
    let alone = link.container(
        engine,
        11,
        "dunnage-tests-calm",
        "ping --every 0ms --for 2s",
    )?;
    let calm = number(&alone.report(Duration::from_secs(8))?, "p50_seconds")?;
    drop(alone);
    let _batch = link.container(
        engine,
        13,
        "dunnage-tests-batch",
        &format!("flood --rate 40000000 --bytes 1400 --for {LONG}"),
    )?;
    // After the flood, so that all of its answers come through it.
    sleep(READY);
    let web = link.container(engine, 12, "dunnage-tests-web", "ping --every 0ms --for 7s")?;
    sleep(READY / 2);
    let blame = blame(engine)?;
    let answers = number(&web.report(Duration::from_secs(12))?, "requests")?;
    let verdict = the_flood_is_to_blame(&blame)?;
    // By time and not by answers: in one moment without the flood come more than in all the rest.
    let lost = 1.0 - answers * calm / 7.0;
    let said = number(verdict, "harm.fraction")?;
    ensure!(
        (said - lost).abs() < 0.15,
        "an answer took {calm} s alone, and there were {answers} in 7 s beside the flood, {lost:.2} of the time lost; the verdict says {said:.2}: {verdict}"
    );
    Ok(())
}

#[test]
fn a_flood_on_a_shared_uplink_is_named_under_runc() -> Result<()> {
    flood_is_named(runc()?)
}

#[test]
fn a_flood_on_a_shared_uplink_is_named_under_docker() -> Result<()> {
    flood_is_named(docker()?)
}

/// While queues are quiet nothing sees a packet before it comes to one; the first packets of a flood bring
/// that back, and until then nobody is named.
#[test]
fn a_flood_that_comes_in_the_middle_of_a_window_is_named() -> Result<()> {
    let _alone = machine()?;
    let engine = runc()?;
    let link = Link::new(NARROW)?;
    let watching = std::thread::spawn(move || blame_for(engine, "10s"));
    sleep(READY);
    let _batch = link.container(
        engine,
        13,
        "dunnage-tests-batch",
        &format!("flood --rate 40000000 --bytes 1400 --for {LONG}"),
    )?;
    sleep(READY / 2);
    let _web = link.container(engine, 12, "dunnage-tests-web", "ping --every 0ms --for 9s")?;
    let blame = watching
        .join()
        .map_err(|_| anyhow::anyhow!("the thread that watches failed"))??;
    the_flood_is_to_blame(&blame)?;
    Ok(())
}

#[test]
fn two_floods_have_the_blame_in_the_proportion_of_what_they_send() -> Result<()> {
    let _alone = machine()?;
    let engine = runc()?;
    let link = Link::new(NARROW)?;
    let rate = |bits: u64| format!("flood --rate {bits} --bytes 1400 --for {LONG}");
    let _web = link.container(engine, 11, "dunnage-tests-web", "ping --every 2ms --for 9s")?;
    let _more = link.container(engine, 12, "dunnage-tests-more", &rate(36_000_000))?;
    let _less = link.container(engine, 13, "dunnage-tests-less", &rate(12_000_000))?;
    sleep(READY);
    let blame = blame(engine)?;
    let verdict = accusation(&blame, "dunnage-tests-web")?;
    for (name, right) in [("dunnage-tests-more", 0.75), ("dunnage-tests-less", 0.25)] {
        let said = share(verdict, name)?;
        ensure!(
            (said - right).abs() < 0.12,
            "{name} has {said}, {right} is right: {verdict}"
        );
    }
    Ok(())
}

#[test]
fn a_shaper_of_its_own_is_its_own_limit() -> Result<()> {
    let _alone = machine()?;
    let engine = runc()?;
    let link = Link::new("")?;
    let load = format!("flood --rate 20000000 --bytes 1400 --for {LONG}");
    let _web = link.container(engine, 11, "dunnage-tests-web", &load)?;
    tc("-n dunnage-tests-11 qdisc add dev eth0 root tbf rate 5mbit burst 16kb latency 50ms")?;
    sleep(READY);
    let blame = blame(engine)?;
    let own = on_the_link(&verdicts(&blame, "dunnage-tests-web", &["self"])?)?;
    let verdict = own.first().with_context(|| {
        format!(
            "nothing says that it holds itself back: {}",
            summary(&blame)
        )
    })?;
    ensure!(
        text(verdict, "facts.limit")? == "tc",
        "the limit is {verdict}"
    );
    ensure!(
        text(verdict, "facts.device")?.starts_with("eth0 in net:["),
        "the device is {verdict}"
    );
    Ok(())
}

#[test]
fn who_fills_a_link_of_its_own_and_who_sends_little_harm_nobody() -> Result<()> {
    let _alone = machine()?;
    let engine = runc()?;
    let link = Link::new("tbf rate 100mbit burst 64kb latency 100ms")?;
    let _web = link.container(engine, 11, "dunnage-tests-web", "ping --every 5ms --for 9s")?;
    let light = format!("flood --rate 2000000 --bytes 400 --for {LONG}");
    let _light = link.container(engine, 12, "dunnage-tests-light", &light)?;
    let heavy = format!("flood --rate 30000000 --bytes 1400 --for {LONG}");
    let _heavy = link.container(engine, 13, "dunnage-tests-heavy", &heavy)?;
    // Its packets are held back before they reach the link.
    tc("-n dunnage-tests-13 qdisc add dev eth0 root tbf rate 8mbit burst 16kb latency 50ms")?;
    sleep(READY);
    let blame = blame(engine)?;
    for victim in ["web", "light", "heavy"] {
        let name = format!("dunnage-tests-{victim}");
        let found = on_the_link(&accusations(&blame, &name)?)?;
        ensure!(found.is_empty(), "somebody harms {name}: {found:?}");
    }
    ensure!(
        cleared(&blame)?.contains(&"dunnage-tests-heavy"),
        "the largest sender is not cleared: {}",
        summary(&blame)
    );
    Ok(())
}

/// The verdict on the one that asks, which names the flood; and nobody is accused of harming that.
fn the_flood_is_to_blame(blame: &Value) -> Result<&Value> {
    let verdict = accusation(blame, "dunnage-tests-web")?;
    ensure!(
        share(verdict, "dunnage-tests-batch")? > 0.9,
        "the flood is not to blame: {verdict}"
    );
    ensure!(
        on_the_link(&accusations(blame, "dunnage-tests-batch")?)?.is_empty(),
        "somebody is accused of harming the flood on the link"
    );
    Ok(verdict)
}
