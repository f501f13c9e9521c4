//! What the kernel was built and started with.

use super::{Check, read_text};
use crate::host::HostRoot;
use std::fs;
use std::io;

pub(super) fn examine(root: &HostRoot) -> Vec<Check> {
    vec![
        btf(root),
        lockdown(&read_text(root, "/sys/kernel/security/lockdown")),
        paranoid(&read_text(root, "/proc/sys/kernel/perf_event_paranoid")),
        unprivileged(&read_text(
            root,
            "/proc/sys/kernel/unprivileged_bpf_disabled",
        )),
        pressure(&read_text(root, "/proc/pressure/cpu")),
        sched_info(&read_text(root, "/proc/self/schedstat")),
    ]
}

fn btf(root: &HostRoot) -> Check {
    let path = "/sys/kernel/btf/vmlinux";
    match fs::metadata(root.path(path)) {
        Ok(file) => Check::ok("kernel BTF", format!("{path}, {} bytes", file.len())),
        Err(error) => Check::missing(
            "kernel BTF",
            format!(
                "{path}: {error}. Lost: exact blame for CPU; verdicts come from cgroup files and pressure"
            ),
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y, as Debian's and Ubuntu's stock kernels are",
        ),
    }
}

/// `Documentation/admin-guide/LSM`: the mode in brackets is the one in force.
fn lockdown(text: &io::Result<String>) -> Check {
    let name = "kernel lockdown";
    let Ok(text) = text else {
        return Check::ok(
            name,
            "not told by this kernel, so eBPF is taken to be allowed",
        );
    };
    if text.contains("[confidentiality]") {
        return Check::missing(
            name,
            "confidentiality: eBPF programs may not read kernel memory. Lost: exact blame for CPU; \
             verdicts come from cgroup files and pressure",
            "boot with lockdown=integrity or without lockdown",
        );
    }
    Check::ok(
        name,
        if text.contains("[integrity]") {
            "integrity, which allows eBPF"
        } else {
            "none"
        },
    )
}

/// `Documentation/admin-guide/sysctl/kernel.rst`.
fn paranoid(text: &io::Result<String>) -> Check {
    let name = "kernel perf_event_paranoid";
    match text.as_ref().map(|text| text.parse::<i32>()) {
        Ok(Ok(level)) if level >= 2 => Check::ok(
            name,
            format!("{level}: CAP_PERFMON is needed, which goes beyond this setting"),
        ),
        Ok(Ok(level)) => Check::ok(name, level.to_string()),
        _ => Check::missing(
            name,
            "not there: the kernel has no perf events. Lost: exact blame for CPU",
            "use a kernel with CONFIG_PERF_EVENTS=y",
        ),
    }
}

fn unprivileged(text: &io::Result<String>) -> Check {
    let name = "kernel unprivileged_bpf_disabled";
    match text.as_ref().map(String::as_str) {
        Ok("0") => Check::ok(
            name,
            "0; dunnage needs CAP_BPF and CAP_PERFMON all the same",
        ),
        Ok(value) => Check::ok(name, format!("{value}: CAP_BPF is needed, as it is anyway")),
        Err(error) => Check::missing(
            name,
            format!("{error}: the kernel has no bpf(). Lost: exact blame for CPU"),
            "use a kernel with CONFIG_BPF_SYSCALL=y",
        ),
    }
}

/// `Documentation/accounting/psi.rst`.
fn pressure(text: &io::Result<String>) -> Check {
    let name = "kernel pressure (PSI)";
    match text {
        Ok(text) if text.starts_with("some ") => Check::ok(name, "there for cpu, memory and io"),
        Ok(_) | Err(_) => Check::missing(
            name,
            "/proc/pressure cannot be read. Lost: pressure figures, and verdicts on a host without eBPF",
            "boot with psi=1, or use a kernel with CONFIG_PSI=y",
        ),
    }
}

/// `Documentation/scheduler/sched-stats.rst`: ran, waited on a run queue, time slices. Without
/// `CONFIG_SCHED_INFO` the file is not there or has zeros only.
fn sched_info(text: &io::Result<String>) -> Check {
    let name = "kernel run delay (SCHED_INFO)";
    // The first number moves only at a tick or a switch, so that a young process may show 0 there.
    let counts = |text: &String| text.split(' ').any(|n| n.parse().is_ok_and(|n: u64| n > 0));
    match text {
        Ok(text) if counts(text) => Check::ok(
            name,
            "/proc/PID/schedstat counts; blame can be checked against it",
        ),
        _ => Check::degraded(
            name,
            "/proc/self/schedstat does not count. Lost: nothing but the check of blame against the kernel's own sums",
            "use a kernel with CONFIG_SCHED_INFO=y",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    fn absent() -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    #[test]
    fn lockdown_matters_only_where_it_forbids() {
        assert_eq!(lockdown(&absent()).status, Status::Ok);
        assert_eq!(
            lockdown(&Ok("none [integrity] confidentiality".into())).status,
            Status::Ok
        );
        assert_eq!(
            lockdown(&Ok("none integrity [confidentiality]".into())).status,
            Status::Missing
        );
    }

    #[test]
    fn what_is_not_there_is_missing() {
        for check in [
            paranoid(&absent()),
            unprivileged(&absent()),
            pressure(&absent()),
        ] {
            assert_eq!(check.status, Status::Missing, "{check:?}");
            assert!(check.remedy.is_some());
        }
        assert_eq!(sched_info(&absent()).status, Status::Degraded);
    }

    #[test]
    fn run_delay_that_stays_zero_is_not_counted() {
        assert_eq!(sched_info(&Ok("0 0 0".into())).status, Status::Degraded);
        assert_eq!(sched_info(&Ok("12345 678 9".into())).status, Status::Ok);
        assert_eq!(paranoid(&Ok("-1".into())).status, Status::Ok);
        assert_eq!(
            pressure(&Ok("some avg10=0.00 avg60=0.00 avg300=0.00 total=1".into())).status,
            Status::Ok
        );
    }
}
