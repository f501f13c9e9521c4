//! Accelerators: what this host has, and how a container gets it.

#![forbid(unsafe_code)]

pub mod cdi;
pub mod check;
pub mod cli;
pub mod commands;
pub mod engines;
pub mod offer;
pub mod plugin;
pub mod runtime;
