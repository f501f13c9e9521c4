//! Which accelerators this host has: their nodes, driver, place and health.
//!
//! Facts come from sysfs, `/proc` and `/dev` of a [`HostRoot`](dunnage_host::HostRoot), and from a
//! vendor's library where it loads. One family is one file in [`families`]; what several of them
//! need from the kernel (PCI, device nodes) stands beside it.

#![forbid(unsafe_code)]

pub mod config;
pub mod device;
pub mod driver_files;
pub mod events;
pub mod families;
pub mod health;
pub mod nodes;
pub mod pci;
mod scan;
pub mod users;

pub use config::Config;
pub use device::{Access, Device, Driver, Health, Kind, Node, PciPlace, Peer, Role, Shares};
pub use scan::{Inventory, find, scan};
