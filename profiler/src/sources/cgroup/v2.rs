//! The files of a version 2 cgroup, as `Documentation/admin-guide/cgroup-v2.rst` describes them.
//!
//! Pure: bytes in, values out. Lines that are not understood are left out, values never guessed.

use super::numbers::{decimal, device, lines, pairs, words};
use dunnage_model::observation::{
    CgroupCpu, DeviceIo, IoLimit, IoLimitKind, MemoryShortage, PressureTotals,
};
use dunnage_model::units::{Bytes, Nanos};

/// `cpu.stat`. The quota's lines are there only where the cpu controller is on. `None` without a
/// `usage_usec` line.
pub(crate) fn cpu_stat(text: &[u8]) -> Option<CgroupCpu> {
    let mut cpu = CgroupCpu::default();
    let mut seen = false;
    for (key, value) in pairs(text) {
        match key {
            b"usage_usec" => {
                cpu.usage = micros(value);
                seen = true;
            }
            b"user_usec" => cpu.user = Some(micros(value)),
            b"system_usec" => cpu.system = Some(micros(value)),
            b"nr_periods" => cpu.periods = Some(value),
            b"nr_throttled" => cpu.throttled_periods = Some(value),
            b"throttled_usec" => cpu.throttled = Some(micros(value)),
            _ => {}
        }
    }
    seen.then_some(cpu)
}

/// `cpu.max` (`QUOTA PERIOD` or `max PERIOD`, microseconds) in CPUs; `None` without a limit.
pub(crate) fn cpu_max(text: &[u8]) -> Option<f64> {
    let mut fields = words(text);
    let quota = decimal(fields.next()?)?;
    let period = decimal(fields.next()?)?;
    (period > 0).then(|| quota as f64 / period as f64)
}

/// What is read out of `memory.stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryStat {
    /// `anon`.
    pub(crate) anon: Option<Bytes>,
    /// `file`.
    pub(crate) file: Option<Bytes>,
    /// `pgmajfault`.
    pub(crate) major_faults: Option<u64>,
    /// The tightest limit; only version 1 tells it in this file.
    pub(crate) limit: Option<Bytes>,
    /// `workingset_refault_anon` and `workingset_refault_file`.
    pub(crate) refaults: Option<u64>,
    /// `pgpgin`; only version 1 tells it in this file.
    pub(crate) pages_in: Option<u64>,
    /// `pgsteal`; only version 2 tells it in this file.
    pub(crate) pages_stolen: Option<u64>,
    /// `swap`; version 2 tells it in a file of its own.
    pub(crate) swap: Option<Bytes>,
}

impl MemoryStat {
    /// Adds refaults of one kind.
    pub(crate) fn refault(&mut self, pages: u64) {
        self.refaults = Some(self.refaults.unwrap_or(0).saturating_add(pages));
    }
}

/// `memory.stat`.
pub(crate) fn memory_stat(text: &[u8]) -> MemoryStat {
    let mut memory = MemoryStat::default();
    for (key, value) in pairs(text) {
        match key {
            b"anon" => memory.anon = Some(Bytes(value)),
            b"file" => memory.file = Some(Bytes(value)),
            b"pgmajfault" => memory.major_faults = Some(value),
            // `workingset_refault` alone is what kernels before 5.9 have.
            b"workingset_refault" | b"workingset_refault_anon" | b"workingset_refault_file" => {
                memory.refault(value)
            }
            b"pgsteal" => memory.pages_stolen = Some(value),
            _ => {}
        }
    }
    memory
}

/// `memory.events.local` (Linux 5.2).
pub(crate) fn memory_events(text: &[u8], shortage: &mut MemoryShortage) {
    for (key, value) in pairs(text) {
        match key {
            b"high" => shortage.high_met = Some(value),
            b"max" => shortage.max_met = Some(value),
            b"oom_kill" => shortage.kills = Some(value),
            _ => {}
        }
    }
}

/// `io.stat`: one line a device, `MAJ:MIN rbytes=N wbytes=N rios=N wios=N ...`. Devices that were
/// never used have a line without fields and are left out.
pub(crate) fn io_stat(text: &[u8]) -> Vec<DeviceIo> {
    lines(text).filter_map(io_line).collect()
}

fn io_line(line: &[u8]) -> Option<DeviceIo> {
    let mut fields = words(line);
    let (major, minor) = device(fields.next()?)?;
    let mut io = DeviceIo {
        major,
        minor,
        ..DeviceIo::default()
    };
    let mut seen = false;
    for field in fields {
        let Some(equals) = field.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let (key, value) = field.split_at(equals);
        let Some(value) = value.get(1..).and_then(decimal) else {
            continue;
        };
        match key {
            b"rbytes" => io.read = Bytes(value),
            b"wbytes" => io.written = Bytes(value),
            b"rios" => io.reads = value,
            b"wios" => io.writes = value,
            _ => continue,
        }
        seen = true;
    }
    seen.then_some(io)
}

/// `io.max`: one line a device, `MAJ:MIN rbps=N wbps=max riops=N wiops=max`. `max`, which stands for
/// no limit, is no number.
pub(crate) fn io_max(text: &[u8]) -> Vec<IoLimit> {
    let mut limits = Vec::new();
    for line in lines(text) {
        let mut fields = words(line);
        let Some(device) = fields.next().and_then(device) else {
            continue;
        };
        for field in fields {
            let cut = field.iter().position(|&byte| byte == b'=');
            let (key, value) = field.split_at(cut.unwrap_or(field.len()));
            let kind = match key {
                b"rbps" => IoLimitKind::BytesRead,
                b"wbps" => IoLimitKind::BytesWritten,
                b"riops" => IoLimitKind::Reads,
                b"wiops" => IoLimitKind::Writes,
                _ => continue,
            };
            if let Some(rate) = value.get(1..).and_then(decimal) {
                limits.push(IoLimit { device, kind, rate });
            }
        }
    }
    limits
}

/// A pressure file (`Documentation/accounting/psi.rst`): the `total=` of its lines, microseconds.
pub(crate) fn pressure(text: &[u8]) -> Option<PressureTotals> {
    let mut some = None;
    let mut full = None;
    for line in lines(text) {
        let total = words(line).find_map(|word| decimal(word.strip_prefix(b"total=")?));
        if line.starts_with(b"some ") {
            some = total;
        } else if line.starts_with(b"full ") {
            full = total;
        }
    }
    Some(PressureTotals {
        some: micros(some?),
        full: full.map(micros),
    })
}

/// Microseconds as the kernel prints them.
pub(crate) fn micros(value: u64) -> Nanos {
    Nanos(value.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cpu_stat_with_and_without_a_quota() {
        let cpu = cpu_stat(
            b"usage_usec 270008\nuser_usec 154290\nsystem_usec 115717\nnr_periods 11\n\
              nr_throttled 6\nthrottled_usec 667908\nnr_bursts 0\nburst_usec 0\n",
        )
        .unwrap();
        assert_eq!(cpu.usage, Nanos(270_008_000));
        assert_eq!(cpu.throttled, Some(Nanos(667_908_000)));
        assert_eq!(cpu.throttled_periods, Some(6));
        let bare = cpu_stat(b"usage_usec 1\nuser_usec 1\nsystem_usec 0\n").unwrap();
        assert_eq!((bare.periods, bare.throttled), (None, None));
        assert_eq!(cpu_stat(b"user_usec 1\n"), None);
    }

    #[test]
    fn cpu_max_is_in_cpus() {
        assert_eq!(cpu_max(b"20000 100000\n"), Some(0.2));
        assert_eq!(cpu_max(b"max 100000\n"), None);
        assert_eq!(cpu_max(b"100 0\n"), None);
    }

    #[test]
    fn io_stat_leaves_unused_devices_out() {
        let io = io_stat(
            b"7:0 \n254:0 rbytes=1548288 wbytes=57344 rios=17 wios=14 dbytes=0 dios=0\n\
              8:0 rbytes=x cost.usage=3\n",
        );
        assert_eq!(io.len(), 1);
        assert_eq!((io[0].major, io[0].minor), (254, 0));
        assert_eq!(
            (io[0].read, io[0].written),
            (Bytes(1_548_288), Bytes(57_344))
        );
        assert_eq!((io[0].reads, io[0].writes), (17, 14));
    }

    #[test]
    fn io_max_leaves_out_what_is_not_limited() {
        let limits =
            io_max(b"254:0 rbps=1048576 wbps=max riops=max wiops=120\n7:0 rbps\nx rbps=1\n");
        let limit = |kind, rate| IoLimit {
            device: (254, 0),
            kind,
            rate,
        };
        let both = [
            limit(IoLimitKind::BytesRead, 1_048_576),
            limit(IoLimitKind::Writes, 120),
        ];
        assert_eq!(limits, both);
    }

    #[test]
    fn a_shortage_is_told_by_refaults_and_events() {
        let memory = memory_stat(
            b"workingset_refault_anon 2\nworkingset_refault_file 3\npgsteal 7\npgsteal_kswapd 5\n",
        );
        assert_eq!((memory.refaults, memory.pages_stolen), (Some(5), Some(7)));
        let mut shortage = MemoryShortage::default();
        let events = b"low 0\nhigh 4\nmax 5\noom 1\noom_kill 2\noom_group_kill 0\n";
        memory_events(events, &mut shortage);
        assert_eq!((shortage.high_met, shortage.max_met), (Some(4), Some(5)));
        assert_eq!(shortage.kills, Some(2));
    }

    #[test]
    fn pressure_without_a_full_line() {
        let text = b"some avg10=2.76 avg60=0.51 avg300=0.10 total=327690\n";
        let pressure = pressure(text).unwrap();
        assert_eq!(
            pressure,
            PressureTotals {
                some: Nanos(327_690_000),
                full: None
            }
        );
        assert_eq!(super::pressure(b""), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>) {
            let _ = (cpu_stat(&text), cpu_max(&text), memory_stat(&text));
            let _ = (io_stat(&text), pressure(&text), io_max(&text));
            memory_events(&text, &mut MemoryShortage::default());
        }
    }
}
