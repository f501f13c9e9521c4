//! Run-queue waits and who ran meanwhile, accounted in the kernel at scheduling events.
//!
//! `sched.bpf.c` keeps flat tables; [`Probe`] loads it, maps the tables and takes the differences of
//! one window as a [`SchedWindow`](dunnage_model::observation::SchedWindow). Needs CAP_BPF and
//! CAP_PERFMON, BTF, and a kernel with CONFIG_FAIR_GROUP_SCHED and CONFIG_SCHED_INFO (every
//! distribution's since 5.15).

mod governor;
mod layout;
mod pairs;
mod probe;
mod sums;
mod totals;

pub use governor::Budget;
pub use probe::{Names, Probe, SchedError, SchedOptions};

/// The compiled program; `build-ebpf.sh` makes it, a test compares it.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!("sched.bpf.o");
