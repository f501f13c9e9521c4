//! What must be tried to be known: whether the eBPF programs load, whether a hardware counter opens.

use super::Check;
use crate::host::HostRoot;
use crate::sources::cgroup::Want;
use crate::sources::{Alone, Collector, CollectorOptions, Means};
use dunnage_model::gap::Gap;
use perf_event_open::config::{Cpu, Opts, Proc};
use perf_event_open::count::Counter;
use perf_event_open::event::hw::Hardware;

/// Opens all sources as a command would, and lets them go: what does not load is a notice.
pub(super) fn ebpf_check(root: &HostRoot) -> Vec<Check> {
    let name = "eBPF programs";
    let options = CollectorOptions {
        want: Want::all(),
        ebpf: true,
        resources: true,
        cpu_budget: 1.0,
    };
    let collector = match Collector::open(root, &options) {
        Ok(collector) => collector,
        Err(error) => {
            let detail = format!("not tried, since there is nobody to charge: {error}");
            return vec![Check::missing(
                name,
                detail,
                "see the check of the cgroup layout above",
            )];
        }
    };
    let means = collector.means();
    // What the means lose is told with them.
    let told = |notice: &&Gap| {
        means
            .iter()
            .all(|means| means.lost.as_ref() != Some(*notice))
    };
    let notices = collector.notices().iter().filter(told);
    let mut checks: Vec<Check> = notices.map(|notice| lost(name, notice)).collect();
    if checks.is_empty() {
        checks.push(Check::ok(
            name,
            "all load and attach; blame for CPU, memory, disks and links is exact",
        ));
    }
    checks.extend(means.iter().map(seen_by));
    checks
}

/// By which of the kernel's events something is seen, and what is lost where those do not tell all.
fn seen_by(means: &Means) -> Check {
    let Some(lost) = &means.lost else {
        return Check::ok(means.what, means.by.clone());
    };
    Check::degraded(
        means.what,
        format!(
            "{}: {}. Lost: {}; the requests themselves are followed all the same",
            means.by, lost.why, lost.what
        ),
        "use a kernel that lets programs be attached to its functions \
         (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y), as Debian's and Ubuntu's stock kernels do; where it is \
         such a one, a sandbox around it forbids it",
    )
}

fn lost(name: &str, notice: &Gap) -> Check {
    let instead = Alone::instead(&notice.what)
        .unwrap_or("what can be had without comes from cgroup files and pressure");
    Check::missing(
        name,
        format!("{}. Lost: {}; {instead}", notice.why, notice.what),
        "see the checks of CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, BTF and lockdown above; where all are well, \
         this kernel or a sandbox around it forbids it",
    )
}

/// Opens a cycles counter for this process and lets it go.
pub(super) fn counter_check() -> Check {
    let name = "hardware counters";
    match Counter::new(
        Hardware::CpuCycle,
        (Proc::CURRENT, Cpu::ALL),
        Opts::default(),
    ) {
        Ok(_) => Check::ok(name, "a cycles counter opens"),
        Err(error) => Check::missing(
            name,
            format!(
                "no cycles counter: {error}. Lost: cache verdicts: none; CPU verdicts do without"
            ),
            "virtual machines need a virtual PMU from their hypervisor; elsewhere see CAP_PERFMON above",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn what_the_events_at_hand_do_not_show_is_lost() {
        let mut means = Means {
            what: "waits in fsync",
            by: "followed at ext4's tracepoints".into(),
            lost: None,
        };
        assert_eq!(seen_by(&means), Check::ok(means.what, means.by.clone()));
        means.lost = Some(Gap::new("waits in fsync on xfs", "refused"));
        let check = seen_by(&means);
        assert_eq!(check.status, Status::Degraded);
        assert!(
            check.detail.starts_with(
                "followed at ext4's tracepoints: refused. Lost: waits in fsync on xfs; "
            ),
            "{}",
            check.detail
        );
    }

    #[test]
    fn each_source_says_what_is_lost_and_what_takes_its_place() {
        for what in Alone::all() {
            let check = lost("eBPF programs", &Gap::new(what, "refused"));
            assert!(
                check
                    .detail
                    .starts_with(&format!("refused. Lost: {what}; "))
            );
            assert!(!check.detail.contains("what can be had without"), "{what}");
        }
        let other = lost("eBPF programs", &Gap::new("names", "refused"));
        assert!(other.detail.contains("what can be had without"));
    }
}
