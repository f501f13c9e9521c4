//! The same device through every engine: the probe inside sees the same, every other device is refused,
//! also after mknod, a restart, the engine's own changes to the cgroup and the loss of its daemon, and who
//! asks for nothing gets nothing.

use anyhow::{Context, Result, ensure};
use dunnage_tests::cgroups::mounts;
use dunnage_tests::guest;
use dunnage_tests::machine::machine;
use dunnage_tests::probe::Seen;
use dunnage_tests::rack::engines::{
    BundleInside, ContainerdInside, DockerInside, PodmanInside, Runs, newer,
};
use dunnage_tests::rack::{GROUPS, Rack, binary};
use serde_json::{Value, json};
use std::time::Duration;

/// The device that is given: the second GPU, which the host calls renderD129 and card1.
pub(crate) const GIVEN: &str = "0000:03:00.0";
/// Its numbers.
const OWN: [(u64, u64); 2] = [(10, 237), (4, 42)];
/// Those of the others, and of a device that is in no rack.
const OTHERS: [(u64, u64); 4] = [(4, 40), (4, 41), (4, 45), (10, 229)];
/// The others' numbers as the probe takes them.
const TRIES: [&str; 4] = ["4:40", "4:41", "4:45", "10:229"];
/// All numbers.
const ALL: [&str; 6] = ["10:237", "4:42", "4:40", "4:41", "4:45", "10:229"];

/// What is seen of the device, whatever the engine.
pub(crate) fn expected() -> Value {
    let node = |name: &str, (major, minor): (u64, u64), gid: u64| {
        json!({"path": format!("/dev/dri/{name}"), "major": major, "minor": minor, "mode": 0o660,
               "uid": 0, "gid": gid, "open": "ok", "write": "ok"})
    };
    let link = |sort: &str, target: &str| {
        json!({"path": format!("/dev/dri/by-path/pci-{GIVEN}-{sort}"),
               "target": format!("../{target}"), "open": "ok"})
    };
    json!({
        "nodes": [node("card0", OWN[1], GROUPS[1]), node("renderD128", OWN[0], GROUPS[0])],
        "links": [link("card", "card0"), link("render", "renderD128")],
        "mounts": [{"at": "/dev/dri/by-path", "ro": true}],
        "env": ["LIBVA_DRIVER_NAME=iHD"],
        "groups": [GROUPS[1], GROUPS[0]],
    })
}

/// Everything that is asked of an engine; `whole` is what it can say (Podman 4 knows no groups).
pub(crate) fn through(engine: &dyn Runs, options: &[String], expected: &Value) -> Result<()> {
    let seen = Seen::parse(&engine.once(options, &TRIES)?)?;
    ensure!(
        seen.of_devices(&GROUPS) == *expected,
        "seen: {}\nexpected: {expected}",
        seen.of_devices(&GROUPS)
    );
    seen.refused(&OTHERS)?;

    let nothing = Seen::parse(&engine.once(&[], &ALL)?)?;
    ensure!(
        nothing.0["nodes"] == json!([]) && nothing.0["links"] == json!([]),
        "who asks for nothing has {}",
        nothing.0
    );
    let none = "who asks for nothing";
    nothing.refused(&OTHERS).context(none)?;
    nothing.refused(&OWN).context(none)?;

    engine.keep("dn-kept", options)?;
    let looked = look(engine, &expected["nodes"]).and_then(|()| {
        engine.disturb("dn-kept").context("disturb it")?;
        look(engine, &expected["nodes"]).context("after a restart and changes to its cgroup")?;
        engine
            .lose_the_daemon("dn-kept")
            .context("kill the daemon")?;
        look(engine, &expected["nodes"]).context("after the daemon was killed and started")
    });
    engine.remove("dn-kept")?;
    looked
}

fn look(engine: &dyn Runs, nodes: &Value) -> Result<()> {
    let seen = Seen::parse(&engine.inside("dn-kept", &TRIES)?)?;
    ensure!(seen.0["nodes"] == *nodes, "inside: {}", seen.0["nodes"]);
    seen.refused(&OTHERS)
}

/// Two GPUs at once, through CDI, where each name is applied by itself.
pub(crate) fn together(engine: &dyn Runs, options: &[String], how: &str) -> Result<()> {
    let seen = Seen::parse(&engine.once(options, &[])?)?;
    let nodes: Vec<(Value, Value, Value)> = seen.0["nodes"]
        .as_array()
        .context("nodes")?
        .iter()
        .map(|node| {
            (
                node["path"].clone(),
                node["minor"].clone(),
                node["open"].clone(),
            )
        })
        .collect();
    let node =
        |name: &str, minor: u64| (json!(format!("/dev/dri/{name}")), json!(minor), json!("ok"));
    let both = [
        node("card0", 40),
        node("card1", 42),
        node("renderD128", 41),
        node("renderD129", 237),
    ];
    ensure!(nodes == both, "two GPUs {how}: {nodes:?}");
    Ok(())
}

/// An unprivileged user opens the nodes.
pub(crate) fn unprivileged(engine: &dyn Runs, options: &[String]) -> Result<()> {
    let mut options = options.to_vec();
    options.push("--user=1000:1000".to_owned());
    let seen = Seen::parse(&engine.once(&options, &[])?)?;
    ensure!(seen.0["uid"] == 1000, "{}", seen.0);
    for node in seen.0["nodes"].as_array().context("a list of nodes")? {
        ensure!(
            node["open"] == "ok" && node["write"] == "ok",
            "as a user: {node}"
        );
    }
    ensure!(
        seen.0["nodes"]
            .as_array()
            .is_some_and(|nodes| nodes.len() == 2)
    );
    Ok(())
}

/// For the engine's name in front of what went wrong.
pub(crate) fn named(engine: &dyn Runs, how: &str, outcome: Result<()>) -> Result<()> {
    outcome.with_context(|| format!("{} {how}", engine.name()))
}

#[test]
fn devices_docker_without_cdi() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    // Its containers outlive the daemon; those of the other ones are started anew with it.
    let outlive = ["--live-restore".to_owned()];
    let docker = DockerInside::start(&rack, None, "docker-old", &outlive)?;
    let options = rack.options(&[GIVEN], "docker")?;
    named(
        &docker,
        "by options",
        through(&docker, &options, &expected()),
    )?;
    named(&docker, "as a user", unprivileged(&docker, &options))
}

#[test]
fn devices_docker_with_cdi() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    rack.write_specs(false)?;
    let tree = newer("sid", &["docker.io", "docker-cli", "containerd"])?;
    let docker = DockerInside::start(&rack, Some(&tree), "docker-new", &[])?;
    let cdi = rack.options(&[GIVEN], "docker_cdi")?;
    named(&docker, "by CDI", through(&docker, &cdi, &expected()))?;
    named(&docker, "by CDI as a user", unprivileged(&docker, &cdi))?;
    together(
        &docker,
        &rack.options(&["intel.com/gpu=0", GIVEN], "docker_cdi")?,
        "by their names",
    )?;
    together(
        &docker,
        &["--device=intel.com/gpu=all".to_owned()],
        "by the name of all",
    )?;
    let options = rack.options(&[GIVEN], "docker")?;
    named(
        &docker,
        "by options",
        through(&docker, &options, &expected()),
    )
}

#[test]
fn devices_podman() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    rack.write_specs(true)?;
    let podman = PodmanInside::start(&rack)?;
    let options = rack.options(&[GIVEN], "podman")?;
    named(
        &podman,
        "by options",
        through(&podman, &options, &expected()),
    )?;
    named(&podman, "as a user", unprivileged(&podman, &options))?;
    // Version 0.5.0 of CDI has no groups: the nodes belong to the container's user instead.
    let mut without_groups = expected();
    without_groups["groups"] = json!([]);
    for node in without_groups["nodes"].as_array_mut().context("nodes")? {
        node["gid"] = json!(0);
    }
    let cdi = rack.options(&[GIVEN], "podman_cdi")?;
    named(&podman, "by CDI", through(&podman, &cdi, &without_groups))?;
    named(&podman, "by CDI as a user", unprivileged(&podman, &cdi))
}

#[test]
fn devices_containerd() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    rack.write_specs(false)?;
    let tree = newer("sid", &["containerd"])?;
    let new = ContainerdInside::start(&rack, Some(&tree), "ctr-new")?;
    let cdi = rack.options(&[GIVEN], "ctr")?;
    named(&new, "by CDI", through(&new, &cdi, &expected()))?;
    drop(new);
    let old = ContainerdInside::start(&rack, None, "ctr-old")?;
    let mut options = rack.options(&[GIVEN], "ctr_runtime")?;
    let wrapper = rack.wrapper()?.display().to_string();
    let program = options
        .iter()
        .position(|word| word == "--runc-binary")
        .context("a runtime")?;
    options[program + 1] = wrapper;
    named(&old, "by the runtime", through(&old, &options, &expected()))
}

#[test]
fn devices_runc_bundle() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    let options = ["--device".to_owned(), GIVEN.to_owned()];
    let runc = BundleInside::new(&rack, "runc");
    named(
        &runc,
        "by its bundle",
        through(&runc, &options, &expected()),
    )
}

#[test]
fn devices_crun_bundle() -> Result<()> {
    let _alone = machine()?;
    if mounts()?.layout != "v2" {
        // crun refuses every other layout; the virtual machine has this one.
        return Ok(());
    }
    let rack = Rack::start("rack")?;
    let options = ["--device".to_owned(), GIVEN.to_owned()];
    let crun = BundleInside::new(&rack, "crun");
    named(
        &crun,
        "by its bundle",
        through(&crun, &options, &expected()),
    )
}

/// What of this runs in the guest as well, where device rules are eBPF programs and no lists.
const IN_THE_GUEST: [&str; 7] = [
    "device_engines::devices_runc_bundle",
    "device_engines::devices_crun_bundle",
    "device_engines::devices_docker_without_cdi",
    "device_engines::devices_docker_with_cdi",
    "device_engines::devices_podman",
    "device_engines::devices_containerd",
    "device_cri::devices_cri_by_the_field_of_names",
];

#[test]
fn devices_on_pure_v2_in_a_virtual_machine() -> Result<()> {
    let _alone = machine()?;
    // The guest sees the host's files; it compiles and downloads nothing.
    dunnage_tests::probe::image()?;
    newer("sid", &["docker.io", "docker-cli", "containerd"])?;
    let quoted = |path: &std::path::Path| format!("'{}'", path.display());
    let command = format!(
        "export DUNNAGE_TESTS_EMULATED=1 DUNNAGE_DEVICES_BIN={} CARGO_TARGET_DIR={}; cd /out; \
         {} --test-threads=1 --exact {} >suite.output 2>&1",
        quoted(&binary()?.canonicalize()?),
        quoted(&dunnage_tests::target().canonicalize()?),
        quoted(&std::env::current_exe()?),
        IN_THE_GUEST.join(" ")
    );
    let guest = guest::run(&command, Duration::from_secs(900))?;
    let output = guest.file("suite.output")?;
    let expected = format!("{} passed; 0 failed", IN_THE_GUEST.len());
    ensure!(
        guest.status()? == 0 && output.contains(&expected),
        "in the guest, status {}:\n{output}",
        guest.status()?
    );
    Ok(())
}
