//! Habana Gaudi accelerators.

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// Habana Gaudi accelerators.
pub(super) struct Habana;

impl Family for Habana {
    fn name(&self) -> &'static str {
        "habana"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
