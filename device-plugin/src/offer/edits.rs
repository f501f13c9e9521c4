//! Changes to a container, as every engine can apply them: the terms are those of CDI's
//! `containerEdits` and of the OCI runtime specification.

use super::OfferError;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Whether a node is a character or a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// `c`.
    Char,
    /// `b`.
    Block,
}

impl NodeKind {
    /// The letter by which CDI and the OCI runtime specification call it.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            NodeKind::Char => "c",
            NodeKind::Block => "b",
        }
    }
}

/// A device node in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNode {
    /// Where it is in the container.
    pub path: PathBuf,
    /// Where it is on the host; may differ from `path`.
    pub host_path: PathBuf,
    /// Character or block.
    pub kind: NodeKind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits in the container; absent to keep the host's.
    pub mode: Option<u32>,
    /// Owner in the container; absent to keep what the engine does by itself.
    pub uid: Option<u32>,
    /// Group in the container; absent to keep what the engine does by itself.
    pub gid: Option<u32>,
    /// What the container may do: a subset of `rwm`. Ordinary use is `rw`.
    pub permissions: &'static str,
}

/// A bind mount.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// What is mounted, as the host names it.
    pub host_path: PathBuf,
    /// Where it is mounted.
    pub container_path: PathBuf,
    /// Mount options: `ro`, `nosuid`, `nodev`, `rbind`, `rprivate`.
    pub options: Vec<&'static str>,
}

/// A program that runs on the host while the container is made. Dunnage writes none by itself; they
/// are here for vendors that have no other way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hook {
    /// `createContainer`, `createRuntime`, ...
    pub name: &'static str,
    /// The program.
    pub path: PathBuf,
    /// Its arguments, its name first.
    pub args: Vec<String>,
}

/// All changes that one device, or one set of devices, makes to a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Device nodes.
    pub nodes: Vec<DeviceNode>,
    /// Bind mounts.
    pub mounts: Vec<Mount>,
    /// Hooks.
    pub hooks: Vec<Hook>,
    /// Groups that the container's user needs to open the nodes.
    pub additional_gids: Vec<u32>,
}

impl Edits {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Edits::default()
    }

    /// Adds the changes of `other`; what both want alike stays once.
    ///
    /// # Errors
    /// [`OfferError::Collision`] where both want different things at one place.
    pub fn merge(&mut self, other: Edits) -> Result<(), OfferError> {
        for node in other.nodes {
            self.add_node(node)?;
        }
        for mount in other.mounts {
            self.add_mount(mount)?;
        }
        for (name, value) in other.env {
            match self.env.get(&name) {
                Some(there) if *there != value => {
                    return Err(collision(there, &value, format!("the value of ${name}")));
                }
                _ => self.env.insert(name, value),
            };
        }
        for hook in other.hooks {
            if !self.hooks.contains(&hook) {
                self.hooks.push(hook);
            }
        }
        self.additional_gids.extend(other.additional_gids);
        self.additional_gids.sort_unstable();
        self.additional_gids.dedup();
        Ok(())
    }

    fn add_node(&mut self, node: DeviceNode) -> Result<(), OfferError> {
        let there = self.nodes.iter().find(|there| there.path == node.path);
        match there {
            None => self.nodes.push(node),
            Some(there) if numbers(there) == numbers(&node) => {}
            Some(there) => {
                return Err(collision(
                    &there.host_path.display(),
                    &node.host_path.display(),
                    node.path.display().to_string(),
                ));
            }
        }
        Ok(())
    }

    fn add_mount(&mut self, mount: Mount) -> Result<(), OfferError> {
        let place = &mount.container_path;
        match self
            .mounts
            .iter()
            .find(|there| there.container_path == *place)
        {
            None => self.mounts.push(mount),
            Some(there) if there.host_path == mount.host_path => {}
            Some(there) => {
                return Err(collision(
                    &there.host_path.display(),
                    &mount.host_path.display(),
                    place.display().to_string(),
                ));
            }
        }
        Ok(())
    }
}

fn numbers(node: &DeviceNode) -> (NodeKind, u32, u32) {
    (node.kind, node.major, node.minor)
}

fn collision(
    first: &dyn std::fmt::Display,
    second: &dyn std::fmt::Display,
    what: String,
) -> OfferError {
    OfferError::Collision {
        first: first.to_string(),
        second: second.to_string(),
        what,
    }
}
