//! Limits of this process.

use super::Check;
use nix::sys::resource::{Resource, getrlimit};

/// A cgroup's files are kept open, some ten each; this is room for 400 cgroups.
const COMFORTABLE_DESCRIPTORS: u64 = 4_096;

pub(super) fn examine() -> Check {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => descriptors(soft, hard),
        Err(error) => Check::degraded(
            "limit of open files",
            format!(
                "cannot be read: {error}; files are opened anew at each read where it is reached"
            ),
            "nothing to do",
        ),
    }
}

/// The soft limit is raised to the hard one at start, so that the hard one decides.
fn descriptors(soft: u64, hard: u64) -> Check {
    let name = "limit of open files";
    if hard >= COMFORTABLE_DESCRIPTORS {
        return Check::ok(name, format!("{soft}, can be raised to {hard}"));
    }
    Check::degraded(
        name,
        format!(
            "{soft}, at most {hard}: files of cgroups beyond it are opened anew at each read. Lost: CPU time"
        ),
        format!(
            "raise it to {COMFORTABLE_DESCRIPTORS} or more: ulimit -n, LimitNOFILE= of the unit"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn the_hard_limit_decides() {
        assert_eq!(descriptors(1_024, 1_048_576).status, Status::Ok);
        assert_eq!(descriptors(1_024, 1_024).status, Status::Degraded);
    }
}
