//! `dunnage doctor`: what works on this host and what does not, with the reason and the remedy.
//!
//! A file an area. Each check says what was found, what is lost by it, and what takes its place; the
//! logic takes the text of the kernel's files, so that it is tested without a kernel.

mod capabilities;
mod cgroups;
mod ebpf;
mod engines;
mod kernel;
mod limits;

use crate::host::HostRoot;
use dunnage_model::document::CheckDocument;
use std::io;

pub use engines::engines;

/// No file that is examined comes near this size.
const MOST_BYTES: usize = 64 * 1024;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Ok,
    /// It is not there; a feature is lost.
    Missing,
    /// It works in part, or something lesser takes its place.
    Degraded,
}

impl Status {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Missing => "missing",
            Status::Degraded => "degraded",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What: `capability CAP_BPF`, `kernel BTF`, `engine docker`.
    pub name: String,
    /// How it came out.
    pub status: Status,
    /// What was found, what is lost by it, and what takes its place.
    pub detail: String,
    /// What would help; `None` where there is nothing to do.
    pub remedy: Option<String>,
}

impl Check {
    /// It works.
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Check {
        Check {
            name: name.into(),
            status: Status::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    /// It is not there.
    pub fn missing(
        name: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Check {
        Check {
            status: Status::Missing,
            remedy: Some(remedy.into()),
            ..Check::ok(name, detail)
        }
    }

    /// It works in part.
    pub fn degraded(
        name: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Check {
        Check {
            status: Status::Degraded,
            remedy: Some(remedy.into()),
            ..Check::ok(name, detail)
        }
    }
}

impl From<&Check> for CheckDocument {
    fn from(check: &Check) -> CheckDocument {
        CheckDocument {
            name: check.name.clone(),
            status: check.status.as_str().into(),
            detail: check.detail.clone(),
            remedy: check.remedy.clone(),
        }
    }
}

/// Everything about the host below `root` and about the rights of this process. The engines are asked
/// elsewhere; [`engines`] turns their answers into checks.
#[must_use]
pub fn examine(root: &HostRoot) -> Vec<Check> {
    let mut checks = capabilities::examine();
    checks.extend(kernel::examine(root));
    checks.extend(cgroups::examine(root));
    checks.extend(ebpf::ebpf_check(root));
    checks.push(ebpf::counter_check());
    checks.push(limits::examine());
    checks
}

/// The text of a small kernel file, without the newline at its end.
fn read_text(root: &HostRoot, path: &str) -> io::Result<String> {
    let bytes = root.read(path, MOST_BYTES)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_can_be_examined() {
        let checks = examine(&HostRoot::new("/"));
        for name in [
            "capability CAP_BPF",
            "kernel BTF",
            "cgroup layout",
            "eBPF programs",
            "hardware counters",
        ] {
            assert!(
                checks.iter().any(|check| check.name == name),
                "{name} in {checks:?}"
            );
        }
        for check in &checks {
            assert!(
                check.status == Status::Ok || check.remedy.is_some(),
                "{check:?}"
            );
        }
    }
}
