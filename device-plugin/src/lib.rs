//! Accelerators: what this host has, and how a container gets it.

#![forbid(unsafe_code)]
