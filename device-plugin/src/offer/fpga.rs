//! FPGAs: DFL cards and Xilinx cards. A container gets the port, or the user function, of its own. The
//! management node loads designs into the card and serves all its ports; it is given only where it is
//! asked for (`Options::management`).

use super::edits::Edits;
use super::plain;
use dunnage_inventory::{Device, Inventory};

/// The nodes for use.
pub(super) fn device_edits(device: &Device, inventory: &Inventory) -> Edits {
    plain::device_edits(device, inventory)
}
