//! The cgroup layouts: the machine's own, whichever it is, and pure v2 under a stock kernel in a
//! virtual machine.

use anyhow::{Context, Result, ensure};
use dunnage_tests::cgroups::mounts;
use dunnage_tests::document::{at, list, name, text};
use dunnage_tests::dunnage::{binary, dunnage};
use dunnage_tests::guest::{self, Guest};
use dunnage_tests::load::{image, program};
use dunnage_tests::machine::machine;
use std::time::Duration;

#[test]
fn the_machines_own_layout_is_told() -> Result<()> {
    let _alone = machine()?;
    let ps = dunnage(&["ps", "--json", "--for", "1s"]).json()?;
    ensure!(
        text(&ps, "host.cgroup")? == mounts()?.layout,
        "host.cgroup is {}, the mounts say {}",
        at(&ps, "host.cgroup")?,
        mounts()?.layout
    );
    Ok(())
}

/// What of this very suite runs in the guest as well, on an emulated CPU.
const IN_THE_GUEST: [&str; 7] = [
    "blame::under_runc::bystander_on_the_other_cpu_uses_most",
    "blame::under_runc::held_back_by_its_own_quota",
    "blame::under_docker::bystander_on_the_other_cpu_uses_most",
    "blame::under_docker::equal_spinners_share",
    "engines::docker_containers_are_named_and_charged",
    "engines::runc_containers_are_named_and_charged",
    "hostile::cgroup_name_with_escape_sequences",
];

/// One start of the guest, one test: a start takes as long as several scenarios.
#[test]
fn pure_v2_in_a_virtual_machine() -> Result<()> {
    let _alone = machine()?;
    // The guest sees the host's files but compiles nothing.
    program()?;
    image()?;
    let guest = guest::run(&command()?, Duration::from_secs(420))?;
    // All of it is told, since a second look costs a second start.
    let outcomes = [documents(&guest), demo(&guest), scenarios(&guest)];
    let failures: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

fn command() -> Result<String> {
    let quoted = |path: &std::path::Path| format!("'{}'", path.display());
    let dunnage = quoted(&binary()?.canonicalize()?);
    let suite = quoted(&std::env::current_exe()?);
    let target = quoted(&dunnage_tests::target().canonicalize()?);
    Ok(format!(
        "export DUNNAGE_TESTS_EMULATED=1 DUNNAGE_BIN={dunnage} CARGO_TARGET_DIR={target}; cd /out; \
         {dunnage} doctor --json >doctor.json; \
         {dunnage} ps --json --for 2s >ps.json; \
         {dunnage} blame --json --for 2s >blame.json; \
         {dunnage} demo --json --for 8s >demo.json; echo $? >demo.status; \
         {suite} --test-threads=1 --exact {} >suite.output 2>&1",
        IN_THE_GUEST.join(" ")
    ))
}

fn documents(guest: &Guest) -> Result<()> {
    let ps = guest.json("ps.json")?;
    ensure!(
        text(&ps, "host.cgroup")? == "v2",
        "the guest's layout is {}",
        at(&ps, "host.cgroup")?
    );
    ensure!(
        list(&ps, "parties")?
            .iter()
            .any(|entry| entry["party"]["kind"] == "kernel"),
        "no kernel among the guest's parties"
    );
    let blame = guest.json("blame.json")?;
    ensure!(
        text(&blame, "coverage.cpu")? == "exact",
        "the guest's coverage is {}",
        at(&blame, "coverage.cpu")?
    );
    ensure!(
        !list(&guest.json("doctor.json")?, "checks")?.is_empty(),
        "the doctor checked nothing in the guest"
    );
    Ok(())
}

fn demo(guest: &Guest) -> Result<()> {
    let demo = guest.json("demo.json")?;
    ensure!(
        guest.file("demo.status")?.trim() == "0" && at(&demo, "right")? == true,
        "the demo was not right in the guest: {} {}",
        demo["checks"],
        demo["truth"]
    );
    let verdicts = list(&demo, "blame.verdicts")?;
    let right = |verdict: &&serde_json::Value| {
        name(&verdict["victim"]) == "victim" && verdict["cause"] == "neighbour"
    };
    let verdict = verdicts
        .iter()
        .find(right)
        .with_context(|| format!("no verdict for the demo's victim: {verdicts:?}"))?;
    let culprit = list(verdict, "culprits")?
        .first()
        .context("the verdict names nobody")?;
    ensure!(
        name(&culprit["party"]) == "culprit",
        "the demo's culprit is {culprit}"
    );
    Ok(())
}

fn scenarios(guest: &Guest) -> Result<()> {
    let output = guest.file("suite.output")?;
    let expected = format!("{} passed; 0 failed", IN_THE_GUEST.len());
    ensure!(
        guest.status()? == 0 && output.contains(&expected),
        "the scenarios in the guest, status {}:\n{output}",
        guest.status()?
    );
    Ok(())
}
