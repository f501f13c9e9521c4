//! What the operator adds: rules for devices that no family knows, and how devices are shared.

/// The configuration of the inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {}
