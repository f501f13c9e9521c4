//! The unsafe door to the kernel: memory maps of eBPF arrays.

mod mapped_array;

pub use mapped_array::{MapError, MappedArray};
