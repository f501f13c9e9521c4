//! What the end-to-end tests share: the command under test, engines with folders of their own, a
//! load generator that tells the truth about itself, hand-made cgroups, and a virtual machine.
//!
//! Nothing here judges; the suite in `suite/` does. Errors are `anyhow`, because whoever reads them
//! is a person who wants to know what was seen.

#![forbid(unsafe_code)]

pub mod cgroups;
pub mod document;
pub mod dunnage;
pub mod engine;
pub mod fake_engine;
pub mod guest;
pub mod keeper;
pub mod load;
pub mod machine;
pub mod probe;
pub mod rack;

use std::path::PathBuf;

/// The folder of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let mut folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.pop();
    folder
}

/// A script of `tests/setup`.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    workspace().join("tests/setup").join(name)
}

/// Where built things go: cargo's target folder.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
