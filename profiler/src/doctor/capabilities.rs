//! The rights of this process: `CapEff` of `/proc/self/status`, capabilities(7).

use super::{Check, MOST_BYTES};
use crate::host::read_bounded;
use std::path::Path;

/// `CAP_SYS_ADMIN` contains `CAP_BPF`, `CAP_PERFMON` and `CAP_CHECKPOINT_RESTORE`.
const SYS_ADMIN: u32 = 21;

struct Capability {
    name: &'static str,
    /// Its number in `include/uapi/linux/capability.h`.
    bit: u32,
    /// Whether `CAP_SYS_ADMIN` stands in for it.
    in_sys_admin: bool,
    /// What it is for.
    serves: &'static str,
    /// What is lost without it, and what takes its place.
    lost: &'static str,
    /// Whether anything in this version needs it.
    needed: bool,
}

const CAPABILITIES: [Capability; 7] = [
    Capability {
        name: "CAP_BPF",
        bit: 39,
        in_sys_admin: true,
        serves: "loads the eBPF programs",
        lost: "no exact blame for CPU; verdicts come from cgroup files and pressure (coverage correlated)",
        needed: true,
    },
    Capability {
        name: "CAP_PERFMON",
        bit: 38,
        in_sys_admin: true,
        serves: "attaches the eBPF programs to scheduling events",
        lost: "no exact blame for CPU; verdicts come from cgroup files and pressure (coverage correlated)",
        needed: true,
    },
    Capability {
        name: "CAP_NET_ADMIN",
        bit: 12,
        in_sys_admin: false,
        serves: "counts the traffic of containers on the host's network by their sockets",
        lost: "no network figures for containers on the host's network; all others have theirs",
        needed: true,
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        bit: 19,
        in_sys_admin: false,
        serves: "tells the network namespaces of other users' processes",
        lost: "no network figures for containers of other users",
        needed: true,
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        bit: 2,
        in_sys_admin: false,
        serves: "reads the state folders of runc and crun",
        lost: "containers started without an engine show as plain cgroups",
        needed: true,
    },
    Capability {
        name: "CAP_CHECKPOINT_RESTORE",
        bit: 40,
        in_sys_admin: true,
        serves: "names functions in stacks of other users' processes",
        lost: "nothing in this version, which takes no stacks",
        needed: false,
    },
    Capability {
        name: "CAP_SYSLOG",
        bit: 34,
        in_sys_admin: false,
        serves: "names functions of the kernel in stacks",
        lost: "nothing in this version, which takes no stacks",
        needed: false,
    },
];

pub(super) fn examine() -> Vec<Check> {
    // The rights are those of this process, whatever root is in front of the host's paths.
    let text = read_bounded(Path::new("/proc/self/status"), MOST_BYTES);
    match text.map(|bytes| effective(&String::from_utf8_lossy(&bytes))) {
        Ok(Some(held)) => judge(held),
        Ok(None) => vec![unreadable("it has no line CapEff")],
        Err(error) => vec![unreadable(&error.to_string())],
    }
}

fn unreadable(why: &str) -> Check {
    let detail = format!("/proc/self/status does not tell them: {why}");
    Check::missing("capabilities", detail, "mount /proc where dunnage runs")
}

/// The set of the `CapEff:` line.
fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn judge(held: u64) -> Vec<Check> {
    let has = |bit: u32| held >> bit & 1 == 1;
    let check = |capability: &Capability| {
        let name = format!("capability {}", capability.name);
        let is_held = has(capability.bit) || (capability.in_sys_admin && has(SYS_ADMIN));
        if is_held {
            return Check::ok(name, format!("held; {}", capability.serves));
        }
        let detail = format!(
            "not held; it {}. Lost: {}",
            capability.serves, capability.lost
        );
        if capability.needed {
            Check::missing(name, detail, remedy(capability.name))
        } else {
            Check::degraded(name, detail, "nothing to do")
        }
    };
    CAPABILITIES.iter().map(check).collect()
}

fn remedy(name: &str) -> String {
    let word = name.to_ascii_lowercase();
    format!(
        "run as root, or give it to the file (setcap {word}+ep, with all others in one call), the unit \
         (AmbientCapabilities={name}) or the container (--cap-add {})",
        name.trim_start_matches("CAP_")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    fn status_of(held: u64, name: &str) -> Status {
        judge(held)
            .into_iter()
            .find(|check| check.name.ends_with(name))
            .unwrap()
            .status
    }

    #[test]
    fn the_effective_set_is_found() {
        assert_eq!(
            effective("Name:\tx\nCapPrm:\t01\nCapEff:\t000000c000000000\n"),
            Some(0xc0_0000_0000)
        );
        assert_eq!(effective("Name:\tx\n"), None);
        assert_eq!(effective("CapEff:\tzz\n"), None);
    }

    #[test]
    fn the_least_that_do_are_enough_for_ebpf() {
        let held = 1 << 38 | 1 << 39;
        assert_eq!(status_of(held, "CAP_BPF"), Status::Ok);
        assert_eq!(status_of(held, "CAP_PERFMON"), Status::Ok);
        assert_eq!(status_of(held, "CAP_NET_ADMIN"), Status::Missing);
        assert_eq!(status_of(held, "CAP_SYSLOG"), Status::Degraded);
    }

    #[test]
    fn sys_admin_stands_in_for_some() {
        assert_eq!(status_of(1 << SYS_ADMIN, "CAP_BPF"), Status::Ok);
        assert_eq!(status_of(1 << SYS_ADMIN, "CAP_SYS_PTRACE"), Status::Missing);
    }
}
