//! AMD GPUs and their partitions.

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// AMD GPUs and their partitions.
pub(super) struct AmdGpu;

impl Family for AmdGpu {
    fn name(&self) -> &'static str {
        "amd-gpu"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
