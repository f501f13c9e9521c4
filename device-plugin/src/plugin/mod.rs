//! The kubelet's side: a device plugin, by the device plugin API v1beta1.
//!
//! `state` holds what the host has now and answers for it; `serve` puts that on sockets; `kubelet` keeps
//! the kubelet told of them, whenever it comes back. What is advertised, how it is named, what a
//! container is given and which devices go together are functions of the inventory: `advertise`,
//! `names`, `allocate`, `placement`.

pub mod advertise;
pub mod allocate;
pub mod api;
pub mod kubelet;
pub mod names;
pub mod notify;
pub mod placement;
pub mod serve;
pub mod state;
