//! Cgroups as they are made and removed, so that none is too short-lived to have a name.
//!
//! `lifecycle.bpf.c` sends an event for each mkdir and rmdir in any hierarchy; [`Registry`] keeps
//! which id had which path, also for a while after the cgroup is gone. Without the eBPF part the
//! registry learns from each walk over the cgroup folders alone: what came and went in between has
//! no name then.

mod events;
mod registry;

pub use events::{Lifecycle, LifecycleError};
pub use registry::{Event, Registry, V1Hierarchy};

/// The compiled program; `build-ebpf.sh` makes it, a test compares it.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!("lifecycle.bpf.o");
