//! `dunnage.check/1`: whether an image can work with this host.

use super::{GapDocument, Word};
use serde::{Deserialize, Serialize};

/// What `dunnage devices check --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompatibilityDocument {
    /// `dunnage.check/1`.
    pub schema: Word,
    /// `yes`, `no` or `unknown`: no where one clause is no, yes where all that matter are yes.
    pub verdict: Word,
    /// The image that was asked about.
    pub image: ImageDocument,
    /// The device that the clauses speak of; left out where the host has none that could serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<CheckedDeviceDocument>,
    /// The host.
    pub host: CheckedHostDocument,
    /// What was compared, in the order of the subjects.
    pub clauses: Vec<ClauseDocument>,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<GapDocument>,
}

impl CompatibilityDocument {
    /// The schema's name.
    pub const SCHEMA: &'static str = "dunnage.check/1";
}

/// The image of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDocument {
    /// As it was asked for: a reference or a path.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its digest, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// As the image's configuration names it, else as its programs show it: `amd64`, `arm64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

/// The device of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedDeviceDocument {
    /// As `dunnage devices` shows it.
    pub id: String,
    /// `nvidia`, `amd`, `intel`, ...
    pub vendor: String,
    /// The product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The host of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedHostDocument {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kernel's release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// In the words of image configurations: `amd64`, `arm64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// `v1`, `hybrid`, `v2`; left out where it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The container engines that were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<String>,
}

/// One thing that the image wants, and what the host has of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClauseDocument {
    /// In words: `driver for CUDA 12.4`.
    pub what: String,
    /// `yes`, `no` or `unknown`.
    pub verdict: Word,
    /// Whether it counts for the verdict of the whole; left out where it does.
    #[serde(default = "counts", skip_serializing_if = "is_true")]
    pub matters: bool,
    /// What is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// Where in the image that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_by: Option<String>,
    /// What there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub there: Option<String>,
    /// Where on the host that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub there_by: Option<String>,
    /// What would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

fn counts() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
fn is_true(value: &bool) -> bool {
    *value
}
