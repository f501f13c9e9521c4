//! Intel GPUs (i915, xe).

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// Intel GPUs (i915, xe).
pub(super) struct IntelGpu;

impl Family for IntelGpu {
    fn name(&self) -> &'static str {
        "intel-gpu"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
