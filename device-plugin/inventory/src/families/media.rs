//! Video codecs behind V4L2 that are no part of a GPU.

use super::{Family, Found};
use crate::config::Config;
use dunnage_host::HostRoot;

/// Video codecs behind V4L2 that are no part of a GPU.
pub(super) struct Media;

impl Family for Media {
    fn name(&self) -> &'static str {
        "media"
    }

    fn scan(&self, _: &HostRoot, _: &Config) -> Found {
        Found::default()
    }
}
