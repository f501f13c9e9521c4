//! Intel's data streaming and analytics engines, DSA and IAA (`drivers/dma/idxd`,
//! `Documentation/ABI/stable/sysfs-driver-dma-idxd`).
//!
//! Work is given to work queues. One that is configured for user space and enabled has a node,
//! `/dev/dsa/wqX.Y` or `/dev/iax/wqX.Y`, and is what can be given away: one [`Device`] each. An
//! engine without such a queue is listed by itself, so that it is seen what is missing.

use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Health, Kind, Node, Role, Shares};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the kernel lists engines, queues, groups and all.
const DEVICES: &str = "/sys/bus/dsa/devices";

/// The most entries that are looked at, of the bus and of one engine. An engine has 8 queues today.
const ENTRIES_LIMIT: usize = 8192;

/// DSA and IAA.
pub(super) struct Idxd;

/// One engine.
struct Engine {
    /// `dsa0`, `iax1`.
    name: String,
    /// `dsa` or `iax`: the folder of its nodes below `/dev`.
    prefix: &'static str,
    directory: PathBuf,
    /// Its PCI function.
    address: Option<String>,
    enabled: Option<bool>,
}

impl Family for Idxd {
    fn name(&self) -> &'static str {
        "idxd"
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let mut found = Found::default();
        let (names, more) = match host.entries(DEVICES, ENTRIES_LIMIT) {
            Ok(listing) => listing,
            Err(error) if error.kind() == ErrorKind::NotFound => return found,
            Err(error) => {
                let why = format!("cannot list it: {error}; work queues may be missing");
                found.gaps.push(Gap::new(DEVICES, why));
                return found;
            }
        };
        if more {
            let why = format!("more than {ENTRIES_LIMIT} entries; the others are not looked at");
            found.gaps.push(Gap::new(DEVICES, why));
        }
        let mut engines: Vec<(usize, String, &'static str)> = names
            .iter()
            .filter_map(|name| name.to_str())
            .filter_map(|name| prefix(name).map(|prefix| (name.len(), name.to_owned(), prefix)))
            .collect();
        // dsa2 before dsa10.
        engines.sort();
        for (_, name, prefix) in engines {
            let engine = engine(host, name, prefix);
            let before = found.devices.len();
            for queue in queues(host, &engine.directory) {
                found.devices.extend(describe_queue(host, &engine, &queue));
            }
            if found.devices.len() == before {
                found.devices.push(describe_engine(host, &engine));
            }
        }
        found
    }
}

/// Which folder below `/dev` the queues of `dsa0` or `iax1` are in; `None` for other names.
fn prefix(name: &str) -> Option<&'static str> {
    ["dsa", "iax"].into_iter().find(|prefix| {
        name.strip_prefix(prefix).is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

fn engine(host: &HostRoot, name: String, prefix: &'static str) -> Engine {
    let directory = Path::new(DEVICES).join(&name);
    Engine {
        address: pci::function_of(host, &directory),
        enabled: enabled(host, &directory),
        name,
        prefix,
        directory,
    }
}

/// What `state` says.
fn enabled(host: &HostRoot, directory: &Path) -> Option<bool> {
    match host.fact(directory.join("state"))?.as_str() {
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => None,
    }
}

/// The directories `wqX.Y` of an engine.
fn queues(host: &HostRoot, engine: &Path) -> Vec<String> {
    let (names, _) = host.entries(engine, ENTRIES_LIMIT).unwrap_or_default();
    names
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| queue_number(name).is_some())
        .map(str::to_owned)
        .collect()
}

/// The number of the queue `wqX.Y` on its engine: Y.
fn queue_number(name: &str) -> Option<u32> {
    let (engine, queue) = name.strip_prefix("wq")?.split_once('.')?;
    engine.parse::<u32>().ok()?;
    queue.parse().ok()
}

/// What engines and queues have in common.
fn describe(host: &HostRoot, engine: &Engine, id: String) -> Device {
    let mut device = Device::new(id, "idxd", Kind::Dsa, "intel");
    let model = if engine.prefix == "iax" {
        "Intel In-Memory Analytics Accelerator (IAA)"
    } else {
        "Intel Data Streaming Accelerator (DSA)"
    };
    device.model = Some(model.to_owned());
    if let Some(address) = &engine.address {
        let function = pci::directory(address);
        device.driver = pci::driver(host, &function);
        device.numa_node = pci::numa_node(host, &function);
        device.pci = pci::place(host, address);
    }
    device.numa_node = device
        .numa_node
        .or_else(|| pci::numa_node(host, &engine.directory));
    device.attributes.insert("engine", engine.name.clone());
    device
}

/// An engine that has nothing to give.
fn describe_engine(host: &HostRoot, engine: &Engine) -> Device {
    let id = engine
        .address
        .clone()
        .unwrap_or_else(|| engine.name.clone());
    let mut device = describe(host, engine, id);
    device.aliases.push(engine.name.clone());
    device.health = Health::Unhealthy(
        "no work queue is configured for user space: accel-config config-wq --type=user, \
         then enable-device and enable-wq"
            .to_owned(),
    );
    device
}

/// A queue for user space as a device; `None` for the kernel's queues and unused ones.
fn describe_queue(host: &HostRoot, engine: &Engine, name: &str) -> Option<Device> {
    let directory = engine.directory.join(name);
    if host.fact(directory.join("type")).as_deref() != Some("user") {
        return None;
    }
    let number = queue_number(name)?;
    let id = match &engine.address {
        Some(address) => format!("{address}-wq{number}"),
        None => name.to_owned(),
    };
    let mut device = describe(host, engine, id);
    device.aliases = vec![name.to_owned(), format!("{}/{name}", engine.prefix)];
    device.aliases.retain(|alias| *alias != device.id);
    device.parent = Some(
        engine
            .address
            .clone()
            .unwrap_or_else(|| engine.name.clone()),
    );
    device.nodes.extend(node(host, engine, &directory, name));
    device.health = match (engine.enabled, enabled(host, &directory)) {
        (Some(false), _) => Health::Unhealthy(format!("the engine {} is disabled", engine.name)),
        (_, Some(false)) => Health::Unhealthy(format!(
            "the work queue is disabled: accel-config enable-wq {}/{name}",
            engine.name
        )),
        _ if device.nodes.is_empty() => {
            Health::Unhealthy(format!("it has no node /dev/{}/{name}", engine.prefix))
        }
        (_, Some(true)) => Health::Healthy,
        (_, None) => Health::Unknown("nothing tells whether it is enabled".to_owned()),
    };
    let mode = host.fact(directory.join("mode"));
    // The driver refuses a second open of a dedicated queue.
    device.shares = match mode.as_deref() {
        Some("shared") => Shares::Any,
        _ => Shares::One,
    };
    for (name, file) in [
        ("wq.mode", "mode"),
        ("wq.name", "name"),
        ("wq.size", "size"),
        ("wq.group", "group_id"),
        ("wq.priority", "priority"),
        ("wq.threshold", "threshold"),
        ("wq.block_on_fault", "block_on_fault"),
        ("wq.max_transfer_size", "max_transfer_size"),
        ("wq.max_batch_size", "max_batch_size"),
    ] {
        let value = host.fact(directory.join(file));
        device.attributes.extend(value.map(|value| (name, value)));
    }
    Some(device)
}

/// The node of a queue. Its own directory in sysfs is called `dsa!wqX.Y`; where the tree lacks that,
/// the numbers stand in `cdev_major` of the engine and `cdev_minor` of the queue.
fn node(host: &HostRoot, engine: &Engine, directory: &Path, name: &str) -> Option<Node> {
    let path = Path::new("/dev").join(engine.prefix).join(name);
    let number = |path: PathBuf| host.fact(path)?.parse::<u32>().ok();
    nodes::of_sysfs(
        host,
        directory.join(format!("{}!{name}", engine.prefix)),
        Role::Own,
    )
    .or_else(|| nodes::at(host, &path, Role::Own))
    .or_else(|| {
        Some(Node {
            path,
            role: Role::Own,
            block: false,
            major: number(engine.directory.join("cdev_major"))?,
            minor: number(directory.join("cdev_minor"))?,
            access: None,
        })
    })
}
