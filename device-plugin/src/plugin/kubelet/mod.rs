//! The kubelet's side: its folder of sockets, and registering there again and again.

mod dial;
mod folder;
mod register;
mod session;

pub(crate) use dial::dial;
pub use folder::{Folder, Happened, KUBELET};
pub use register::{RegisterError, register};
pub use session::{Report, attend};
