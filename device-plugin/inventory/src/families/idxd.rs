//! Data streaming and analytics engines (DSA, IAA).

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// Data streaming and analytics engines (DSA, IAA).
pub(super) struct Idxd;

impl Family for Idxd {
    fn name(&self) -> &'static str {
        "idxd"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
