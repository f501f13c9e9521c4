//! Xilinx and AMD FPGAs behind XRT.

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// Xilinx and AMD FPGAs behind XRT.
pub(super) struct Xrt;

impl Family for Xrt {
    fn name(&self) -> &'static str {
        "xrt"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
