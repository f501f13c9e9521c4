//! Changes to a container, as every engine can apply them: the terms are those of CDI's
//! `containerEdits` and of the OCI runtime specification.

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
