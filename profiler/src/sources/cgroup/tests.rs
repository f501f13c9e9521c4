//! The reader against trees built from captured files, and against this machine.

use super::*;
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::CgroupPids;
use dunnage_model::units::{Bytes, Nanos};
use std::cell::Cell;
use std::fs;
use std::path::Path;

const V2_CONTAINER: &str =
    include_str!("../../../../tests/fixtures/cgroup-files/v2-docker-container.tree");
const V2_SERVICE: &str = include_str!("../../../../tests/fixtures/cgroup-files/v2-service.tree");
const HYBRID: &str = include_str!("../../../../tests/fixtures/cgroup-files/hybrid-container.tree");

/// Writes the files of a capture; `place` says where a file of that name goes.
fn lay_out(capture: &str, place: impl Fn(&str) -> PathBuf) {
    for part in capture.split("== ").skip(1) {
        let (name, content) = part.split_once('\n').unwrap();
        let path = place(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn v2_host(dir: &Path) -> PathBuf {
    let top = dir.join("sys/fs/cgroup");
    lay_out(V2_CONTAINER, |name| {
        top.join("system.slice/docker-1.scope").join(name)
    });
    lay_out(V2_SERVICE, |name| {
        top.join("system.slice/docker.service").join(name)
    });
    fs::write(top.join("cgroup.controllers"), "cpu io memory").unwrap();
    fs::write(top.join("cgroup.procs"), "").unwrap();
    top
}

fn find<'a>(readings: &'a [CgroupReading], path: &str) -> &'a CgroupReading {
    let paths: Vec<&str> = readings.iter().map(|reading| &*reading.path).collect();
    readings
        .iter()
        .find(|r| &*r.path == path)
        .unwrap_or_else(|| panic!("no {path} in {paths:?}"))
}

#[test]
fn a_pure_v2_host() {
    let dir = tempfile::tempdir().unwrap();
    v2_host(dir.path());
    let mut reader = CgroupReader::open(&HostRoot::new(dir.path())).unwrap();
    assert_eq!(reader.layout(), CgroupLayout::V2);
    let (readings, gaps) = reader.read(Want::all());
    assert_eq!(gaps, []);
    let paths: Vec<&str> = readings.iter().map(|reading| &*reading.path).collect();
    let slice = [
        "/system.slice/docker-1.scope",
        "/system.slice/docker.service",
    ];
    assert_eq!(paths, ["/", "/system.slice", slice[0], slice[1]]);

    let container = find(&readings, slice[0]);
    let cpu = container.cpu.unwrap();
    assert_eq!(
        (cpu.usage, cpu.user),
        (Nanos(270_008_000), Some(Nanos(154_290_000)))
    );
    assert_eq!(
        (cpu.throttled_periods, cpu.throttled),
        (Some(6), Some(Nanos(667_908_000)))
    );
    assert_eq!(container.cpu_limits.weight, Some(100.0));
    assert_eq!(container.cpu_limits.quota_cpus, Some(0.2));
    assert_eq!(container.cpu_limits.cpuset, CpuSet::parse("0-1"));
    let memory = container.memory.unwrap();
    assert_eq!(
        (memory.used, memory.limit),
        (Bytes(323_584), Some(Bytes(67_108_864)))
    );
    assert_eq!(
        (memory.anon, memory.major_faults),
        (Some(Bytes(57_344)), Some(0))
    );
    assert_eq!(container.pressure.cpu.unwrap().some, Nanos(327_690_000));
    assert_eq!(container.pressure.memory.unwrap().full, Some(Nanos::ZERO));
    assert_eq!((container.threads, container.processes), (Some(1), Some(1)));
    assert_eq!(container.io, Some(Vec::new()));
    assert!(container.v2_id.is_some() && container.v1_id.is_none());

    let service = find(&readings, slice[1]);
    let io = &service.io.as_ref().unwrap()[0];
    assert_eq!((io.read, io.written), (Bytes(319_488), Bytes(614_400)));
    assert_eq!(service.memory.unwrap().limit, None);
    // The slice has no files: everything about it is absent, nothing zero.
    let slice = find(&readings, "/system.slice");
    assert_eq!((slice.cpu, slice.memory, &slice.io), (None, None, &None));
}

#[test]
fn a_hybrid_host_joins_v1_accounts_with_v2_pressure() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("sys/fs/cgroup");
    lay_out(HYBRID, |name| {
        let (hierarchy, name) = name.split_once('/').unwrap();
        fs::create_dir_all(top.join(hierarchy)).unwrap();
        fs::write(top.join(hierarchy).join("cgroup.procs"), "").unwrap();
        top.join(hierarchy).join("docker/1").join(name)
    });
    fs::write(top.join("unified/cgroup.controllers"), "").unwrap();
    let mut reader = CgroupReader::open(&HostRoot::new(dir.path())).unwrap();
    assert_eq!(reader.layout(), CgroupLayout::Hybrid);
    // No file of the root knows a device: what they say of the container is no zero.
    let (readings, gaps) = reader.read(Want::all());
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].what, "cgroup block I/O");
    let container = find(&readings, "/docker/1");
    assert_eq!(container.io, None);
    let cpu = container.cpu.unwrap();
    assert_eq!(
        (cpu.usage, cpu.system),
        (Nanos(236_162_082), Some(Nanos(4_000_000)))
    );
    assert_eq!((cpu.periods, cpu.throttled), (Some(21), Some(Nanos::ZERO)));
    assert_eq!(container.cpu_limits.weight, Some(50.0));
    assert_eq!(container.cpu_limits.quota_cpus, Some(0.2));
    assert_eq!(container.cpu_limits.cpuset, CpuSet::parse("0-1"));
    assert_eq!(container.memory.unwrap().limit, Some(Bytes(67_108_864)));
    assert_eq!(container.pressure.cpu.unwrap().some, Nanos(1_562_242_000));
    assert_eq!((container.threads, container.processes), (Some(2), Some(2)));
    assert!(container.v2_id.is_some() && container.v1_id.is_some());
    let (readings, _) = reader.read(Want::cpu());
    let container = find(&readings, "/docker/1");
    assert_eq!(
        (container.memory, container.threads, &container.io),
        (None, None, &None)
    );
    assert_eq!(container.pressure, Default::default());
}

#[test]
fn refused_forks_are_read_where_tasks_are_limited() {
    let dir = tempfile::tempdir().unwrap();
    let container = v2_host(dir.path()).join("system.slice/docker-1.scope");
    fs::write(container.join("pids.events"), "max 0\n").unwrap();
    let mut reader = CgroupReader::open(&HostRoot::new(dir.path())).unwrap();
    let path = "/system.slice/docker-1.scope";
    fs::write(container.join("pids.max"), "max\n").unwrap();
    assert_eq!(find(&reader.read(Want::all()).0, path).pids, None);
    let mut reader = CgroupReader::open(&HostRoot::new(dir.path())).unwrap();
    fs::write(container.join("pids.max"), "20\n").unwrap();
    for refused in [0, 3] {
        fs::write(container.join("pids.events"), format!("max {refused}\n")).unwrap();
        fs::write(
            container.join("cpu.stat"),
            format!("usage_usec {}\n", refused + 1),
        )
        .unwrap();
        let (readings, _) = reader.read(Want::all());
        let pids = find(&readings, path).pids;
        assert_eq!(pids, Some(CgroupPids { limit: 20, refused }));
    }
    let (readings, _) = reader.read(Want::cpu());
    assert_eq!(find(&readings, path).pids, None);
}

#[test]
fn v1_block_io_comes_from_the_files_that_count() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("sys/fs/cgroup/blkio");
    for (place, bytes) in [(top.clone(), 900), (top.join("docker"), 300)] {
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("cgroup.procs"), "").unwrap();
        for name in [
            "blkio.throttle.io_service_bytes_recursive",
            "blkio.bfq.io_serviced_recursive",
        ] {
            fs::write(place.join(name), "Total 0\n").unwrap();
        }
        let text = format!("8:0 Read {bytes}\n8:0 Write 0\nTotal {bytes}\n");
        fs::write(place.join("blkio.bfq.io_service_bytes_recursive"), text).unwrap();
    }
    let mut reader = CgroupReader::open(&HostRoot::new(dir.path())).unwrap();
    let (readings, gaps) = reader.read(Want::all());
    assert_eq!(gaps, []);
    let io = find(&readings, "/docker").io.as_ref().unwrap();
    assert_eq!((io[0].major, io[0].read), (8, Bytes(300)));
}

#[test]
fn births_and_removals_are_seen_and_a_new_life_is_a_new_cgroup() {
    let dir = tempfile::tempdir().unwrap();
    let top = v2_host(dir.path());
    let scope = top.join("system.slice/docker-1.scope");
    let mut reader = CgroupReader::open(&HostRoot::new(dir.path())).unwrap();
    assert_eq!(reader.read(Want::cpu()).0.len(), 4);
    reader.trust_events(true);
    fs::create_dir(top.join("born")).unwrap();
    assert_eq!(reader.read(Want::cpu()).0.len(), 4);
    reader.mark_changed();
    assert_eq!(reader.read(Want::cpu()).0.len(), 5);
    let id = |reader: &mut CgroupReader| {
        let (readings, _) = reader.read(Want::cpu());
        find(&readings, "/system.slice/docker-1.scope").v2_id
    };
    let first = id(&mut reader);
    fs::rename(&scope, top.join("kept-so-that-the-inode-stays")).unwrap();
    fs::create_dir(&scope).unwrap();
    reader.mark_changed();
    assert_ne!(id(&mut reader), first);
    fs::remove_dir_all(&scope).unwrap();
    reader.trust_events(false);
    let (readings, _) = reader.read(Want::cpu());
    assert!(
        readings
            .iter()
            .all(|r| &*r.path != "/system.slice/docker-1.scope")
    );
}

#[test]
fn who_did_not_run_keeps_its_reading_for_ten_sweeps_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let top = v2_host(dir.path());
    let mut reader = CgroupReader::open(&HostRoot::new(dir.path())).unwrap();
    let (readings, _) = reader.read(Want::all());
    let scope = find(&readings, "/system.slice/docker-1.scope").v2_id;
    let stat = top.join("system.slice/docker-1.scope/cpu.stat");
    let usage = |readings: &[CgroupReading]| {
        find(readings, "/system.slice/docker-1.scope")
            .cpu
            .unwrap()
            .usage
    };
    fs::write(&stat, "usage_usec 300000\n").unwrap();
    let (readings, _) = reader.read_active(Want::all(), &|v2, _| v2 == scope);
    assert_eq!(usage(&readings), Nanos(300_000_000));
    fs::write(&stat, "usage_usec 400000\n").unwrap();
    let asked = Cell::new(0);
    let nobody = |_, _| {
        asked.set(asked.get() + 1);
        false
    };
    let sweeps = (1..=STALE + 1)
        .find(|_| usage(&reader.read_active(Want::all(), &nobody).0) == Nanos(400_000_000));
    assert!(sweeps.is_some(), "never read again");
    assert!(asked.get() > 0);
}

#[test]
fn names_that_decode_alike_stay_two() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let top = v2_host(dir.path());
    for name in [b"x\xff", b"x\xfe"] {
        fs::create_dir(top.join(std::ffi::OsStr::from_bytes(name))).unwrap();
    }
    let mut reader = CgroupReader::open(&HostRoot::new(dir.path())).unwrap();
    let (readings, _) = reader.read(Want::cpu());
    let odd: Vec<&str> = readings
        .iter()
        .map(|r| &*r.path)
        .filter(|p| p.starts_with("/x"))
        .collect();
    assert_eq!(odd.len(), 2);
    assert_ne!(odd[0], odd[1]);
}

/// A cgroup of this machine, in every hierarchy that lets one be made; removed at the end.
struct LiveCgroup {
    dirs: Vec<PathBuf>,
    name: String,
}

impl LiveCgroup {
    fn make(mounts: &Mounts) -> LiveCgroup {
        let name = format!("dunnage-test-{}", std::process::id());
        let mut dirs: Vec<PathBuf> = Controller::ALL
            .into_iter()
            .filter_map(|controller| Some(mounts.of(controller)?.dir.join(&name)))
            .collect();
        dirs.dedup();
        dirs.retain(|dir| fs::create_dir(dir).is_ok());
        LiveCgroup {
            dirs,
            name: format!("/{name}"),
        }
    }
}

impl Drop for LiveCgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            let _ = fs::remove_dir(dir);
        }
    }
}

#[test]
fn a_cgroup_of_this_machine_lives_and_dies() {
    let Ok(mut reader) = CgroupReader::open(&HostRoot::default()) else {
        eprintln!("not run: this machine shows no cgroups");
        return;
    };
    let cgroup = LiveCgroup::make(reader.mounts());
    if cgroup.dirs.is_empty() {
        eprintln!("not run: this user may make no cgroup");
        return;
    }
    let (readings, _) = reader.read(Want::all());
    let root = find(&readings, "/");
    assert!(root.cpu.is_some_and(|cpu| cpu.usage > Nanos::ZERO));
    assert_eq!(root.cpu_limits.weight, None);
    let made = find(&readings, &cgroup.name);
    assert_eq!(made.processes, Some(0));
    assert!(made.v2_id.is_some() || made.v1_id.is_some());
    let name = cgroup.name.clone();
    // Trusting events, so that the removal is met by a kept descriptor and not by the walk.
    reader.trust_events(true);
    drop(cgroup);
    let (readings, _) = reader.read(Want::all());
    assert!(readings.iter().all(|reading| *reading.path != *name));
}
