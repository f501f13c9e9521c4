//! Tests of `events`.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Far more than any event needs; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nothing is expected: what is not there after this was not told.
const QUIET: Duration = Duration::from_millis(50);

struct Tree {
    dir: tempfile::TempDir,
    events: Events,
}

impl Tree {
    /// A tree with these folders, watched.
    fn new(folders: &[&str], extra: &[&str]) -> Tree {
        let dir = tempfile::tempdir().unwrap();
        for folder in folders {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let extra: Vec<PathBuf> = extra.iter().map(PathBuf::from).collect();
        let events = Events::open(&HostRoot::new(dir.path()), &extra).unwrap();
        assert!(events.gaps().is_empty(), "{:?}", events.gaps());
        Tree { dir, events }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Waits until a change names `path`, and then until it is quiet.
    fn expect(&mut self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while !seen.iter().any(|what| what == path) {
            let left = deadline.saturating_duration_since(Instant::now());
            let change = self.events.wait(Some(left)).unwrap();
            assert!(!change.timed_out, "{path} was not told, only {seen:?}");
            assert!(!change.overflow);
            seen.extend(change.what);
        }
        while !self.events.wait(Some(QUIET)).unwrap().timed_out {}
    }

    fn expect_nothing(&mut self) {
        let change = self.events.wait(Some(QUIET)).unwrap();
        assert!(change.timed_out, "{change:?}");
    }
}

#[test]
fn a_tree_of_files_tells_of_devices_that_come_and_go() {
    let mut tree = Tree::new(&["dev", "sys/bus/pci/devices"], &[]);
    tree.expect_nothing();
    fs::create_dir(tree.path("dev/dri")).unwrap();
    tree.expect("/dev/dri");
    fs::write(tree.path("dev/dri/renderD128"), "").unwrap();
    tree.expect("/dev/dri/renderD128");
    fs::create_dir(tree.path("dev/dri/by-path")).unwrap();
    tree.expect("/dev/dri/by-path");
    symlink("../renderD128", tree.path("dev/dri/by-path/pci-1-render")).unwrap();
    tree.expect("/dev/dri/by-path/pci-1-render");
    let function = "sys/bus/pci/devices/0000:65:00.0";
    fs::create_dir(tree.path(function)).unwrap();
    fs::write(tree.path(function).join("vendor"), "0x10de\n").unwrap();
    tree.expect("/sys/bus/pci/devices/0000:65:00.0");
    fs::write(tree.path(function).join("vendor"), "0x1002\n").unwrap();
    tree.expect("/sys/bus/pci/devices/0000:65:00.0/vendor");
    fs::remove_dir_all(tree.path("dev/dri")).unwrap();
    tree.expect("/dev/dri");
}

#[test]
fn a_whole_folder_that_appears_at_once_is_watched_to_its_depth() {
    let mut tree = Tree::new(&["dev"], &[]);
    fs::create_dir_all(tree.path("prepared/class/accel")).unwrap();
    fs::rename(tree.path("prepared"), tree.path("sys")).unwrap();
    tree.expect("/sys");
    fs::create_dir(tree.path("sys/class/accel/accel0")).unwrap();
    tree.expect("/sys/class/accel/accel0");
}

#[test]
fn terminals_and_unrelated_files_wake_nobody() {
    let mut tree = Tree::new(&["dev", "etc", "usr/lib/x86_64-linux-gnu"], &[]);
    fs::write(tree.path("dev/tty99"), "").unwrap();
    fs::write(tree.path("etc/passwd"), "").unwrap();
    fs::write(tree.path("usr/lib/x86_64-linux-gnu/libz.so.1"), "").unwrap();
    tree.expect_nothing();
    fs::write(tree.path("usr/lib/x86_64-linux-gnu/libcuda.so.580.1"), "").unwrap();
    tree.expect("/usr/lib/x86_64-linux-gnu/libcuda.so.580.1");
    fs::write(tree.path("etc/ld.so.cache~"), "").unwrap();
    fs::rename(tree.path("etc/ld.so.cache~"), tree.path("etc/ld.so.cache")).unwrap();
    tree.expect("/etc/ld.so.cache");
}

#[test]
fn a_file_is_watched_before_it_and_its_folders_exist() {
    let mut tree = Tree::new(&["opt"], &["/opt/driver/lib/libgpu.so.1"]);
    fs::create_dir_all(tree.path("opt/driver/lib")).unwrap();
    tree.expect("/opt/driver");
    fs::write(tree.path("opt/driver/lib/libgpu.so.1"), "one").unwrap();
    tree.expect("/opt/driver/lib/libgpu.so.1");
    fs::write(tree.path("opt/driver/lib/libgpu.so.1"), "two").unwrap();
    tree.expect("/opt/driver/lib/libgpu.so.1");
    fs::remove_file(tree.path("opt/driver/lib/libgpu.so.1")).unwrap();
    tree.expect("/opt/driver/lib/libgpu.so.1");
}

#[test]
fn a_link_that_is_turned_and_a_folder_that_is_swapped_are_seen() {
    let mut tree = Tree::new(
        &["opt/v1/lib", "opt/v2/lib"],
        &["/opt/current/lib/libgpu.so"],
    );
    fs::write(tree.path("opt/v2/lib/libgpu.so"), "two").unwrap();
    symlink("v1", tree.path("opt/current")).unwrap();
    tree.expect("/opt/current");
    fs::write(tree.path("opt/v1/lib/libgpu.so"), "one").unwrap();
    tree.expect("/opt/v1/lib/libgpu.so");
    symlink("v2", tree.path("opt/next")).unwrap();
    fs::rename(tree.path("opt/next"), tree.path("opt/current")).unwrap();
    tree.expect("/opt/current");
    fs::write(tree.path("opt/v2/lib/libgpu.so"), "three").unwrap();
    tree.expect("/opt/v2/lib/libgpu.so");
    // What the link led to before is of no interest any more.
    fs::write(tree.path("opt/v1/lib/libgpu.so"), "four").unwrap();
    tree.expect_nothing();
    fs::rename(tree.path("opt/v2"), tree.path("opt/old")).unwrap();
    tree.expect("/opt/v2");
}

#[test]
fn other_files_can_be_watched_instead() {
    let mut tree = Tree::new(&["a", "b"], &["/a/one"]);
    tree.events.watch_instead(&["/b/two".into()]);
    fs::write(tree.path("a/one"), "").unwrap();
    tree.expect_nothing();
    fs::write(tree.path("b/two"), "").unwrap();
    tree.expect("/b/two");
}

#[test]
fn links_in_circles_and_out_of_the_root_end() {
    let mut tree = Tree::new(&["dev"], &["/loop/x", "/out/passwd"]);
    symlink("loop", tree.path("loop")).unwrap();
    symlink("../../../../etc", tree.path("out")).unwrap();
    tree.expect("/out");
    fs::create_dir(tree.path("etc")).unwrap();
    tree.expect("/etc");
    fs::write(tree.path("etc/passwd"), "").unwrap();
    tree.expect("/etc/passwd");
}

#[test]
fn more_than_the_kernel_keeps_is_an_overflow() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 100_000 {
        eprintln!("not tried: {limit} events fit into the queue");
        return;
    }
    let mut tree = Tree::new(&["dev"], &[]);
    // Two names in turn: equal events one after the other are merged by the kernel.
    for i in 0..=limit {
        fs::write(tree.path(if i % 2 == 0 { "dev/a" } else { "dev/b" }), "").unwrap();
        fs::remove_file(tree.path(if i % 2 == 0 { "dev/a" } else { "dev/b" })).unwrap();
    }
    let change = tree.events.wait(Some(PATIENCE)).unwrap();
    assert!(change.overflow, "{change:?}");
    fs::write(tree.path("dev/after"), "").unwrap();
    tree.expect("/dev/after");
}

#[test]
fn what_a_change_names_is_bounded() {
    let mut heard = Heard::default();
    for i in 0..1000 {
        heard.note(format!("/dev/{i}"));
    }
    let change = heard.into_change();
    assert_eq!(change.what.len(), NAMED_LIMIT + 1);
    assert_eq!(change.what.last().unwrap(), "and more");
}

#[test]
fn the_kernels_own_events_are_heard() {
    let trigger = Path::new("/sys/class/mem/null/uevent");
    if fs::OpenOptions::new().write(true).open(trigger).is_err() {
        eprintln!("not tried: {} may not be written to", trigger.display());
        return;
    }
    let mut events = Events::open(&HostRoot::default(), &[]).unwrap();
    assert!(events.gaps().is_empty(), "{:?}", events.gaps());
    let started = Instant::now();
    fs::write(trigger, "change").unwrap();
    loop {
        let change = events.wait(Some(PATIENCE)).unwrap();
        assert!(!change.timed_out, "the kernel's event was not told");
        if change
            .what
            .iter()
            .any(|what| what.contains("virtual/mem/null"))
        {
            break;
        }
    }
    eprintln!("told after {:?}", started.elapsed());
}
