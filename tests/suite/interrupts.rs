//! Softirqs that handle one container's packets on another's CPU, and on CPUs that nobody uses.
//!
//! The kernel is told on which CPU to handle the packets of a link (RPS, `rps_cpus`), so that the
//! sender, the softirqs and the victim each have a place.

use anyhow::{Context, Result, ensure};
use dunnage_tests::cgroups::OwnCgroup;
use dunnage_tests::document::{list, number};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::load::{HostLoad, program};
use dunnage_tests::machine::{machine, two_cpus};
use serde_json::Value;
use std::ffi::OsStr;
use std::net::UdpSocket;
use std::process::Command;

/// The host's end of the link, and a port that takes packets and reads none.
const HERE: &str = "10.214.0.1";
const THERE: &str = "10.214.0.2";

/// A link into a network namespace of its own; removed when dropped.
struct Link {
    namespace: String,
    device: String,
}

impl Link {
    /// Packets that come out of it are handled on `cpu`.
    fn make(cpu: u32) -> Result<Link> {
        let number = std::process::id() % 100_000;
        let link = Link {
            namespace: format!("dunnage-tests-{number}"),
            device: format!("dnt{number}"),
        };
        let Link { namespace, device } = &link;
        ip(&format!("netns add {namespace}"))?;
        ip(&format!(
            "link add {device} type veth peer name eth0 netns {namespace}"
        ))?;
        ip(&format!("addr add {HERE}/24 dev {device}"))?;
        ip(&format!("link set {device} up"))?;
        ip(&format!("-n {namespace} addr add {THERE}/24 dev eth0"))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
        let steering = format!("/sys/class/net/{device}/queues/rx-0/rps_cpus");
        std::fs::write(&steering, mask(cpu)).with_context(|| format!("write {steering}"))?;
        Ok(link)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.device));
        let _ = ip(&format!("netns del {}", self.namespace));
    }
}

/// One CPU as `rps_cpus` takes it: groups of 32 bits, the highest first.
fn mask(cpu: u32) -> String {
    format!(
        "{:x}{}",
        1_u32 << (cpu % 32),
        ",0".repeat(cpu as usize / 32)
    )
}

/// A container's namespace, a router and another container's namespace; removed when dropped.
struct Way {
    names: [String; 3],
}

/// The far container's end of the way, and its port.
const FAR: &str = "10.215.2.2:7";

impl Way {
    /// Packets from the first container are routed, and received by the second one, on `cpu`.
    fn make(cpu: u32) -> Result<Way> {
        let number = std::process::id() % 100_000;
        let way = Way {
            names: ["near", "router", "far"].map(|name| format!("dunnage-tests-{name}-{number}")),
        };
        for name in &way.names {
            ip(&format!("netns add {name}"))?;
        }
        let [near, router, far] = &way.names;
        ip(&format!(
            "netns exec {router} sysctl -q -w net.ipv4.ip_forward=1"
        ))?;
        for (number, end) in [(1, near), (2, far)] {
            let port = format!("port{number}");
            ip(&format!(
                "-n {router} link add {port} type veth peer name eth0 netns {end}"
            ))?;
            for (space, device, host) in [(router, port.as_str(), 1), (end, "eth0", 2)] {
                ip(&format!(
                    "-n {space} addr add 10.215.{number}.{host}/24 dev {device}"
                ))?;
                ip(&format!("-n {space} link set {device} up"))?;
            }
            ip(&format!("-n {end} route add default via 10.215.{number}.1"))?;
        }
        for (space, device) in [(router, "port1"), (far, "eth0")] {
            // `ip netns exec` mounts the namespace's own /sys.
            let steering = format!("/sys/class/net/{device}/queues/rx-0/rps_cpus");
            let write = format!("echo {} >{steering}", mask(cpu));
            let mut shell = Command::new("ip");
            shell.args(["netns", "exec", space, "sh", "-c", &write]);
            ensure!(shell.status()?.success(), "{write} in {space}");
        }
        Ok(way)
    }

    /// Starts a load of `container` in a namespace, on `cpu`.
    fn start(&self, end: usize, container: &OwnCgroup, cpu: u32, load: &str) -> Result<HostLoad> {
        let (program, cpu) = (program()?, cpu.to_string());
        let words = [
            "taskset",
            "-c",
            &cpu,
            "ip",
            "netns",
            "exec",
            &self.names[end],
        ];
        let words: Vec<&OsStr> = words
            .into_iter()
            .map(OsStr::new)
            .chain([program.as_os_str()])
            .chain(load.split(' ').map(OsStr::new))
            .collect();
        HostLoad::spawn(container.command(&words))
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .context("start ip, of the package iproute2")?;
    ensure!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// A cgroup with a container's path.
fn container(digit: char) -> Result<OwnCgroup> {
    let id: String = std::iter::repeat_n(digit, 64).collect();
    OwnCgroup::make(format!(
        "/dunnage-tests-interrupts-{}/{id}",
        std::process::id()
    ))
}

/// What is said while `flooder` sends from the first CPU as fast as it can, its packets are handled on
/// `softirqs`, and `victim` works on the second CPU.
fn blame(victim: &OwnCgroup, flooder: &OwnCgroup, softirqs: u32) -> Result<Value> {
    let [first, second] = two_cpus()?;
    let link = Link::make(softirqs)?;
    let sink = UdpSocket::bind((HERE, 0))?;
    let port = sink.local_addr()?.port();
    let _working = victim.start_on(&second.to_string(), "spin --for 60s")?;
    // One packet a write.
    let send = format!("exec dd if=/dev/zero bs=64 >/dev/udp/{HERE}/{port}");
    let first = first.to_string();
    let words = [
        "taskset",
        "-c",
        &first,
        "ip",
        "netns",
        "exec",
        &link.namespace,
    ];
    let words: Vec<&OsStr> = words
        .into_iter()
        .chain(["bash", "-c", &send])
        .map(OsStr::new)
        .collect();
    let _sending = HostLoad::spawn(flooder.command(&words))?;
    dunnage(&["blame", "--json", "--for", "3s"]).json()
}

fn is(party: &Value, cgroup: &OwnCgroup) -> bool {
    party["cgroup"].as_str().map(OsStr::new) == Some(cgroup.path())
}

#[test]
fn packets_of_a_neighbour_on_the_victims_cpu_are_the_senders_doing() -> Result<()> {
    let _alone = machine()?;
    let [_, second] = two_cpus()?;
    let (victim, flooder) = (container('a')?, container('b')?);
    let said = blame(&victim, &flooder, second)?;
    let verdict = list(&said, "verdicts")?
        .iter()
        .find(|verdict| verdict["resource"] == "network" && is(&verdict["victim"], &victim))
        .with_context(|| format!("no verdict on the network: {said}"))?;
    ensure!(verdict["cause"] == "neighbour", "{verdict}");
    let culprits = list(verdict, "culprits")?;
    let first = culprits.first().context("nobody is named")?;
    ensure!(is(&first["party"], &flooder), "{verdict}");
    ensure!(number(first, "share")? > 0.9, "{verdict}");
    let fact = |name: &str| number(verdict, &format!("facts.{name}"));
    let all = fact("interrupted_seconds")?;
    let parts =
        fact("for_others_seconds")? + fact("for_itself_seconds")? + fact("for_kernel_seconds")?;
    ensure!(
        (all - parts).abs() <= 0.01 * all,
        "{parts} s of {all} s: {verdict}"
    );
    Ok(())
}

#[test]
fn packets_that_are_routed_are_their_senders_doing_and_not_the_receivers() -> Result<()> {
    let _alone = machine()?;
    let [first, second] = two_cpus()?;
    let (victim, sender, receiver) = (container('1')?, container('2')?, container('3')?);
    let way = Way::make(second)?;
    let _receiving = way.start(2, &receiver, first, &format!("answer --to {FAR} --for 60s"))?;
    // Few requests that are answered, by which the receiver's namespace is known to be its own; long
    // packets get no answer.
    let ping = format!("ping --to {FAR} --every 50ms --for 60s");
    let _asking = way.start(0, &sender, first, &ping)?;
    let flood = format!("flood --to {FAR} --rate 4000000000 --bytes 600 --for 60s");
    let _sending = way.start(0, &sender, first, &flood)?;
    let _working = victim.start_on(&second.to_string(), "spin --for 60s")?;
    let said = dunnage(&["blame", "--json", "--for", "3s"]).json()?;
    let of_network = |list: &[Value], place: &str, who: &OwnCgroup| {
        list.iter()
            .any(|one| one["resource"] == "network" && is(&one[place], who))
    };
    let verdicts = list(&said, "verdicts")?;
    ensure!(of_network(verdicts, "victim", &victim), "no harm: {said}");
    for verdict in verdicts.iter().filter(|v| v["resource"] == "network") {
        let culprits = list(verdict, "culprits")?;
        ensure!(
            !culprits.iter().any(|one| is(&one["party"], &receiver)),
            "the receiver is named: {verdict}"
        );
        if is(&verdict["victim"], &victim) {
            let first = culprits.first().context("nobody is named")?;
            ensure!(is(&first["party"], &sender), "{verdict}");
            ensure!(number(first, "share")? > 0.9, "{verdict}");
        }
    }
    Ok(())
}

#[test]
fn a_flood_that_is_handled_where_the_victim_does_not_run_is_cleared() -> Result<()> {
    let _alone = machine()?;
    let [first, _] = two_cpus()?;
    let (victim, flooder) = (container('c')?, container('d')?);
    let said = blame(&victim, &flooder, first)?;
    let accused = list(&said, "verdicts")?
        .iter()
        .find(|verdict| verdict["resource"] == "network" && is(&verdict["victim"], &victim));
    ensure!(accused.is_none(), "{}", accused.unwrap_or(&Value::Null));
    let cleared = list(&said, "cleared")?
        .iter()
        .any(|cleared| cleared["of"] == "network" && is(&cleared["party"], &flooder));
    ensure!(cleared, "the flood is not cleared: {said}");
    Ok(())
}
