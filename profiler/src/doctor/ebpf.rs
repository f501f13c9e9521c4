//! What must be tried to be known: whether eBPF programs load, whether a hardware counter opens.

use super::Check;
use crate::sources::sched;
use perf_event_open::config::{Cpu, Opts, Proc};
use perf_event_open::count::Counter;
use perf_event_open::event::hw::Hardware;

/// Loads the scheduling program and lets it go.
pub(super) fn ebpf_check() -> Check {
    let name = "eBPF programs";
    match sched::probe() {
        Ok(()) => Check::ok(
            name,
            "the scheduling program loads and attaches; blame for CPU is exact",
        ),
        Err(why) => Check::missing(
            name,
            format!(
                "the scheduling program does not run: {why}. Lost: exact blame for CPU; verdicts come from \
                 cgroup files and pressure (coverage correlated)"
            ),
            "see the checks of CAP_BPF, CAP_PERFMON, BTF and lockdown above",
        ),
    }
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
