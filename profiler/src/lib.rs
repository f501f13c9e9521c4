//! The profiler: reads the host, charges parties, judges, and tells.
//!
//! The modules stand in the order in which data flows; arrows never run back.
//!
//! `kernel facts -> observation -> use per party -> verdict -> a person or a program`

#![deny(unsafe_code)]

mod causes;
pub mod clock;
pub mod host;
mod own_cgroups;
pub mod stop;
/// Every system call that needs `unsafe`, and nothing else.
#[expect(
    unsafe_code,
    reason = "the one place where it is allowed; each block says why it is sound"
)]
pub mod sys;

pub mod sources;

pub mod parties;

pub mod usage;

pub mod verdict;

pub mod disturbance;

pub mod sinks;

pub mod demo;
pub mod doctor;
pub mod run;

#[cfg(test)]
mod tests_support;
