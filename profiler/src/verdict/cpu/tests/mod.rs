//! Tests of the CPU judge: labelled scenes with a known truth, and properties of any window.

mod cases;
mod correlated;
mod entitlement;
mod full;
mod hierarchy;
mod properties;
mod recorded;
mod sim;
mod throttling;
mod wording;
mod world;
