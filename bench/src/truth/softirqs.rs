//! Links whose packets are handled on a chosen CPU (RPS), for scenarios about softirqs.

use super::scenario::{Cpus, Prop};
use super::workers;
use anyhow::{Context, ensure};
use std::net::UdpSocket;
use std::process::Command;

/// Begins the name of every namespace and device, so that what a killed bench left behind is found.
const PREFIX: &str = "dntruth";

/// Namespaces, each with a link to the host.
const LINKS: [&str; 2] = ["a", "b"];

/// Two namespaces whose packets are handled on `cpus`. Words: `{a}` and `{b}` are the namespaces,
/// `{to-a}` and `{to-b}` an address on the host's side that takes packets and reads none.
pub(super) fn make(cpus: Cpus) -> anyhow::Result<Prop> {
    clear();
    let undo = Undo;
    let mut words = Vec::new();
    let mut sinks = Vec::new();
    let mask = workers::mask(cpus)?;
    for (number, (short, to)) in LINKS.iter().zip(["to-a", "to-b"]).enumerate() {
        let device = format!("{PREFIX}{short}");
        let here = format!("10.215.{number}.1");
        ip(&format!("netns add {device}"))?;
        ip(&format!(
            "link add {device} type veth peer name eth0 netns {device}"
        ))?;
        ip(&format!("addr add {here}/24 dev {device}"))?;
        ip(&format!("link set {device} up"))?;
        ip(&format!(
            "-n {device} addr add 10.215.{number}.2/24 dev eth0"
        ))?;
        ip(&format!("-n {device} link set eth0 up"))?;
        let steering = format!("/sys/class/net/{device}/queues/rx-0/rps_cpus");
        std::fs::write(&steering, &mask).with_context(|| format!("writing {steering}"))?;
        let sink = UdpSocket::bind((here.as_str(), 0))?;
        words.push((*short, device));
        words.push((to, sink.local_addr()?.to_string()));
        sinks.push(sink);
    }
    Ok(Prop {
        words,
        _undo: Box::new((sinks, undo)),
    })
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .context("starting ip, of the package iproute2")?;
    ensure!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Removes the namespaces, and with them the devices.
fn clear() {
    for short in LINKS {
        let device = format!("{PREFIX}{short}");
        for what in ["link", "netns"] {
            let _ = Command::new("ip").args([what, "del", &device]).output();
        }
    }
}

struct Undo;

impl Drop for Undo {
    fn drop(&mut self) {
        clear();
    }
}
