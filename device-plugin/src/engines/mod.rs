//! What an engine wants to be told: a file an engine. Pure: lines come out, nothing is started.

pub mod bundle;
pub mod compose;
pub mod containerd;
pub mod docker;
pub mod nomad;
pub mod podman;
pub mod shell;
pub mod swarm;

use crate::cdi::names;
use crate::offer::Edits;
use dunnage_inventory::{Device, Inventory};

/// The devices that a container shall have, in both ways in which engines take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Their CDI names, which go together.
    pub names: Vec<String>,
    /// The changes that they make.
    pub edits: Edits,
}

impl Wanted {
    /// These devices, which make these changes together.
    #[must_use]
    pub fn new(devices: &[&Device], inventory: &Inventory, edits: Edits) -> Wanted {
        Wanted {
            names: names::together(devices, inventory),
            edits,
        }
    }
}
