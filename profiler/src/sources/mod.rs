//! 1. Host -> readings. One folder a source: its kernel-side C beside the Rust that reads it.

pub mod cgroup;
pub mod lifecycle;
pub mod machine;
pub mod network;
pub mod process;
pub mod sched;
pub mod sockets;
