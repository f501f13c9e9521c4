//! NVIDIA's management library, asked in a process of its own.
//!
//! The library talks to the driver by ioctls: it hangs where the driver hangs, and a broken one
//! crashes whoever loaded it. So the program starts itself once more, that child loads the library
//! and writes what it learns as one line of JSON, and it is killed when it takes too long.

mod answer;
mod ask;
mod child;
mod library;

pub(super) use answer::{Answer, ComputeMode, End, Gpu, Instance, Refusal};
pub use child::serve_nvml_probe_if_asked;
pub(super) use child::{Failure, ask};
pub(super) use library::Library;

#[cfg(test)]
pub(super) use answer::Link;
#[cfg(test)]
pub(super) mod tests;
