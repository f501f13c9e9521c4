//! A device of the inventory as a document. Pure.

use crate::cdi::qualified_name;
use crate::plugin::advertise::kubelet_ids;
use crate::plugin::holders::{Holder, Holders};
use crate::plugin::names::{Naming, resource};
use dunnage_inventory::users::User;
use dunnage_inventory::{Config, Device, Health, Inventory, Node, PciPlace, Role, Shares};
use dunnage_model::document::{
    DeviceProcessDocument, DriverDocument, HolderDocument, LinkDocument, ListedDeviceDocument,
    NodeDocument, PartyDocument, PciDocument, PeerDocument, SharesDocument,
};

/// The document of `device`. `users` are who has it open, absent where that cannot be told; `name`
/// says whose process that is. `given` is what the kubelet gave, absent where none tells.
pub(super) fn device(
    device: &Device,
    inventory: &Inventory,
    users: Option<&[User]>,
    name: impl Fn(&User) -> PartyDocument,
    given: Option<&Given<'_>>,
) -> ListedDeviceDocument {
    let (health, why) = health(&device.health);
    ListedDeviceDocument {
        id: device.id.clone(),
        aliases: device.aliases.clone(),
        kind: device.kind.as_str().into(),
        family: device.family.into(),
        vendor: device.vendor.clone(),
        model: device.model.clone(),
        driver: device.driver.as_ref().map(|driver| DriverDocument {
            name: driver.name.clone(),
            version: driver.version.clone(),
        }),
        firmware: device.firmware.clone(),
        nodes: device.nodes.iter().map(path).collect(),
        node_details: device.nodes.iter().map(node).collect(),
        pci: device.pci.as_ref().map(pci),
        link: device.pci.as_ref().and_then(link),
        numa_node: device.numa_node,
        peers: peers(device),
        memory_bytes: device.memory.map(|memory| memory.0),
        health: health.into(),
        why,
        shares: match device.shares {
            Shares::Any => SharesDocument::default(),
            Shares::One => SharesDocument::Count(1),
            Shares::UpTo(most) => SharesDocument::Count(most),
        },
        slots: device.slots,
        parent: device.parent.clone(),
        attributes: device
            .attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        // Without a node there is nothing to give.
        cdi: (!device.nodes.is_empty()).then(|| qualified_name(device, inventory)),
        users: users.map(|users| parties(users, name)),
        processes: users.map(|users| users.iter().map(process).collect()),
        given_to: given.map(|given| holders(device, given)),
    }
}

/// What the kubelet gave to whom.
pub(super) struct Given<'g> {
    pub(super) holders: &'g Holders,
    pub(super) config: &'g Config,
}

/// The containers that were given the device, under whatever name its vendor's resource has.
fn holders(device: &Device, given: &Given<'_>) -> Vec<HolderDocument> {
    let name = resource(device, given.config, Naming::default()).unwrap_or_default();
    let domain = name.split('/').next().unwrap_or_default();
    let ids = kubelet_ids(device);
    let of_id = |id: &String| -> Vec<HolderDocument> {
        let holders = given.holders.in_domain(domain, id);
        holders
            .map(|(of, holder)| holder_document(of, holder))
            .collect()
    };
    ids.iter().flat_map(of_id).collect()
}

fn holder_document(resource: &str, holder: &Holder) -> HolderDocument {
    let (namespace, pod) = holder.pod.clone().unzip();
    HolderDocument {
        resource: resource.to_owned(),
        container: holder.container.clone(),
        namespace,
        pod,
        pod_uid: holder.pod_uid.clone(),
    }
}

fn health(health: &Health) -> (&'static str, Option<String>) {
    match health {
        Health::Healthy => ("healthy", None),
        Health::Unhealthy(why) => ("unhealthy", Some(why.clone())),
        Health::Unknown(why) => ("unknown", Some(why.clone())),
    }
}

fn path(node: &Node) -> String {
    node.path.to_string_lossy().into_owned()
}

fn node(node: &Node) -> NodeDocument {
    NodeDocument {
        path: path(node),
        role: match node.role {
            Role::Own => "own",
            Role::Render => "render",
            Role::Card => "card",
            Role::Control => "control",
            Role::Management => "management",
        }
        .into(),
        kind: if node.block { "b" } else { "c" }.into(),
        major: node.major,
        minor: node.minor,
        mode: node.access.map(|access| format!("{:04o}", access.mode)),
        uid: node.access.map(|access| access.uid),
        gid: node.access.map(|access| access.gid),
    }
}

fn pci(place: &PciPlace) -> PciDocument {
    PciDocument {
        address: place.address.clone(),
        vendor: format!("{:04x}", place.vendor),
        device: format!("{:04x}", place.device),
        subsystem: place
            .subsystem
            .map(|(vendor, device)| format!("{vendor:04x}:{device:04x}")),
        class: format!("{:06x}", place.class),
        path: place.path.clone(),
        iommu_group: place.iommu_group,
        physical_function: place.physical_function.clone(),
    }
}

fn link(place: &PciPlace) -> Option<LinkDocument> {
    let link = place.link.as_ref()?;
    Some(LinkDocument {
        speed: link.speed.clone(),
        width: link.width,
        max_speed: link.max_speed.clone(),
        max_width: link.max_width,
    })
}

fn peers(device: &Device) -> Vec<PeerDocument> {
    let peers = device.peers.iter();
    peers
        .map(|peer| PeerDocument {
            id: peer.id.clone(),
            over: peer.over.into(),
            links: peer.links,
        })
        .collect()
}

/// Each party once, in the order of its first process.
fn parties(users: &[User], name: impl Fn(&User) -> PartyDocument) -> Vec<PartyDocument> {
    let mut parties: Vec<PartyDocument> = Vec::new();
    for user in users {
        let party = name(user);
        let same = |other: &PartyDocument| {
            (&other.kind, &other.id, &other.name) == (&party.kind, &party.id, &party.name)
        };
        if !parties.iter().any(same) {
            parties.push(party);
        }
    }
    parties
}

fn process(user: &User) -> DeviceProcessDocument {
    DeviceProcessDocument {
        pid: user.pid,
        command: user.comm.clone(),
        cgroup: user.cgroup.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::party::of_user;
    use super::*;
    use dunnage_inventory::Kind;

    fn user(pid: i32, cgroup: &str) -> User {
        User {
            pid,
            comm: "trainer".to_owned(),
            cgroup: Some(cgroup.to_owned()),
        }
    }

    #[test]
    fn a_party_of_two_processes_is_one_user() {
        let gpu = Device::new("GPU-1", "nvidia", Kind::Gpu, "nvidia");
        let id = "9f3c".repeat(16);
        let users = [
            user(3, &format!("/docker/{id}")),
            user(4, &format!("/docker/{id}/below")),
            user(5, "/system.slice/x.service"),
        ];
        let document = device(&gpu, &Inventory::default(), Some(&users), of_user, None);
        let names: Vec<_> = document
            .users
            .unwrap()
            .into_iter()
            .map(|u| u.name)
            .collect();
        assert_eq!(names, ["9f3c9f3c9f3c", "x.service"]);
        assert_eq!(document.processes.unwrap().len(), 3);
        assert_eq!(document.health, "unknown");
    }

    #[test]
    fn users_that_cannot_be_told_are_left_out() {
        let gpu = Device::new("GPU-1", "nvidia", Kind::Gpu, "nvidia");
        let document = device(&gpu, &Inventory::default(), None, of_user, None);
        assert_eq!((document.users, document.processes), (None, None));
        let document = device(&gpu, &Inventory::default(), Some(&[]), of_user, None);
        assert_eq!(document.users, Some(Vec::new()));
    }
}
