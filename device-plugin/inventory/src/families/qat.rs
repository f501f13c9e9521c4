//! QAT crypto and compression engines.

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// QAT crypto and compression engines.
pub(super) struct Qat;

impl Family for Qat {
    fn name(&self) -> &'static str {
        "qat"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
