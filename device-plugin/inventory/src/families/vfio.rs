//! VFIO groups.

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// VFIO groups.
pub(super) struct Vfio;

impl Family for Vfio {
    fn name(&self) -> &'static str {
        "vfio"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
