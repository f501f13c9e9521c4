//! Tests of the CPU judge: labelled scenes with a known truth, and properties of any window.

mod cases;
mod correlated;
mod entitlement;
mod hierarchy;
mod properties;
mod sim;
mod throttling;
mod wording;
mod world;
