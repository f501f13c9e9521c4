//! `dunnage.doctor/1`: what works on this host and what does not.

use super::Word;
use serde::{Deserialize, Serialize};

/// What `dunnage doctor --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorDocument {
    /// `dunnage.doctor/1`.
    pub schema: Word,
    /// In the order in which they were made.
    pub checks: Vec<CheckDocument>,
}

impl DoctorDocument {
    /// The schema's name.
    pub const SCHEMA: &'static str = "dunnage.doctor/1";

    /// The document of these checks.
    #[must_use]
    pub fn new(checks: Vec<CheckDocument>) -> DoctorDocument {
        DoctorDocument {
            schema: DoctorDocument::SCHEMA.into(),
            checks,
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDocument {
    /// What: `capability CAP_BPF`, `kernel BTF`, `engine docker`.
    pub name: String,
    /// `ok`, `missing` or `degraded`.
    pub status: Word,
    /// What was found, what is lost by it, and what takes its place.
    pub detail: String,
    /// What would help; left out where there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}
