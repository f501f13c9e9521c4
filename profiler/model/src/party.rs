//! Who can be charged or harmed.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The kind of a party, as `party.kind` in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartyKind {
    /// A container of any engine.
    Container,
    /// A host service: a systemd unit, or any cgroup (or root-cgroup command) that is no container.
    Service,
    /// The kernel: kworkers, softirqs, irqs with no owner.
    Kernel,
    /// The hypervisor: steal.
    Hypervisor,
}

impl PartyKind {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PartyKind::Container => "container",
            PartyKind::Service => "service",
            PartyKind::Kernel => "kernel",
            PartyKind::Hypervisor => "hypervisor",
        }
    }
}

/// The pod that a container belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace; absent while the runtime has not told it.
    pub namespace: Option<String>,
    /// Name; absent while the runtime has not told it.
    pub name: Option<String>,
    /// The container's name within the pod.
    pub container: Option<String>,
    /// The pod's uid as the cgroup path shows it.
    pub uid: Option<String>,
}

/// One party. Two values with one [`key`](Party::key) are one party; a name is only for display.
///
/// Every text here comes from a container, an engine or a cgroup path and is to be treated as
/// hostile: escape it where it reaches a terminal or a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Identity: the party's cgroup path, or a word that no path can be (`kernel`, `hypervisor`,
    /// `command:NAME` for processes of the root cgroup).
    pub key: Arc<str>,
    /// The kind.
    pub kind: PartyKind,
    /// The engine's id of a container, in full; empty where there is none.
    pub id: String,
    /// The name as the engine shows it, the unit's name, or the command.
    pub name: String,
    /// `docker`, `podman`, `containerd`, `cri-o`, `runc`, `crun`, `lxc`, `systemd-nspawn`, `systemd`.
    pub engine: Option<String>,
    /// The image reference as the engine shows it.
    pub image: Option<String>,
    /// The cgroup path as seen from the host's cgroup root.
    pub cgroup: Option<String>,
    /// The pod, for containers in one.
    pub pod: Option<Pod>,
    /// Labels as the engine shows them.
    pub labels: BTreeMap<String, String>,
}

impl Party {
    /// A party with nothing but an identity, a kind and a name.
    pub fn new(key: impl Into<Arc<str>>, kind: PartyKind, name: impl Into<String>) -> Party {
        Party {
            key: key.into(),
            kind,
            id: String::new(),
            name: name.into(),
            engine: None,
            image: None,
            cgroup: None,
            pod: None,
            labels: BTreeMap::new(),
        }
    }

    /// The kernel.
    #[must_use]
    pub fn kernel() -> Party {
        Party::new("kernel", PartyKind::Kernel, "kernel")
    }

    /// The hypervisor.
    #[must_use]
    pub fn hypervisor() -> Party {
        Party::new("hypervisor", PartyKind::Hypervisor, "hypervisor")
    }

    /// The processes of the root cgroup that run `command`.
    #[must_use]
    pub fn root_command(command: &str) -> Party {
        let mut party = Party::new(format!("command:{command}"), PartyKind::Service, command);
        party.cgroup = Some("/".to_owned());
        party
    }
}
