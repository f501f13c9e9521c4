//! 1. Host -> readings. One folder a source: its kernel-side C beside the Rust that reads it.
//!
//! [`Collector`] holds the sources that a command wants and takes one window after another. Each
//! source that cannot run is a notice, said once; the others go on.

pub mod cgroup;
pub mod closeup;
pub mod disk;
pub mod lifecycle;
pub mod link;
pub mod machine;
pub mod network;
pub mod process;
pub mod sched;
pub mod sockets;

mod alone;
mod collector;
mod counters;
mod interrupts;
mod loader;
mod memory;
mod owner;
mod parallel;
mod resources;
mod slots;
mod switched;
mod table;
mod tracepoint;

pub use alone::{Alone, AloneError};
pub use collector::{Collector, CollectorError, CollectorOptions};
pub use resources::Means;
pub use slots::SlotsError;
pub use table::TableError;
pub use tracepoint::AttachError;

use dunnage_model::units::Bytes;

/// The size of a page of memory.
fn page_size() -> Bytes {
    let asked = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let size = asked
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok());
    Bytes(size.unwrap_or(4096))
}
