//! Labelled cases: facts to outcomes, a table a resource, those that mislead among them.

mod cpu;
mod disk;
mod gather;
mod memory;
mod network;
