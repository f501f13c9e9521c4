//! Whatever a rule of the configuration names.

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// Whatever a rule of the configuration names.
pub(super) struct Rules;

impl Family for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
