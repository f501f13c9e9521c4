//! The whole machine: `/proc/stat`, `/proc/meminfo`, `/proc/vmstat`, `/proc/diskstats`,
//! `/proc/pressure/*`.

use super::cgroup::{Want, decimal, lines, pressure, words};
use crate::host::HostRoot;
use dunnage_model::gap::Gap;
use dunnage_model::observation::{CpuTimes, DeviceIo, MachineReading, Pressure, PressureTotals};
use dunnage_model::units::{Bytes, Nanos};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// The longest of these files that is read: `/proc/stat` of 8,192 CPUs with all interrupts.
const LIMIT: usize = 4 << 20;

/// The unit of `/proc/diskstats`, whatever the disk's own.
const SECTOR: u64 = 512;

/// Reads the machine's counters, sweep by sweep.
#[derive(Debug)]
pub struct MachineReader {
    root: HostRoot,
    /// Length of a tick of `/proc/stat`.
    tick: Nanos,
}

/// Length of the ticks in which `/proc` counts CPU time: `sysconf(_SC_CLK_TCK)`, 100 a second on
/// every architecture that runs containers.
pub(crate) fn tick() -> Nanos {
    let asked = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK);
    let hertz = asked
        .ok()
        .flatten()
        .and_then(|hz| u64::try_from(hz).ok())
        .filter(|&hz| hz > 0);
    Nanos(1_000_000_000 / hertz.unwrap_or(100))
}

impl MachineReader {
    /// A reader of the host at `root`.
    #[must_use]
    pub fn open(root: &HostRoot) -> MachineReader {
        MachineReader {
            root: root.clone(),
            tick: tick(),
        }
    }

    /// Reads CPU times, and of the rest what is wanted. What is silent is a gap and stays at its
    /// default.
    pub fn read(&mut self, want: Want) -> (MachineReading, Vec<Gap>) {
        let mut gaps = Vec::new();
        let stat = self.file("/proc/stat", &mut gaps).unwrap_or_default();
        let (cpu, cpus) = cpu_times(&stat, self.tick);
        let mut reading = MachineReading {
            cpu: cpu.unwrap_or_default(),
            cpus,
            ..MachineReading::default()
        };
        if want.memory || want.shortage {
            let memory = self.file("/proc/meminfo", &mut gaps).unwrap_or_default();
            reading.memory_total = meminfo(&memory, b"MemTotal:");
            reading.memory_available = meminfo(&memory, b"MemAvailable:");
        }
        if want.shortage {
            let counters = self.file("/proc/vmstat", &mut gaps).unwrap_or_default();
            reading.pages_scanned = vmstat(&counters);
        }
        if want.pressure {
            reading.pressure = self.pressure(&mut gaps);
        }
        if want.io {
            let disks = self.file("/proc/diskstats", &mut gaps).unwrap_or_default();
            reading.disks = diskstats(&disks, self.whole_disks().as_ref());
        }
        (reading, gaps)
    }

    fn file(&self, path: &str, gaps: &mut Vec<Gap>) -> Option<Vec<u8>> {
        let outcome = self.root.read(path, LIMIT);
        outcome
            .map_err(|error| gaps.push(Gap::new(path, error.to_string())))
            .ok()
    }

    fn pressure(&self, gaps: &mut Vec<Gap>) -> Pressure {
        let mut totals = |path| -> Option<PressureTotals> {
            let read = self.root.read(path, LIMIT);
            let totals = read.as_deref().ok().and_then(pressure);
            if totals.is_none() {
                let why = "the kernel tells no pressure: it wants CONFIG_PSI and psi=1";
                gaps.push(Gap::new(path, why));
            }
            totals
        };
        Pressure {
            cpu: totals("/proc/pressure/cpu"),
            memory: totals("/proc/pressure/memory"),
            io: totals("/proc/pressure/io"),
        }
    }

    /// The names in `/sys/block`, where partitions do not stand; `None` where it is not visible.
    fn whole_disks(&self) -> Option<HashSet<PathBuf>> {
        let entries = std::fs::read_dir(self.root.path("/sys/block")).ok()?;
        Some(
            entries
                .flatten()
                .map(|entry| PathBuf::from(entry.file_name()))
                .collect(),
        )
    }
}

/// The `cpu` line of `/proc/stat` (proc_stat(5)), and those of each CPU.
pub(in crate::sources) fn cpu_times(
    text: &[u8],
    tick: Nanos,
) -> (Option<CpuTimes>, Vec<(u32, CpuTimes)>) {
    let mut all = None;
    let mut each = Vec::new();
    // They come first.
    for line in lines(text).map_while(|line| line.strip_prefix(b"cpu")) {
        let mut fields = words(line);
        if line.starts_with(b" ") {
            all = times(&mut fields, tick);
            continue;
        }
        let number = fields.next().and_then(decimal);
        let number = number.and_then(|number| u32::try_from(number).ok());
        each.extend(number.zip(times(&mut fields, tick)));
    }
    (all, each)
}

/// user nice system idle iowait irq softirq steal guest guest_nice. The guest times are part of user
/// and nice.
fn times<'a>(words: &mut impl Iterator<Item = &'a [u8]>, tick: Nanos) -> Option<CpuTimes> {
    let mut fields = [Nanos::ZERO; 8];
    for (field, word) in fields.iter_mut().zip(words) {
        *field = Nanos(decimal(word)?.saturating_mul(tick.0));
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal] = fields;
    Some(CpuTimes {
        user: user + nice,
        system,
        interrupts: irq + softirq,
        idle: idle + iowait,
        steal,
    })
}

fn meminfo(text: &[u8], key: &[u8]) -> Option<Bytes> {
    let line = lines(text).find_map(|line| line.strip_prefix(key))?;
    let kibibytes = decimal(words(line).next()?)?;
    Some(Bytes(kibibytes.saturating_mul(1024)))
}

/// Pages that were looked at for want of memory of the machine; limits of cgroups do not count.
fn vmstat(text: &[u8]) -> Option<u64> {
    let of = |key: &[u8]| {
        let line = lines(text).find_map(|line| line.strip_prefix(key))?;
        decimal(words(line).next()?)
    };
    of(b"pgscan_kswapd ")?.checked_add(of(b"pgscan_direct ")?)
}

/// `/proc/diskstats` (`Documentation/admin-guide/iostats.rst`), whole disks that were ever used.
fn diskstats(text: &[u8], whole: Option<&HashSet<PathBuf>>) -> Vec<DeviceIo> {
    lines(text)
        .filter_map(disk)
        .filter(|(io, name)| {
            let used = io.reads > 0 || io.writes > 0;
            used && whole.is_none_or(|whole| whole.contains(&sysfs_name(name)))
        })
        .map(|(io, _)| io)
        .collect()
}

/// A slash in a disk's name (`cciss/c0d0`) is an exclamation mark in sysfs.
fn sysfs_name(name: &str) -> PathBuf {
    PathBuf::from(name.replace('/', "!"))
}

fn disk(line: &[u8]) -> Option<(DeviceIo, String)> {
    let mut fields = words(line);
    let major = u32::try_from(decimal(fields.next()?)?).ok()?;
    let minor = u32::try_from(decimal(fields.next()?)?).ok()?;
    let name = String::from_utf8_lossy(fields.next()?).into_owned();
    let mut number = || decimal(fields.next()?);
    let (reads, _, read, _) = (number()?, number()?, number()?, number()?);
    let (writes, _, written) = (number()?, number()?, number()?);
    let io = DeviceIo {
        major,
        minor,
        name: Some(Arc::from(name.as_str())),
        read: Bytes(read.saturating_mul(SECTOR)),
        written: Bytes(written.saturating_mul(SECTOR)),
        reads,
        writes,
    };
    Some((io, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_cpu_line_becomes_times() {
        let text = b"cpu  100 10 50 1000 5 1 2 7 3 4\ncpu0 99 10 50 999 5 1 2 4 0 0\n\
            cpu3 1 0 0 1 0 0 0 3 0 0\nintr 1 2 3\n";
        let (cpu, cpus) = cpu_times(text, Nanos(10_000_000));
        let cpu = cpu.unwrap();
        assert_eq!(cpu.user, Nanos(1_100_000_000));
        assert_eq!(cpu.interrupts, Nanos(30_000_000));
        assert_eq!(cpu.idle, Nanos(10_050_000_000));
        assert_eq!(cpu.steal, Nanos(70_000_000));
        assert_eq!(cpu.busy(), Nanos(1_630_000_000));
        let steal: Vec<_> = cpus
            .iter()
            .map(|(cpu, times)| (*cpu, times.steal))
            .collect();
        assert_eq!(steal, [(0, Nanos(40_000_000)), (3, Nanos(30_000_000))]);
    }

    #[test]
    fn disks_without_partitions_and_without_unused_ones() {
        let text = b" 254 0 vda 60920 11445 100 21475 24393 71100 200 30631 0 13660 53005\n \
            254 1 vda1 1 0 1 0 1 0 1 0 0 0 0\n   7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n";
        let whole = Some([PathBuf::from("vda"), PathBuf::from("loop0")].into());
        let disks = diskstats(text, whole.as_ref());
        assert_eq!(disks.len(), 1);
        assert_eq!(disks[0].name.as_deref(), Some("vda"));
        assert_eq!(
            (disks[0].read, disks[0].written),
            (Bytes(51_200), Bytes(102_400))
        );
        assert_eq!((disks[0].reads, disks[0].writes), (60_920, 24_393));
    }

    #[test]
    fn scanned_pages_are_the_machines_alone() {
        let text = b"pgscan_kswapd 5\npgscan_direct 2\npgscan_direct_throttle 9\npgscan_anon 1\n";
        assert_eq!(vmstat(text), Some(7));
        assert_eq!(vmstat(b"pgscan_kswapd 5\n"), None);
    }

    #[test]
    fn the_live_machine_tells_its_time() {
        let (reading, _) = MachineReader::open(&HostRoot::default()).read(Want::all());
        assert!(reading.cpu.busy() > Nanos::ZERO);
        assert!(reading.memory_total > reading.memory_available);
    }

    #[test]
    fn a_machine_that_shows_nothing_is_all_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let (reading, gaps) = MachineReader::open(&HostRoot::new(dir.path())).read(Want::all());
        assert_eq!(reading, MachineReading::default());
        assert_eq!(gaps.len(), 7);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>) {
            let _ = (cpu_times(&text, Nanos(1)), meminfo(&text, b"MemTotal:"));
            let _ = (diskstats(&text, None), vmstat(&text));
        }
    }
}
