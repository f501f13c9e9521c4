//! Every device of the kernel's accel class: NPUs and the like.

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// Every device of the kernel's accel class: NPUs and the like.
pub(super) struct Accel;

impl Family for Accel {
    fn name(&self) -> &'static str {
        "accel"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
