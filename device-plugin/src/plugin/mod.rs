//! The kubelet's side: a device plugin, by the device plugin API v1beta1.
//!
//! `state` holds what the host has now and answers for it; `serve` puts that on sockets; `kubelet` keeps
//! the kubelet told of them, whenever it comes back. What is advertised, how it is named, what a
//! container is given and which devices go together are functions of the inventory: `advertise`,
//! `names`, `allocate`, `placement`. Around that: `metrics` counts, `holders` learns which container has
//! what, `noise` where verdicts say that there is some, `features` labels the node.

pub mod advertise;
pub mod allocate;
pub mod api;
pub mod features;
pub mod holders;
pub mod kubelet;
pub mod metrics;
pub mod names;
pub mod noise;
pub mod notify;
pub mod placement;
pub mod serve;
pub mod state;
