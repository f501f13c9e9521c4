//! From the inventory to what the kubelet is told: resources, and for each its devices or slots.
//!
//! Pure. A device that was there and is gone stays, unhealthy: who holds it is told so, and it comes
//! back under its name.

use super::api::{self, ID_LIMIT, ListAndWatchResponse, NumaNode, TopologyInfo};
use super::names::{Naming, is_resource_name, resource};
use dunnage_inventory::{Config, Device, Health, Inventory, Role};
use dunnage_model::gap::Gap;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Between a device's id and the number of a slot, as NVIDIA's plugin writes it.
const SLOT: &str = "::";

/// One device, or one slot of a shared one, as the kubelet knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// For the kubelet.
    pub id: String,
    /// The device's id in the inventory.
    pub device: String,
    /// Why it cannot be used; absent where it can.
    pub ill: Option<String>,
    /// The NUMA node.
    pub numa_node: Option<u32>,
}

/// All slots of one resource, in the order of the inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots(pub Vec<Slot>);

/// A device that fell ill, is ill for another reason, or recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// The resource that it belongs to.
    pub resource: String,
    /// The device's id in the inventory.
    pub device: String,
    /// Why it cannot be used now; absent where it can again.
    pub ill: Option<String>,
}

/// Everything that is advertised, by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertised {
    /// By the resource's name.
    pub resources: BTreeMap<String, Slots>,
    /// What cannot be advertised, and why.
    pub gaps: Vec<Gap>,
    /// The device nodes that were there at some time. One that never was tells nothing: the
    /// plugin may see no `/dev`.
    nodes: BTreeSet<PathBuf>,
}

impl Advertised {
    /// What there is now. `before` is what was advertised last.
    #[must_use]
    pub fn of(
        inventory: &Inventory,
        config: &Config,
        naming: Naming,
        before: &Advertised,
    ) -> Advertised {
        let mut now = Advertised {
            nodes: before.nodes.clone(),
            ..Advertised::default()
        };
        let nodes = inventory.devices.iter().flat_map(|device| &device.nodes);
        let there = nodes.filter(|node| node.access.is_some());
        now.nodes.extend(there.map(|node| node.path.clone()));
        for device in &inventory.devices {
            let Some(name) = resource(device, config, naming) else {
                continue;
            };
            if is_resource_name(&name) {
                let slots = now.resources.entry(name).or_default();
                slots
                    .0
                    .extend(slots_of(device, illness(device, &now.nodes)));
            } else {
                let why = format!(
                    "{name:?} is no name of a resource that the kubelet takes: mend [[resource]]"
                );
                now.gaps.push(Gap::new(device.id.clone(), why));
            }
        }
        now.keep_the_gone(before);
        now
    }

    /// The devices that fell ill or recovered since `before`, each once a resource; those that are new
    /// and well are not among them.
    #[must_use]
    pub fn changes_since(&self, before: &Advertised) -> Vec<HealthChange> {
        let mut changes: Vec<HealthChange> = Vec::new();
        for (resource, slots) in &self.resources {
            let old = before.resources.get(resource);
            for slot in &slots.0 {
                let was = old.and_then(|old| old.find(&slot.id));
                let was_ill = was.and_then(|was| was.ill.as_ref());
                let change = HealthChange {
                    resource: resource.clone(),
                    device: slot.device.clone(),
                    ill: slot.ill.clone(),
                };
                if was_ill != slot.ill.as_ref() && changes.last() != Some(&change) {
                    changes.push(change);
                }
            }
        }
        changes
    }

    fn keep_the_gone(&mut self, before: &Advertised) {
        let there: BTreeSet<String> = self
            .resources
            .values()
            .flat_map(|slots| slots.0.iter().map(|slot| slot.id.clone()))
            .collect();
        for (name, slots) in &before.resources {
            let gone = slots.0.iter().filter(|slot| !there.contains(&slot.id));
            let gone: Vec<Slot> = gone
                .map(|slot| Slot {
                    ill: Some("it is gone".to_owned()),
                    ..slot.clone()
                })
                .collect();
            if !gone.is_empty() {
                self.resources
                    .entry(name.clone())
                    .or_default()
                    .0
                    .extend(gone);
            }
        }
    }
}

impl Slots {
    /// The list for the kubelet.
    #[must_use]
    pub fn list(&self) -> ListAndWatchResponse {
        let device = |slot: &Slot| api::Device {
            id: slot.id.clone(),
            health: if slot.ill.is_none() {
                api::HEALTHY.to_owned()
            } else {
                api::UNHEALTHY.to_owned()
            },
            topology: slot.numa_node.map(|node| TopologyInfo {
                nodes: vec![NumaNode {
                    id: i64::from(node),
                }],
            }),
        };
        ListAndWatchResponse {
            devices: self.0.iter().map(device).collect(),
        }
    }

    /// The slot of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Slot> {
        self.0.iter().find(|slot| slot.id == id)
    }
}

/// A device once, or once a slot where the operator declared that it is shared.
fn slots_of(device: &Device, ill: Option<String>) -> impl Iterator<Item = Slot> {
    let slot = Slot {
        id: kubelet_id(&device.id),
        device: device.id.clone(),
        ill,
        numa_node: device.numa_node,
    };
    let count = device.slots.unwrap_or(1);
    let shared = device.slots.is_some();
    (0..count).map(move |number| {
        let mut slot = slot.clone();
        if shared {
            slot.id = kubelet_id(&format!("{}{SLOT}{number}", slot.device));
        }
        slot
    })
}

/// The ids by which the kubelet knows a device: one, or one a slot.
#[must_use]
pub fn kubelet_ids(device: &Device) -> Vec<String> {
    slots_of(device, None).map(|slot| slot.id).collect()
}

/// Why a device cannot be used. What cannot be told is no illness: most drivers tell nothing.
fn illness(device: &Device, were_there: &BTreeSet<PathBuf>) -> Option<String> {
    if let Health::Unhealthy(why) = &device.health {
        return Some(why.clone());
    }
    if device.nodes.is_empty() {
        return Some("it has no device node: is its driver bound?".to_owned());
    }
    let lost = device.nodes.iter().find(|node| {
        node.role != Role::Management && node.access.is_none() && were_there.contains(&node.path)
    })?;
    Some(format!(
        "its node is gone, or is another device now: {}",
        lost.path.display()
    ))
}

/// An id that the API takes: the end of one that is too long is a hash of it.
fn kubelet_id(id: &str) -> String {
    if id.len() <= ID_LIMIT {
        return id.to_owned();
    }
    let hash = Sha256::digest(id.as_bytes());
    let hash: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut start = ID_LIMIT - hash.len() - 1;
    while !id.is_char_boundary(start) {
        start -= 1;
    }
    format!("{}-{hash}", id.get(..start).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunnage_inventory::{Access, Kind, Node};
    use proptest::prelude::*;

    fn device(id: &str) -> Device {
        let mut device = Device::new(id, "rules", Kind::Fpga, "acme");
        device.nodes.push(Node {
            path: "/dev/x".into(),
            role: Role::Own,
            block: false,
            major: 10,
            minor: 229,
            access: None,
        });
        device
    }

    fn advertised(devices: Vec<Device>, before: &Advertised) -> Advertised {
        let inventory = Inventory {
            devices,
            gaps: Vec::new(),
        };
        Advertised::of(&inventory, &Config::default(), Naming::default(), before)
    }

    fn only(advertised: &Advertised) -> &Slots {
        assert_eq!(advertised.resources.len(), 1);
        advertised.resources.values().next().unwrap()
    }

    #[test]
    fn a_device_that_is_gone_is_ill_and_comes_back() {
        let none = Advertised::default();
        let two = advertised(vec![device("a"), device("b")], &none);
        let one = advertised(vec![device("a")], &two);
        let slots = only(&one);
        assert_eq!(slots.find("a").unwrap().ill, None);
        assert!(slots.find("b").unwrap().ill.is_some());
        assert_eq!(advertised(vec![device("a"), device("b")], &one), two);
    }

    #[test]
    fn a_device_whose_node_was_there_and_is_gone_is_ill_until_it_is_back() {
        let without = device("a");
        let mut with = device("a");
        with.nodes[0].access = Some(Access {
            mode: 0o660,
            uid: 0,
            gid: 44,
        });
        let ill = |advertised: &Advertised| only(advertised).find("a").unwrap().ill.clone();
        let unseen = advertised(vec![without.clone()], &Advertised::default());
        assert_eq!(ill(&unseen), None);
        let there = advertised(vec![with.clone()], &unseen);
        assert_eq!(ill(&there), None);
        let lost = advertised(vec![without], &there);
        assert!(ill(&lost).unwrap().contains("/dev/x"));
        assert_eq!(advertised(vec![with], &lost), there);
    }

    #[test]
    fn each_change_of_health_is_told_once() {
        let mut shared = device("a");
        shared.slots = Some(3);
        let well = advertised(vec![shared.clone(), device("b")], &Advertised::default());
        assert!(well.changes_since(&Advertised::default()).is_empty());
        assert!(well.changes_since(&well).is_empty());
        let mut ill = shared.clone();
        ill.health = Health::Unhealthy("XID 79".to_owned());
        let ill = advertised(vec![ill, device("b")], &well);
        let changes = ill.changes_since(&well);
        assert_eq!(changes.len(), 1);
        assert_eq!(
            (&*changes[0].device, changes[0].ill.as_deref()),
            ("a", Some("XID 79"))
        );
        let again = advertised(vec![shared], &ill).changes_since(&ill);
        let told: Vec<_> = again
            .iter()
            .map(|c| (&*c.device, c.ill.is_some()))
            .collect();
        assert_eq!(told, [("a", false), ("b", true)]);
    }

    #[test]
    fn a_device_without_nodes_is_ill_and_one_that_tells_nothing_is_not() {
        let mut bare = device("a");
        bare.nodes.clear();
        let all = advertised(vec![bare, device("b")], &Advertised::default());
        let healths: Vec<String> = only(&all)
            .list()
            .devices
            .into_iter()
            .map(|device| device.health)
            .collect();
        assert_eq!(healths, ["Unhealthy", "Healthy"]);
    }

    #[test]
    fn a_shared_device_is_there_once_a_slot() {
        let mut shared = device("a");
        shared.slots = Some(3);
        let all = advertised(vec![shared, device("b")], &Advertised::default());
        let ids: Vec<&str> = only(&all).0.iter().map(|slot| slot.id.as_str()).collect();
        assert_eq!(ids, ["a::0", "a::1", "a::2", "b"]);
    }

    #[test]
    fn no_numa_node_is_no_topology() {
        let mut near = device("a");
        near.numa_node = Some(1);
        let all = advertised(vec![near, device("b")], &Advertised::default());
        let list = only(&all).list().devices;
        assert_eq!(list[0].topology.as_ref().unwrap().nodes[0].id, 1);
        assert_eq!(list[1].topology, None);
    }

    proptest! {
        #[test]
        fn ids_are_short_and_differ_as_devices_do(a in "\\PC{0,120}", b in "\\PC{0,120}") {
            prop_assert!(kubelet_id(&a).len() <= ID_LIMIT);
            prop_assert_eq!(a == b, kubelet_id(&a) == kubelet_id(&b));
        }
    }
}
