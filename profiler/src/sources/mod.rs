//! 1. Host -> readings. One folder a source: its kernel-side C beside the Rust that reads it.
//!
//! [`Collector`] holds the sources that a command wants and takes one window after another. Each
//! source that cannot run is a notice, said once; the others go on.

pub mod cgroup;
pub mod lifecycle;
pub mod machine;
pub mod network;
pub mod process;
pub mod sched;
pub mod sockets;

mod collector;
mod tracepoint;

pub use collector::{Collector, CollectorError, CollectorOptions};
pub use tracepoint::AttachError;
