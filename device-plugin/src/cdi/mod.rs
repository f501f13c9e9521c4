//! The Container Device Interface: names, files, and keeping them fresh.

pub mod names;
pub mod spec;

pub use names::qualified_name;
pub use spec::{Spec, specs};
