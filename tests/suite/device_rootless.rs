//! Podman of an ordinary user: it gets the device's nodes and no others. There is no device cgroup: what
//! keeps the others away is that their nodes are not there, and that nobody makes a node in a user
//! namespace. What it may open of its own is the user's permission on the host's node.

use anyhow::{Context, Result, ensure};
use dunnage_tests::machine::machine;
use dunnage_tests::probe::Seen;
use dunnage_tests::rack::engines::Runs;
use dunnage_tests::rack::rootless::{PodmanRootless, end_of_its_processes};
use dunnage_tests::rack::{GROUPS, Rack};
use serde_json::{Value, json};

/// The GPU whose nodes have the same names inside: card0 and renderD128.
const FIRST: &str = "0000:00:02.0";
/// The GPU whose nodes, card1 and renderD129, have other names inside.
const SECOND: &str = "0000:03:00.0";
/// The numbers of all nodes of the rack, and of one that is in no rack.
const ALL: [&str; 6] = ["10:237", "4:42", "4:40", "4:41", "4:45", "10:229"];

/// What is seen of a GPU with these numbers. The nodes are the host's own, bound one by one, and their
/// owners have no name inside.
fn expected(address: &str, card: (u64, u64), render: (u64, u64)) -> Value {
    let node = |name: &str, (major, minor): (u64, u64)| {
        json!({"path": format!("/dev/dri/{name}"), "major": major, "minor": minor, "mode": 0o660,
               "uid": 65_534, "gid": 65_534, "open": "ok", "write": "ok"})
    };
    let link = |sort: &str, target: &str| {
        json!({"path": format!("/dev/dri/by-path/pci-{address}-{sort}"),
               "target": format!("../{target}"), "open": "ok"})
    };
    json!({
        "nodes": [node("card0", card), node("renderD128", render)],
        "links": [link("card", "card0"), link("render", "renderD128")],
        "mounts": [
            {"at": "/dev/dri/by-path", "ro": true},
            {"at": "/dev/dri/card0", "ro": false},
            {"at": "/dev/dri/renderD128", "ro": false}],
        "env": ["LIBVA_DRIVER_NAME=iHD"],
        "groups": [],
    })
}

/// A container with these options sees exactly this, a kept one too and after a restart, and one that
/// asks for nothing sees nothing. None makes a node.
fn through(podman: &PodmanRootless<'_>, options: &[String], expected: &Value) -> Result<()> {
    let seen = Seen::parse(&podman.once(options, &ALL)?)?;
    ensure!(
        seen.of_devices(&GROUPS) == *expected,
        "seen: {}\nexpected: {expected}",
        seen.of_devices(&GROUPS)
    );
    seen.makes_none()?;

    let nothing = Seen::parse(&podman.once(&[], &ALL)?)?;
    ensure!(
        nothing.0["nodes"] == json!([]) && nothing.0["links"] == json!([]),
        "who asks for nothing has {}",
        nothing.0
    );
    nothing.makes_none().context("who asks for nothing")?;

    podman.keep("dn-kept", options)?;
    let looked = look(podman, expected).and_then(|()| {
        podman.disturb("dn-kept").context("restart it")?;
        look(podman, expected).context("after a restart")
    });
    podman.remove("dn-kept")?;
    looked
}

fn look(podman: &PodmanRootless<'_>, expected: &Value) -> Result<()> {
    let seen = Seen::parse(&podman.inside("dn-kept", &ALL)?)?;
    ensure!(
        seen.0["nodes"] == expected["nodes"],
        "inside: {}",
        seen.0["nodes"]
    );
    seen.makes_none()
}

#[test]
fn devices_podman_rootless() -> Result<()> {
    let _alone = machine()?;
    let rack = Rack::start("rack")?;
    rack.write_specs(true)?;
    let member = PodmanRootless::start(&rack, &GROUPS)?;

    // Podman binds by CDI what has the inner name on the host: with another name inside, CDI is not
    // offered, because the first GPU would be there.
    let offered = rack.devices(&["docker", "--device", SECOND])?;
    ensure!(offered["podman_rootless_cdi"].is_null(), "{offered}");
    let options = rack.options(&[SECOND], "podman_rootless")?;
    let second = expected(SECOND, (4, 42), (10, 237));
    through(&member, &options, &second).context("a node with another name inside, by options")?;

    let first = expected(FIRST, (4, 40), (4, 41));
    for key in ["podman_rootless_cdi", "podman_rootless"] {
        let options = rack.options(&[FIRST], key)?;
        through(&member, &options, &first).with_context(|| format!("the same names, {key}"))?;
    }
    drop(member);

    // Who may not open the node on the host may not inside.
    let stranger = PodmanRootless::start(&rack, &[])?;
    let seen = Seen::parse(&stranger.once(&options, &ALL)?)?;
    let nodes = seen.0["nodes"].as_array().context("nodes")?;
    ensure!(nodes.len() == 2, "as a stranger: {nodes:?}");
    for node in nodes {
        ensure!(node["open"] == "EACCES", "as a stranger: {node}");
    }
    seen.makes_none()?;
    drop(stranger);
    end_of_its_processes()
}
