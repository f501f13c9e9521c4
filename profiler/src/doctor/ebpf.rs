//! What must be tried to be known: whether the eBPF programs load, whether a hardware counter opens.

use super::Check;
use crate::host::HostRoot;
use crate::sources::cgroup::Want;
use crate::sources::{Alone, Collector, CollectorOptions};
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
    let notices = collector.notices();
    if notices.is_empty() {
        return vec![Check::ok(
            name,
            "all load and attach; blame for CPU, memory, disks and links is exact",
        )];
    }
    notices.iter().map(|notice| lost(name, notice)).collect()
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
