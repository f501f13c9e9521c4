//! The files of version 1 cgroups, as `Documentation/admin-guide/cgroup-v1/` describes them.
//!
//! Pure: bytes in, values out.

use super::numbers::{decimal, device, lines, pairs, single, words};
use super::v2::MemoryStat;
use dunnage_model::observation::{CgroupCpu, DeviceIo, IoLimit, IoLimitKind};
use dunnage_model::units::{Bytes, Nanos};
use std::collections::BTreeMap;

/// A memory counter without a limit reads as the largest page-aligned number (`PAGE_COUNTER_MAX`);
/// the page size differs between architectures, so everything near it counts as "none".
const UNLIMITED: u64 = i64::MAX as u64 - (1 << 20);

/// `cpu.shares` of a cgroup that nobody touched.
const DEFAULT_SHARES: f64 = 1024.0;

/// `cpu.stat` of the cpu controller: what the quota did. `throttled_time` is in nanoseconds here.
pub(crate) fn cpu_stat(text: &[u8], cpu: &mut CgroupCpu) {
    for (key, value) in pairs(text) {
        match key {
            b"nr_periods" => cpu.periods = Some(value),
            b"nr_throttled" => cpu.throttled_periods = Some(value),
            b"throttled_time" => cpu.throttled = Some(Nanos(value)),
            _ => {}
        }
    }
}

/// `cpu.cfs_quota_us` over `cpu.cfs_period_us` in CPUs.
pub(crate) fn quota(quota: u64, period: u64) -> Option<f64> {
    (period > 0).then(|| quota as f64 / period as f64)
}

/// `cpu.shares` on the scale of version 2, by the ratio to the default.
pub(crate) fn weight(shares: u64) -> f64 {
    shares as f64 * 100.0 / DEFAULT_SHARES
}

/// `memory.stat`, the hierarchical (`total_`) values.
pub(crate) fn memory_stat(text: &[u8]) -> MemoryStat {
    let mut memory = MemoryStat::default();
    for (key, value) in pairs(text) {
        match key {
            b"total_rss" => memory.anon = Some(Bytes(value)),
            b"total_cache" => memory.file = Some(Bytes(value)),
            b"total_pgmajfault" => memory.major_faults = Some(value),
            b"total_workingset_refault_anon" | b"total_workingset_refault_file" => {
                memory.refault(value);
            }
            b"total_pgpgin" => memory.pages_in = Some(value),
            b"total_swap" => memory.swap = Some(Bytes(value)),
            b"hierarchical_memory_limit" if value < UNLIMITED => memory.limit = Some(Bytes(value)),
            _ => {}
        }
    }
    memory
}

/// `memory.limit_in_bytes`; `None` without a limit.
pub(crate) fn memory_limit(text: &[u8]) -> Option<Bytes> {
    single(text).filter(|&limit| limit < UNLIMITED).map(Bytes)
}

/// `oom_kill` of `memory.oom_control`; Linux has it since 4.13.
pub(crate) fn oom_kills(text: &[u8]) -> Option<u64> {
    pairs(text).find_map(|(key, value)| (key == b"oom_kill").then_some(value))
}

/// `blkio.throttle.io_service_bytes` and `blkio.throttle.io_serviced` (or their `_recursive`
/// forms): lines `MAJ:MIN Read N` and `MAJ:MIN Write N`.
pub(crate) fn blkio(bytes: &[u8], operations: &[u8]) -> Vec<DeviceIo> {
    let mut devices = BTreeMap::new();
    for (id, direction, value) in blkio_lines(bytes) {
        let io: &mut DeviceIo = devices.entry(id).or_default();
        match direction {
            Direction::Read => io.read = Bytes(value),
            Direction::Write => io.written = Bytes(value),
        }
    }
    for (id, direction, value) in blkio_lines(operations) {
        let io = devices.entry(id).or_default();
        match direction {
            Direction::Read => io.reads = value,
            Direction::Write => io.writes = value,
        }
    }
    devices
        .into_iter()
        .map(|((major, minor), io)| DeviceIo { major, minor, ..io })
        .collect()
}

/// A `blkio.throttle.*_device` file: a line `MAJ:MIN RATE` a device.
pub(crate) fn throttle(text: &[u8], kind: IoLimitKind) -> impl Iterator<Item = IoLimit> {
    lines(text).filter_map(move |line| {
        let mut fields = words(line);
        Some(IoLimit {
            device: device(fields.next()?)?,
            kind,
            rate: decimal(fields.next()?)?,
        })
    })
}

enum Direction {
    Read,
    Write,
}

fn blkio_lines(text: &[u8]) -> impl Iterator<Item = ((u32, u32), Direction, u64)> {
    lines(text).filter_map(|line| {
        let mut fields = words(line);
        let id = device(fields.next()?)?;
        let direction = match fields.next()? {
            b"Read" => Direction::Read,
            b"Write" => Direction::Write,
            _ => return None,
        };
        Some((id, direction, decimal(fields.next()?)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_and_quota_on_the_new_scale() {
        assert_eq!(weight(1024), 100.0);
        assert_eq!(weight(512), 50.0);
        assert_eq!(quota(150_000, 100_000), Some(1.5));
        assert_eq!(quota(150_000, 0), None);
    }

    #[test]
    fn memory_takes_the_hierarchical_values() {
        let memory = memory_stat(
            b"cache 1\nrss 2\npgmajfault 3\nhierarchical_memory_limit 9223372036854771712\n\
              total_cache 10\ntotal_rss 20\ntotal_pgmajfault 30\n",
        );
        assert_eq!(memory.anon, Some(Bytes(20)));
        assert_eq!(memory.file, Some(Bytes(10)));
        assert_eq!((memory.major_faults, memory.limit), (Some(30), None));
        assert_eq!(
            memory_stat(b"hierarchical_memory_limit 4096\n").limit,
            Some(Bytes(4096))
        );
    }

    #[test]
    fn a_shortage_is_told_by_refaults_and_kills() {
        let memory = memory_stat(
            b"workingset_refault_file 1\ntotal_workingset_refault_anon 2\n\
              total_workingset_refault_file 3\ntotal_pgpgin 4\ntotal_swap 4096\n",
        );
        assert_eq!((memory.refaults, memory.pages_in), (Some(5), Some(4)));
        assert_eq!(memory.swap, Some(Bytes(4096)));
        let control = b"oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        assert_eq!(oom_kills(control), Some(2));
        assert_eq!(memory_limit(b"9223372036854771712\n"), None);
        assert_eq!(memory_limit(b"4096\n"), Some(Bytes(4096)));
    }

    #[test]
    fn blkio_joins_bytes_and_operations() {
        let io = blkio(
            b"254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 1\n254:0 Total 12288\nTotal 12288\n",
            b"254:0 Read 1\n254:0 Write 2\nTotal 3\n",
        );
        assert_eq!(io.len(), 1);
        assert_eq!((io[0].read, io[0].written), (Bytes(4096), Bytes(8192)));
        assert_eq!((io[0].reads, io[0].writes), (1, 2));
        assert!(blkio(b"Total 0\n", b"Total 0\n").is_empty());
    }

    #[test]
    fn a_throttle_is_a_rate_a_device() {
        let limits: Vec<IoLimit> =
            throttle(b"254:0 1048576\n7:x 1\n7:1\n", IoLimitKind::Reads).collect();
        let only = IoLimit {
            device: (254, 0),
            kind: IoLimitKind::Reads,
            rate: 1_048_576,
        };
        assert_eq!(limits, [only]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>) {
            cpu_stat(&text, &mut CgroupCpu::default());
            let _ = (memory_stat(&text), blkio(&text, &text));
            let _ = (memory_limit(&text), oom_kills(&text));
            let _ = throttle(&text, IoLimitKind::Reads).count();
        }
    }
}
