//! The unsafe door to the kernel: memory maps of eBPF arrays, and the heap's surplus.

mod heap;
mod mapped_array;

pub use heap::{share_heap, trim};
pub use mapped_array::{MapError, MappedArray};
