//! The host's files: below another root where asked (`--host-root`), bounded, and never led out of
//! that root by a link. Whoever reads the host reads it through here.

#![forbid(unsafe_code)]

mod read;
mod root;

pub use read::{drain, open_regular, read_bounded};
pub use root::{FACT_LIMIT, HostRoot, Located};
