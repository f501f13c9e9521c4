//! Which cgroups are a container's own: from what its runtime was told, and from where it is.
//!
//! `linux.cgroupsPath` of the OCI runtime specification says where a container was meant to go
//! (`config-linux.md`, "Control groups"; with systemd it is `slice:prefix:name`, see runc's
//! `docs/systemd.md`). `/proc/PID/cgroup` says where it is, but a process may sit in a cgroup that it
//! shares with others, so only what fits the plan is taken.

use crate::host::{HostRoot, read_bounded};
use crate::parties::recognise::slice_path;

/// `/proc/PID/cgroup` has a line a hierarchy; each path is at most `PATH_MAX`.
const CGROUP_FILE_LIMIT: usize = 64 << 10;
/// A pid in a file.
const PID_FILE_LIMIT: usize = 32;

/// The cgroup that `cgroups_path` asks for, below the cgroup root. Where it is empty runc and crun
/// take the container's id.
pub(super) fn planned(cgroups_path: &str, id: &str) -> Option<String> {
    let path = if cgroups_path.is_empty() {
        id
    } else {
        cgroups_path
    };
    let planned = match path.split(':').collect::<Vec<_>>()[..] {
        [slice, prefix, name] => {
            let slice = if slice.is_empty() {
                "system.slice"
            } else {
                slice
            };
            let parent = slice_path(slice)?;
            match (prefix, name) {
                (_, name) if name.ends_with(".slice") => format!("{parent}/{name}"),
                ("", name) => format!("{parent}/{name}.scope"),
                (prefix, name) => format!("{parent}/{prefix}-{name}.scope"),
            }
        }
        _ => format!("/{}", path.trim_matches('/')),
    };
    // A container that shares a unit's cgroup, or the root, owns neither.
    let is_shared = planned == "/" || planned.ends_with(".service") || planned.ends_with(".slice");
    let climbs = planned.split('/').any(|part| part == "..");
    (!is_shared && !climbs).then_some(planned)
}

/// The container's own cgroups among those of `/proc/PID/cgroup`: in each, the part up to where the
/// plan is fulfilled.
pub(super) fn fitting(proc_cgroup: &str, planned: &str) -> Vec<String> {
    let mut own: Vec<String> = Vec::new();
    for line in proc_cgroup.lines() {
        let Some(path) = line.splitn(3, ':').nth(2) else {
            continue;
        };
        let end_of = |at: usize| at + planned.len();
        let ends_a_part = |end: usize| matches!(path.as_bytes().get(end), None | Some(b'/'));
        let end = path
            .match_indices(planned)
            .map(|(at, _)| end_of(at))
            .find(|&e| ends_a_part(e));
        if let Some(end) = end
            && !own.iter().any(|known| known == &path[..end])
        {
            own.push(path[..end].to_owned());
        }
    }
    own
}

/// The own cgroups of a container whose first process is `pid`: where it is, and where it was meant
/// to be, because it may be gone before it is looked at.
pub(super) fn cgroups(
    root: &HostRoot,
    cgroups_path: &str,
    id: &str,
    pid: Option<u32>,
) -> Vec<String> {
    let Some(planned) = planned(cgroups_path, id) else {
        return Vec::new();
    };
    let read =
        |pid| read_bounded(&root.path(format!("/proc/{pid}/cgroup")), CGROUP_FILE_LIMIT).ok();
    let mut own = pid.and_then(read).map_or_else(Vec::new, |bytes| {
        fitting(&String::from_utf8_lossy(&bytes), &planned)
    });
    if own.is_empty() {
        own.push(planned);
    }
    own
}

/// The pid in the text of a pid file.
pub(super) fn pid(text: &[u8]) -> Option<u32> {
    let text = text.get(..text.len().min(PID_FILE_LIMIT))?;
    std::str::from_utf8(text)
        .ok()?
        .trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plans_of_both_drivers() {
        for (path, id, wanted) in [
            ("/default/ct1", "ct1", Some("/default/ct1")),
            ("acme/job1", "x", Some("/acme/job1")),
            ("", "r1", Some("/r1")),
            (
                "system.slice:runc:r1",
                "r1",
                Some("/system.slice/runc-r1.scope"),
            ),
            (":libpod:ab", "ab", Some("/system.slice/libpod-ab.scope")),
            (
                "a-b.slice:docker:x",
                "x",
                Some("/a.slice/a-b.slice/docker-x.scope"),
            ),
            ("-.slice:p:n", "n", Some("/p-n.scope")),
            ("/", "x", None),
            ("/system.slice/foo.service", "x", None),
            ("/a/../../etc", "x", None),
            ("a--b.slice:p:n", "n", None),
        ] {
            assert_eq!(planned(path, id).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn only_what_fits_the_plan_is_the_container_s_own() {
        let hybrid = "9:name=systemd:/envrunc\n4:memory:/user.slice/envrunc\n3:cpu:/envrunc/deep\n\
                      2:pids:/user.slice\n0::/\n";
        assert_eq!(
            fitting(hybrid, "/envrunc"),
            ["/envrunc", "/user.slice/envrunc"]
        );
        assert_eq!(fitting("0::/test/test/x\n", "/test/test"), ["/test/test"]);
        assert_eq!(fitting("0::/testing\n", "/test"), [""; 0]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,200}", path in ".{0,80}", id in ".{0,40}") {
            if let Some(planned) = planned(&path, &id) {
                for own in fitting(&text, &planned) {
                    prop_assert!(own.ends_with(&planned));
                }
            }
        }
    }
}
