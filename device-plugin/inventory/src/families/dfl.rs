//! Intel FPGAs behind the Device Feature List drivers.

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// Intel FPGAs behind the Device Feature List drivers.
pub(super) struct Dfl;

impl Family for Dfl {
    fn name(&self) -> &'static str {
        "dfl"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
