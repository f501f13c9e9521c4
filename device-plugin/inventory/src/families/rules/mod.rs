//! Whatever a rule of the configuration names: see [`crate::config`].

mod pattern;
mod select;

use super::{Family, Found};
use crate::config::{AlsoNode, Config, Rule};
use crate::device::{Device, Health, Node, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use select::Match;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whatever a rule of the configuration names.
pub(super) struct Rules;

impl Family for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn scan(&self, host: &HostRoot, config: &Config) -> Found {
        let mut found = Found::default();
        let mut taken: BTreeSet<PathBuf> = BTreeSet::new();
        for rule in &config.rules {
            let (mut matches, cut) = select::matches(host, &rule.select);
            let all = matches.len();
            // Two devices of one node would be given to two who must not share it.
            matches.retain(|one| !one.nodes.iter().any(|node| taken.contains(&node.path)));
            if matches.len() < all {
                let why = format!(
                    "{} of the {all} that it selects are an earlier rule's, which has them",
                    all - matches.len()
                );
                let what = format!("rule {}", rule.name);
                found.gaps.push(Gap::new(what, why));
            }
            let nodes = matches.iter().flat_map(|one| &one.nodes);
            taken.extend(nodes.map(|node| node.path.clone()));
            if cut {
                let why = "it selects too much; what is beyond the bounds is not looked at";
                found
                    .gaps
                    .push(Gap::new(format!("rule {}", rule.name), why));
            }
            if rule.count.is_some() {
                found.devices.extend(counted(host, rule, matches));
            } else {
                let named = matches.into_iter().map(|one| named(host, rule, one));
                found.devices.extend(named);
            }
        }
        found
    }
}

/// What all devices of a rule have.
fn base(rule: &Rule, id: String) -> Device {
    let mut device = Device::new(id, "rules", rule.kind, rule.vendor.clone());
    device.model.clone_from(&rule.model);
    device.shares = rule.users;
    device.attributes.insert("rule", rule.name.clone());
    device
}

/// One match as a device of its own.
fn named(host: &HostRoot, rule: &Rule, one: Match) -> Device {
    let mut device = base(rule, format!("{}-{}", rule.name, one.name));
    device.aliases.push(one.name);
    if let Some(directory) = &one.directory {
        device.driver =
            pci::driver(host, directory).or_else(|| pci::driver(host, &directory.join("device")));
        if let Some(address) = pci::function_of(host, directory) {
            device.numa_node = pci::numa_node(host, &pci::directory(&address));
            device.pci = pci::place(host, &address);
            device.aliases.push(address);
        }
    }
    device.nodes = one.nodes;
    device.health = add_further(host, &rule.also, one.star.as_deref(), &mut device.nodes);
    device
}

/// All matches as one device; `None` where there is none.
fn counted(host: &HostRoot, rule: &Rule, matches: Vec<Match>) -> Option<Device> {
    if matches.is_empty() {
        return None;
    }
    let mut device = base(rule, rule.name.clone());
    let mut healths = Vec::new();
    for one in matches {
        for node in one.nodes {
            push_once(&mut device.nodes, node);
        }
        healths.push(add_further(
            host,
            &rule.also,
            one.star.as_deref(),
            &mut device.nodes,
        ));
    }
    // The device's own nodes stand first.
    device.nodes.sort_by_key(|node| node.role != Role::Own);
    device.health = healths
        .into_iter()
        .find(|health| *health != Health::Healthy)
        .unwrap_or(Health::Healthy);
    Some(device)
}

/// Adds the nodes that go along, and says whether all are there that must be.
fn add_further(
    host: &HostRoot,
    also: &[AlsoNode],
    star: Option<&str>,
    nodes: &mut Vec<Node>,
) -> Health {
    let mut missing = Vec::new();
    for further in also {
        let path = further.path.replace("{}", star.unwrap_or_default());
        match nodes::at(host, Path::new(&path), further.role.into()) {
            Some(node) => push_once(nodes, node),
            None if further.optional => {}
            None => missing.push(path),
        }
    }
    if missing.is_empty() {
        Health::Healthy
    } else {
        Health::Unhealthy(format!("{} is not there or no device", missing.join(", ")))
    }
}

fn push_once(nodes: &mut Vec<Node>, node: Node) {
    if !nodes.iter().any(|other| other.path == node.path) {
        nodes.push(node);
    }
}
