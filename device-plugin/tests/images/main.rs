//! Images in every form hold what they hold; hostile ones are refused.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot prepare its images has failed"
)]

mod build;
mod engines;
mod forms;
mod hostile;
mod view;
