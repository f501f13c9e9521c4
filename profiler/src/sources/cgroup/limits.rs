//! What the operator allowed a cgroup: weight, quota, cpuset, memory, block devices.
//!
//! Limits change seldom, so that their files are opened when they are wanted and not kept.

use super::layout::Controller;
use super::node::Sweep;
use super::numbers::single;
use super::{v1, v2};
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::{CpuLimits, IoLimit, IoLimitKind, MemoryShortage};
use dunnage_model::units::Bytes;

/// The weight that the kernel gives a cgroup with `cpu.idle` (`WEIGHT_IDLEPRIO`, 3 of 1,024).
const IDLE_WEIGHT: f64 = 3.0 * 100.0 / 1024.0;

/// Limits on block devices that are kept of one cgroup: sixteen devices, four each.
const MOST_IO_LIMITS: usize = 64;

/// The files of version 1 that limit a block device.
const THROTTLES: [(&str, IoLimitKind); 4] = [
    ("blkio.throttle.read_bps_device", IoLimitKind::BytesRead),
    ("blkio.throttle.write_bps_device", IoLimitKind::BytesWritten),
    ("blkio.throttle.read_iops_device", IoLimitKind::Reads),
    ("blkio.throttle.write_iops_device", IoLimitKind::Writes),
];

/// The limits of the cgroup `raw`, which has directories in the hierarchies of `present`.
pub(super) fn read(raw: &[u8], present: u8, sweep: &mut Sweep<'_>) -> CpuLimits {
    if raw.is_empty() {
        // The root has no limits of its own; its weight means nothing.
        CpuLimits {
            cpuset: cpuset(raw, present, sweep),
            ..CpuLimits::default()
        }
    } else if present & Controller::Cpu.bit() != 0 {
        v1_limits(raw, present, sweep)
    } else {
        v2_limits(raw, present, sweep)
    }
}

fn v1_limits(raw: &[u8], present: u8, sweep: &mut Sweep<'_>) -> CpuLimits {
    let cpu = Controller::Cpu;
    let shares = once(raw, sweep, cpu, "cpu.shares").and_then(single);
    // `-1` is no number and stands for no limit: the period does not matter then.
    let quota = once(raw, sweep, cpu, "cpu.cfs_quota_us").and_then(single);
    let period = match quota {
        Some(_) => once(raw, sweep, cpu, "cpu.cfs_period_us").and_then(single),
        None => None,
    };
    CpuLimits {
        weight: shares.map(v1::weight),
        quota_cpus: quota
            .zip(period)
            .and_then(|(quota, period)| v1::quota(quota, period)),
        cpuset: cpuset(raw, present, sweep),
        // An idle cgroup's shares read as 3; others can have as few by request.
        idle: shares.is_some_and(|shares| shares <= 3)
            && once(raw, sweep, cpu, "cpu.idle").and_then(single) == Some(1),
    }
}

fn v2_limits(raw: &[u8], present: u8, sweep: &mut Sweep<'_>) -> CpuLimits {
    let unified = Controller::Unified;
    let Some(weight) = once(raw, sweep, unified, "cpu.weight").and_then(single) else {
        return CpuLimits {
            cpuset: cpuset(raw, present, sweep),
            ..CpuLimits::default()
        };
    };
    // An idle cgroup's weight reads as 0, which none else can have.
    let idle = weight == 0 && once(raw, sweep, unified, "cpu.idle").and_then(single) == Some(1);
    CpuLimits {
        weight: Some(if idle { IDLE_WEIGHT } else { weight as f64 }),
        quota_cpus: once(raw, sweep, unified, "cpu.max").and_then(v2::cpu_max),
        cpuset: cpuset(raw, present, sweep),
        idle,
    }
}

/// The memory limits of the cgroup `raw` itself; the counters beside them stay empty.
pub(super) fn memory(raw: &[u8], present: u8, sweep: &mut Sweep<'_>) -> MemoryShortage {
    if raw.is_empty() {
        return MemoryShortage::default();
    }
    if present & Controller::Memory.bit() != 0 {
        let limit = once(raw, sweep, Controller::Memory, "memory.limit_in_bytes");
        return MemoryShortage {
            max: limit.and_then(v1::memory_limit),
            ..MemoryShortage::default()
        };
    }
    // `max`, which stands for no limit, is no number.
    let mut bytes = |name| {
        once(raw, sweep, Controller::Unified, name)
            .and_then(single)
            .map(Bytes)
    };
    MemoryShortage {
        max: bytes("memory.max"),
        high: bytes("memory.high"),
        protected: bytes("memory.min")
            .max(bytes("memory.low"))
            .unwrap_or_default(),
        ..MemoryShortage::default()
    }
}

/// The limits on block devices of the cgroup `raw` itself.
pub(super) fn io(raw: &[u8], present: u8, sweep: &mut Sweep<'_>) -> Vec<IoLimit> {
    let mut limits = Vec::new();
    if raw.is_empty() {
        return limits;
    }
    if present & Controller::Blkio.bit() != 0 {
        for (name, kind) in THROTTLES {
            let text = once(raw, sweep, Controller::Blkio, name);
            limits.extend(v1::throttle(text.unwrap_or_default(), kind));
        }
    } else if let Some(text) = once(raw, sweep, Controller::Unified, "io.max") {
        limits = v2::io_max(text);
    }
    limits.truncate(MOST_IO_LIMITS);
    limits
}

fn cpuset(raw: &[u8], present: u8, sweep: &mut Sweep<'_>) -> Option<CpuSet> {
    let set = |text: &[u8]| CpuSet::parse(std::str::from_utf8(text).ok()?);
    if present & Controller::Cpuset.bit() == 0 {
        return once(raw, sweep, Controller::Unified, "cpuset.cpus.effective").and_then(set);
    }
    let mut names = ["cpuset.effective_cpus", "cpuset.cpus"].into_iter();
    names
            .find_map(|name| once(raw, sweep, Controller::Cpuset, name).and_then(set))
            // A version 1 cpuset that nobody filled can hold no task.
            .filter(|cpus| !cpus.is_empty())
}

fn once<'s>(
    raw: &[u8],
    sweep: &'s mut Sweep<'_>,
    controller: Controller,
    name: &str,
) -> Option<&'s [u8]> {
    sweep.files.read_once(sweep.mounts, raw, controller, name)
}
