//! The limits of a cgroup and of its parents, with the files that told them.

use crate::host::read_bounded;
use crate::sources::cgroup::{
    Controller, Mounts, cpu_max, lines, pairs, pressure, quota, single, v2_cpu_stat, words,
};
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::{LevelReading, MemoryEvents, Sourced};
use dunnage_model::units::{Bytes, Nanos};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest of these files that is read; `memory.stat` takes 2 KiB, `io.max` 100 bytes a device.
const LIMIT: usize = 64 << 10;

/// Levels that are looked at, from the party upwards.
const MOST_LEVELS: usize = 32;

/// Limits on block devices that are kept of one cgroup.
const MOST_DEVICES: usize = 16;

/// A memory limit of version 1 from here on is none (`PAGE_COUNTER_MAX`, by page size).
const UNLIMITED: u64 = i64::MAX as u64 - (1 << 20);

/// The files of version 1 that limit a block device, with the word of version 2 for each.
const THROTTLES: [(&str, &str); 4] = [
    ("blkio.throttle.read_bps_device", "rbps"),
    ("blkio.throttle.write_bps_device", "wbps"),
    ("blkio.throttle.read_iops_device", "riops"),
    ("blkio.throttle.write_iops_device", "wiops"),
];

/// `cgroup` and its parents, the root left out.
pub(super) fn read(mounts: &Mounts, cgroup: &str) -> Vec<LevelReading> {
    chain(cgroup)
        .take(MOST_LEVELS)
        .map(|path| Level { mounts, path }.reading())
        .collect()
}

/// `/a/b/c`, `/a/b`, `/a`.
fn chain(cgroup: &str) -> impl Iterator<Item = &str> {
    let start = Some(cgroup.trim_end_matches('/')).filter(|path| path.starts_with('/'));
    std::iter::successors(start, |path| {
        let parent = &path[..path.rfind('/')?];
        (!parent.is_empty()).then_some(parent)
    })
}

struct Level<'a> {
    mounts: &'a Mounts,
    path: &'a str,
}

impl Level<'_> {
    fn reading(&self) -> LevelReading {
        let mut reading = LevelReading {
            path: Arc::from(self.path),
            ..LevelReading::default()
        };
        self.cpu(&mut reading);
        reading.frozen = self.frozen();
        self.memory(&mut reading);
        reading.io_limits = self.io_limits();
        let pids = self.home(Controller::Pids);
        reading.tasks_max = self.value(pids, "pids.max", single);
        reading.tasks_now = self.value(pids, "pids.current", single);
        reading.forks_refused = self.value(pids, "pids.events", |text| field(text, b"max"));
        let unified = Controller::Unified;
        reading.cpu_pressure = self.value(unified, "cpu.pressure", pressure);
        reading.memory_pressure = self.value(unified, "memory.pressure", pressure);
        reading.io_pressure = self.value(unified, "io.pressure", pressure);
        reading
    }

    fn cpu(&self, reading: &mut LevelReading) {
        let home = self.home(Controller::Cpu);
        if home == Controller::Unified {
            reading.quota_cpus = self.value(home, "cpu.max", cpu_max);
            let stat = self.value(home, "cpu.stat", v2_cpu_stat);
            reading.throttled_periods = stat.as_ref().and_then(|s| s.value.throttled_periods);
            reading.throttled = stat.and_then(|s| {
                let value = s.value.throttled?;
                Some(Sourced {
                    value,
                    file: s.file,
                })
            });
        } else {
            let period = self.value(home, "cpu.cfs_period_us", single);
            // `-1` is no number and stands for no limit.
            reading.quota_cpus = self.value(home, "cpu.cfs_quota_us", |text| {
                quota(single(text)?, period.as_ref()?.value)
            });
            reading.throttled = self
                .value(home, "cpu.stat", |text| field(text, b"throttled_time"))
                .map(|Sourced { value, file }| Sourced {
                    value: Nanos(value),
                    file,
                });
            let periods = self.value(home, "cpu.stat", |text| field(text, b"nr_throttled"));
            reading.throttled_periods = periods.map(|periods| periods.value);
        }
        let set = |text: &[u8]| {
            CpuSet::parse(std::str::from_utf8(text).ok()?).filter(|set| !set.is_empty())
        };
        let home = self.home(Controller::Cpuset);
        let names = if home == Controller::Unified {
            ["cpuset.cpus.effective"].as_slice()
        } else {
            ["cpuset.effective_cpus", "cpuset.cpus"].as_slice()
        };
        reading.cpuset = names.iter().find_map(|name| self.value(home, name, set));
    }

    fn frozen(&self) -> Option<Sourced<bool>> {
        let home = self.home(Controller::Freezer);
        if home == Controller::Unified {
            self.value(home, "cgroup.events", |text| {
                Some(field(text, b"frozen")? == 1)
            })
        } else {
            let is_frozen = |text: &[u8]| Some(text.trim_ascii() == b"FROZEN");
            self.value(home, "freezer.state", is_frozen)
        }
    }

    fn memory(&self, reading: &mut LevelReading) {
        let home = self.home(Controller::Memory);
        let bytes = |text: &[u8]| single(text).filter(|n| *n < UNLIMITED).map(Bytes);
        if home == Controller::Unified {
            reading.memory_used = self.value(home, "memory.current", bytes);
            reading.memory_max = self.value(home, "memory.max", bytes);
            reading.memory_high = self.value(home, "memory.high", bytes);
            reading.memory_events = self.value(home, "memory.events", |text| {
                let of = |key: &[u8]| field(text, key).unwrap_or(0);
                Some(MemoryEvents {
                    high: of(b"high"),
                    max: of(b"max"),
                })
            });
            reading.oom_kills = self.value(home, "memory.events", |t| field(t, b"oom_kill"));
        } else {
            reading.memory_used = self.value(home, "memory.usage_in_bytes", bytes);
            reading.memory_max = self.value(home, "memory.limit_in_bytes", bytes);
            reading.oom_kills = self.value(home, "memory.oom_control", |t| field(t, b"oom_kill"));
            reading.memory_events = self.value(home, "memory.failcnt", |text| {
                Some(MemoryEvents {
                    max: single(text)?,
                    ..MemoryEvents::default()
                })
            });
        }
        reading.refaults = self.value(home, "memory.stat", refaults);
    }

    fn io_limits(&self) -> Vec<Sourced<Arc<str>>> {
        let home = self.home(Controller::Blkio);
        let files: &[(&str, &str)] = if home == Controller::Unified {
            &[("io.max", "")]
        } else {
            &THROTTLES
        };
        let mut limits = Vec::new();
        for (name, word) in files {
            let found = self.value(home, name, |text| Some(io_lines(text, word)));
            if let Some(Sourced { value, file }) = found {
                limits.extend(value.into_iter().map(|line| Sourced {
                    value: line,
                    file: file.clone(),
                }));
            }
        }
        limits.truncate(MOST_DEVICES);
        limits
    }

    /// The hierarchy of a controller: its own in version 1, else the unified one.
    fn home(&self, controller: Controller) -> Controller {
        if self.mounts.of(controller).is_some() {
            controller
        } else {
            Controller::Unified
        }
    }

    fn value<T>(
        &self,
        controller: Controller,
        name: &str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<Sourced<T>> {
        let file = directory(self.mounts, controller, self.path)?.join(name);
        let text = read_bounded(&file, LIMIT).ok()?;
        Some(Sourced {
            value: parse(&text)?,
            file: Arc::from(file.to_string_lossy().as_ref()),
        })
    }
}

/// Where a cgroup's files are in the hierarchy of `controller`.
pub(super) fn directory(mounts: &Mounts, controller: Controller, path: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let raw = path.trim_start_matches('/').as_bytes();
    mounts.of(controller)?.dir_of(raw, &mut bytes)?;
    Some(Path::new(std::ffi::OsStr::from_bytes(&bytes)).to_path_buf())
}

/// The number behind `key`.
pub(super) fn field(text: &[u8], key: &[u8]) -> Option<u64> {
    pairs(text).find_map(|(name, value)| (name == key).then_some(value))
}

/// The refaults of `memory.stat`, of anonymous pages and files together; hierarchical ones where
/// version 1 tells both.
fn refaults(text: &[u8]) -> Option<u64> {
    let sum = |prefix: &[u8]| {
        pairs(text)
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(_, value)| value)
            .reduce(u64::saturating_add)
    };
    sum(b"total_workingset_refault").or_else(|| sum(b"workingset_refault"))
}

/// The lines of a file that limit a device, lossily decoded; `word` turns version 1's
/// `MAJ:MIN NUMBER` into version 2's `MAJ:MIN word=NUMBER`.
fn io_lines(text: &[u8], word: &str) -> Vec<Arc<str>> {
    lines(text)
        .filter_map(|line| {
            let mut fields = words(line);
            let device = String::from_utf8_lossy(fields.next()?).into_owned();
            let values: Vec<String> = fields
                .map(|field| String::from_utf8_lossy(field).into_owned())
                .filter(|field| !field.ends_with("=max"))
                .map(|field| {
                    if word.is_empty() {
                        field
                    } else {
                        format!("{word}={field}")
                    }
                })
                .collect();
            (!values.is_empty()).then(|| Arc::from(format!("{device} {}", values.join(" "))))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostRoot;
    use proptest::prelude::*;
    use std::fs;

    #[test]
    fn parents_without_the_root() {
        let all: Vec<&str> = chain("/a/b/c").collect();
        assert_eq!(all, ["/a/b/c", "/a/b", "/a"]);
        assert_eq!(chain("/").count(), 0);
        assert_eq!(chain("a").count(), 0);
    }

    #[test]
    fn a_version_2_cgroup_is_read_with_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("sys/fs/cgroup");
        let web = top.join("shop/web");
        fs::create_dir_all(&web).unwrap();
        fs::write(top.join("cgroup.controllers"), "cpu memory io pids\n").unwrap();
        fs::write(top.join("cgroup.procs"), "").unwrap();
        for (name, text) in [
            ("cpu.max", "50000 100000\n"),
            (
                "cpu.stat",
                "usage_usec 1\nnr_periods 9\nnr_throttled 4\nthrottled_usec 7\n",
            ),
            ("memory.max", "1048576\n"),
            ("memory.high", "max\n"),
            (
                "memory.events",
                "low 0\nhigh 1\nmax 12\noom 0\noom_kill 2\n",
            ),
            (
                "memory.stat",
                "workingset_refault_anon 3\nworkingset_refault_file 4\n",
            ),
            (
                "io.max",
                "254:0 rbps=1048576 wbps=max riops=max wiops=max\n8:0 rbps=max\n",
            ),
            ("pids.max", "20\n"),
            ("pids.current", "20\n"),
            ("pids.events", "max 5\n"),
            ("cgroup.events", "populated 1\nfrozen 1\n"),
        ] {
            fs::write(web.join(name), text).unwrap();
        }
        fs::write(top.join("shop/pids.max"), "max\n").unwrap();
        let mounts = Mounts::discover(&HostRoot::new(dir.path())).unwrap();
        let levels = read(&mounts, "/shop/web");
        assert_eq!(levels.len(), 2);
        let web = &levels[0];
        assert_eq!(web.quota_cpus.as_ref().unwrap().value, 0.5);
        let throttled = web.throttled.as_ref().unwrap();
        assert_eq!(
            (throttled.value, web.throttled_periods),
            (Nanos(7_000), Some(4))
        );
        assert!(throttled.file.ends_with("/sys/fs/cgroup/shop/web/cpu.stat"));
        assert_eq!(web.memory_max.as_ref().unwrap().value, Bytes(1 << 20));
        assert_eq!(web.memory_high, None);
        let events = web.memory_events.as_ref().unwrap().value;
        assert_eq!((events.high, events.max), (1, 12));
        assert_eq!(web.oom_kills.as_ref().unwrap().value, 2);
        let frozen = web.frozen.as_ref().unwrap();
        assert!(frozen.value && frozen.file.ends_with("/shop/web/cgroup.events"));
        assert_eq!(web.refaults.as_ref().unwrap().value, 7);
        assert_eq!(web.io_limits.len(), 1);
        assert_eq!(&*web.io_limits[0].value, "254:0 rbps=1048576");
        assert_eq!(web.forks_refused.as_ref().unwrap().value, 5);
        assert_eq!(levels[1].tasks_max, None);
    }

    #[test]
    fn version_1_tells_the_frozen_and_the_killed_in_files_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("sys/fs/cgroup");
        for (file, text) in [
            ("memory/web/memory.failcnt", "12\n"),
            ("memory/web/memory.oom_control", "under_oom 0\noom_kill 2\n"),
            ("freezer/web/freezer.state", "FROZEN\n"),
            ("freezer/batch/freezer.state", "THAWED\n"),
            ("memory/cgroup.procs", ""),
            ("freezer/cgroup.procs", ""),
        ] {
            let file = top.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let mounts = Mounts::discover(&HostRoot::new(dir.path())).unwrap();
        let web = &read(&mounts, "/web")[0];
        let kills = web.oom_kills.as_ref().unwrap();
        assert_eq!(kills.value, 2);
        assert!(kills.file.ends_with("/memory/web/memory.oom_control"));
        assert_eq!(web.memory_events.as_ref().unwrap().value.max, 12);
        assert!(web.frozen.as_ref().unwrap().value);
        let batch = &read(&mounts, "/batch")[0];
        assert!(!batch.frozen.as_ref().unwrap().value);
    }

    #[test]
    fn throttles_of_version_1_read_like_those_of_version_2() {
        assert_eq!(
            io_lines(b"254:0 1048576\n", "rbps"),
            [Arc::from("254:0 rbps=1048576")]
        );
        assert!(io_lines(b"\n254:0\n", "rbps").is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>, path: String) {
            let _ = (io_lines(&text, "x"), refaults(&text), field(&text, b"max"));
            let _ = chain(&path).count();
        }
    }
}
