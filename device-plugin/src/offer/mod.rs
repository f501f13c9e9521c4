//! What a container is given with a device: a file a vendor.

mod edits;

pub use edits::{DeviceNode, Edits, Hook, Mount, NodeKind};
