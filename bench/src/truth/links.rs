//! Links for scenarios: namespaces of containers, and narrow uplinks that they share.
//!
//! Everything is in namespaces of its own, so that the host's network is not touched: `a` to `f`
//! are containers on one bridge, `x` is one on another, and each bridge has an uplink to the far end.

use super::roles::far_end;
use super::scenario::Prop;
use anyhow::{Context, ensure};
use std::process::Command;

/// Begins the name of every namespace, so that what a killed bench left behind is found.
const PREFIX: &str = "dunnage-truth";

/// The containers on the shared link, and the one on the other.
const SHARED: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const OTHER: &str = "x";

/// How the packets of `SHARED` come to their uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A bridge: the packets stay what they are.
    Bridge,
    /// IP: the host routes them, as engines do with masquerading.
    Route,
}

/// What a scenario asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// How the packets come to the shared uplink.
    pub(super) by: By,
    /// The queue of the shared uplink, as `tc qdisc add dev DEV root` takes it.
    pub(super) queue: &'static str,
    /// A shaper on the device of container `a` itself.
    pub(super) own: Option<&'static str>,
}

/// Makes the namespaces and devices. Words: `{a}` to `{f}`, `{x}`, `{router}` are namespaces, `{far}`
/// and `{away}` the far end's addresses behind the shared and the other link.
pub(super) fn make(plan: Plan) -> anyhow::Result<Prop> {
    clear();
    let undo = Undo;
    let name = |short: &str| format!("{PREFIX}-{short}");
    let (router, far) = (name("router"), name("far"));
    for namespace in [&router, &far] {
        add(namespace)?;
    }
    ip(&router, "link add br0 type bridge")?;
    ip(&router, "link add br1 type bridge")?;
    for bridge in ["br0", "br1"] {
        ip(&router, &format!("link set {bridge} up"))?;
    }
    uplink(&router, &far, "up0", "10.213.0.1/24", plan.queue)?;
    uplink(&router, &far, "up1", "10.213.1.1/24", OTHER_QUEUE)?;
    ip(&router, "link set up1 master br1")?;
    // A host service sends from the router itself.
    match plan.by {
        By::Bridge => {
            ip(&router, "link set up0 master br0")?;
            ip(&router, "addr add 10.213.0.2/24 dev br0")?;
        }
        By::Route => {
            ip(&router, "addr add 10.213.0.2/24 dev up0")?;
            ip(&router, "addr add 10.213.2.1/24 dev br0")?;
            ip(&far, "route add 10.213.2.0/24 via 10.213.0.2")?;
            run(
                "ip",
                &format!("netns exec {router} sysctl -q -w net.ipv4.ip_forward=1"),
            )?;
        }
    }
    for (number, short) in SHARED.iter().enumerate() {
        let address = match plan.by {
            By::Bridge => format!("10.213.0.{}/24", number + 11),
            By::Route => format!("10.213.2.{}/24", number + 11),
        };
        member(&router, &name(short), short, "br0", &address)?;
        if plan.by == By::Route {
            ip(&name(short), "route add default via 10.213.2.1")?;
        }
    }
    member(&router, &name(OTHER), OTHER, "br1", "10.213.1.11/24")?;
    if let Some(shaper) = plan.own {
        run(
            "tc",
            &format!("-n {} qdisc add dev eth0 root {shaper}", name("a")),
        )?;
    }
    far_end(&far)?;
    let mut words: Vec<(&'static str, String)> =
        SHARED.iter().map(|short| (*short, name(short))).collect();
    words.push((OTHER, name(OTHER)));
    words.push(("router", router));
    words.push(("far", "10.213.0.1".to_owned()));
    words.push(("away", "10.213.1.1".to_owned()));
    Ok(Prop {
        words,
        _undo: Box::new(undo),
    })
}

/// The other link is wide enough for all that is sent over it, and yet has a queue.
const OTHER_QUEUE: &str = "tbf rate 200mbit burst 64kb latency 50ms";

fn add(namespace: &str) -> anyhow::Result<()> {
    run("ip", &format!("netns add {namespace}"))?;
    ip(namespace, "link set lo up")
}

/// A pair of devices from the router to the far end, with a queue on the router's side.
fn uplink(router: &str, far: &str, device: &str, address: &str, queue: &str) -> anyhow::Result<()> {
    ip(
        router,
        &format!("link add {device} type veth peer name {device} netns {far}"),
    )?;
    ip(far, &format!("addr add {address} dev {device}"))?;
    ip(far, &format!("link set {device} up"))?;
    ip(router, &format!("link set {device} up"))?;
    run(
        "tc",
        &format!("-n {router} qdisc add dev {device} root {queue}"),
    )
}

/// The namespace of a container, with its `eth0` on a bridge of the router.
fn member(
    router: &str,
    namespace: &str,
    device: &str,
    bridge: &str,
    address: &str,
) -> anyhow::Result<()> {
    add(namespace)?;
    ip(
        router,
        &format!("link add port-{device} type veth peer name eth0 netns {namespace}"),
    )?;
    ip(
        router,
        &format!("link set port-{device} master {bridge} up"),
    )?;
    ip(namespace, &format!("addr add {address} dev eth0"))?;
    ip(namespace, "link set eth0 up")
}

/// Runs `ip` within a namespace.
fn ip(namespace: &str, arguments: &str) -> anyhow::Result<()> {
    run("ip", &format!("-n {namespace} {arguments}"))
}

fn run(program: &str, arguments: &str) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .output()
        .with_context(|| format!("starting {program}, of the package iproute2"))?;
    ensure!(
        output.status.success(),
        "{program} {arguments}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Removes every namespace of the bench, and with them all devices.
fn clear() {
    let names = std::fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten();
    for name in names {
        let name = name.file_name();
        if name.to_string_lossy().starts_with(PREFIX) {
            let _ = Command::new("ip").args(["netns", "del"]).arg(name).output();
        }
    }
}

struct Undo;

impl Drop for Undo {
    fn drop(&mut self) {
        clear();
    }
}
