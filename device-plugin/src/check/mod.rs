//! Whether an image can work with this host.

pub mod image;
