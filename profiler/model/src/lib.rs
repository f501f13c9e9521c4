//! The vocabulary of Dunnage.
//!
//! Data flows one way: `kernel facts -> observation -> use per party -> verdict -> a person or a
//! program`. This crate holds the values that cross each of those arrows and nothing that moves
//! them: no I/O, no clock, no kernel. Everyone may know it, it knows nobody.
//!
//! - [`observation`]: what was read, raw, over one window;
//! - [`party`]: who can be charged or harmed;
//! - [`usage`]: what each party consumed and waited for in the window;
//! - [`verdict`]: who harms whom, and who is cleared;
//! - [`why`]: what limits one party;
//! - [`run`]: what a command lost while it ran;
//! - [`document`]: the JSON documents that other programs rely on.
//! - [`escape`]: names on their way to a terminal;

#![forbid(unsafe_code)]

pub mod cpuset;
pub mod document;
pub mod escape;
pub mod gap;
pub mod observation;
pub mod party;
pub mod run;
pub mod units;
pub mod usage;
pub mod verdict;
pub mod why;
