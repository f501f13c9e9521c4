//! The OCI runtime in front of the real one, under Docker and Swarm: who may ask, what comes of it, and
//! what is refused.

use anyhow::{Context, Result, bail, ensure};
use dunnage_tests::machine::{machine, patience};
use dunnage_tests::probe::{IMAGE, Seen};
use dunnage_tests::rack::engines::{DockerInside, Runs};
use dunnage_tests::rack::{GROUPS, Rack, binary};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SECOND_GPU: &str = "0000:03:00.0";
const NPU: &str = "0000:00:0b.0";

/// The part of daemon.json that `dunnage-devices swarm` prints, for this rack.
fn daemon_json(rack: &Rack, default: bool) -> Result<PathBuf> {
    let program = binary()?.display().to_string();
    let mut daemon = rack.devices(&["swarm", "--program", &program])?["daemon"].take();
    daemon["runtimes"]["dunnage"]["runtimeArgs"] =
        json!(["--host-root", rack.root(), "runtime", "--"]);
    if !default {
        daemon["default-runtime"] = json!("runc");
    }
    let path = rack.place("docker-config")?.join("daemon.json");
    std::fs::write(&path, daemon.to_string())?;
    Ok(path)
}

fn start<'r>(rack: &'r Rack, default: bool, name: &str) -> Result<DockerInside<'r>> {
    let config = daemon_json(rack, default)?;
    DockerInside::start(
        rack,
        None,
        name,
        &[format!("--config-file={}", config.display())],
    )
}

fn asking(devices: &str) -> Vec<String> {
    vec![
        "--runtime=dunnage".to_owned(),
        format!("--env=DUNNAGE_DEVICES={devices}"),
    ]
}

#[test]
fn devices_runtime_gives_what_the_operator_asks_for() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    let docker = start(&rack, false, "docker-rt")?;
    let classic = Seen::parse(&docker.once(&rack.options(&[SECOND_GPU], "docker")?, &["4:40"])?)?;
    let given = Seen::parse(&docker.once(&asking(SECOND_GPU), &["4:40"])?)?;
    ensure!(
        given.of_devices(&GROUPS) == classic.of_devices(&GROUPS),
        "by the runtime: {}\nby options: {}",
        given.of_devices(&GROUPS),
        classic.of_devices(&GROUPS)
    );
    given.refused(&[(4, 40)])?;

    // Several, in the order in which they are asked for.
    let both = Seen::parse(&docker.once(&asking("intel.com/gpu=1,intel.com/gpu=0"), &[])?)?;
    let nodes: Vec<_> = both.0["nodes"]
        .as_array()
        .context("nodes")?
        .iter()
        .map(|node| {
            format!(
                "{} {}:{} {}",
                node["path"], node["major"], node["minor"], node["open"]
            )
        })
        .collect();
    ensure!(
        nodes
            == [
                "\"/dev/dri/card0\" 4:42 \"ok\"",
                "\"/dev/dri/card1\" 4:40 \"ok\"",
                "\"/dev/dri/renderD128\" 10:237 \"ok\"",
                "\"/dev/dri/renderD129\" 4:41 \"ok\""
            ],
        "{nodes:?}"
    );
    ensure!(
        both.0["links"]
            .as_array()
            .is_some_and(|links| links.len() == 4)
    );

    let nothing = ["--runtime=dunnage".to_owned()];
    let nothing = Seen::parse(&docker.once(&nothing, &["10:237", "4:42"])?)?;
    ensure!(nothing.0["nodes"] == json!([]), "{}", nothing.0);
    nothing.refused(&[(10, 237), (4, 42)])
}

#[test]
fn devices_runtime_refuses_what_images_and_strangers_ask_for() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    let docker = start(&rack, false, "docker-rt")?;
    let why = |options: &[String]| match docker.once(options, &[]) {
        Ok(output) => bail!("it started: {output}"),
        Err(error) => Ok(format!("{error:#}")),
    };
    let told = why(&asking("intel.com/gpu=7"))?;
    ensure!(
        told.contains("does not have") && told.contains("intel.com/gpu=0"),
        "the engine shows the reason: {told}"
    );
    let told = why(&[
        "--runtime=dunnage".to_owned(),
        format!("--env=DOCKER_RESOURCE_GPU={NPU}"),
    ])?;
    ensure!(told.contains("does not have"), "an NPU is no GPU: {told}");

    docker.run(&["create", "--name=dn-seed", "--network=none", IMAGE])?;
    let change = format!("ENV DUNNAGE_DEVICES={SECOND_GPU} DOCKER_RESOURCE_GPU={SECOND_GPU}");
    docker.run(&["commit", "--change", &change, "dn-seed", "localhost/greedy"])?;
    let greedy = docker.run(&[
        "run",
        "--rm",
        "--network=none",
        "--runtime=dunnage",
        "localhost/greedy",
    ]);
    let told = format!("{:#}", greedy.err().context("an image chose a device")?);
    ensure!(told.contains("An image must not choose devices"), "{told}");
    Ok(())
}

#[test]
fn devices_swarm_counts_and_gives() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    let docker = start(&rack, true, "docker-sw")?;
    let port = |base: u32| (base + std::process::id() % 500).to_string();
    let address = format!("127.0.0.1:{}", port(23_000));
    docker.run(&[
        "swarm",
        "init",
        "--advertise-addr",
        &address,
        "--listen-addr",
        &address,
        "--data-path-port",
        &port(24_000),
    ])?;
    let service = |name: &str, more: &[&str]| {
        let mut words = vec![
            "service",
            "create",
            "--detach",
            "--network=host",
            "--no-resolve-image",
        ];
        words.extend(["--restart-condition=none", "--name", name]);
        words.extend_from_slice(more);
        words.extend([IMAGE, "see", "4:41", "4:45"]);
        docker.run(&words).map(drop)
    };
    service("dn-npu", &["--generic-resource", "NPU=1"])?;
    service("dn-none", &[])?;
    let seen = outcome(&docker, "dn-npu")?;
    let nodes = seen.0["nodes"].as_array().context("nodes")?;
    ensure!(
        nodes.len() == 1 && nodes[0]["path"] == "/dev/accel/accel0" && nodes[0]["open"] == "ok",
        "{}",
        seen.0
    );
    seen.refused(&[(4, 41)])?;
    let seen = outcome(&docker, "dn-none")?;
    ensure!(seen.0["nodes"] == json!([]), "{}", seen.0);
    seen.refused(&[(4, 41), (4, 45)])
}

/// What the probe of a service's only task saw.
fn outcome(docker: &DockerInside<'_>, service: &str) -> Result<Seen> {
    let filter = format!("label=com.docker.swarm.service.name={service}");
    let start = Instant::now();
    let patience = patience();
    loop {
        let ids = docker.run(&["ps", "--all", "--quiet", "--filter", &filter])?;
        let logs = ids.lines().next().map(|id| docker.run(&["logs", id]));
        if let Some(Ok(seen)) = logs.map(|logs| logs.and_then(|logs| Seen::parse(&logs))) {
            return Ok(seen);
        }
        if start.elapsed() > patience {
            let tasks = docker.run(&["service", "ps", "--no-trunc", service])?;
            bail!("{service} said nothing in {patience:?}:\n{tasks}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
