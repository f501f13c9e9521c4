//! 1. Host -> readings. One folder a source: its kernel-side C beside the Rust that reads it.
//!
//! [`Collector`] holds the sources that a command wants and takes one window after another. Each
//! source that cannot run is a notice, said once; the others go on.

pub mod cgroup;
pub mod closeup;
pub mod lifecycle;
pub mod link;
pub mod machine;
pub mod network;
pub mod process;
pub mod sched;
pub mod sockets;

mod alone;
mod collector;
mod interrupts;
mod owner;
mod resources;
mod tracepoint;

pub use alone::{Alone, AloneError};
pub use collector::{Collector, CollectorError, CollectorOptions};
pub use tracepoint::AttachError;

/// An error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text.lines().next().unwrap_or_default().to_owned()
}
