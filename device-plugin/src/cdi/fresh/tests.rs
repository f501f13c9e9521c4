//! Tests of `fresh`.

use super::*;
use crate::cdi::spec::{ContainerEdits, SpecDevice, SpecMount};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Far more than one swap needs; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const SWAPS: usize = 50;

/// A driver of three libraries; `/driver/current` leads to the version that is installed.
fn install(root: &Path, version: &str) {
    let folder = root.join("driver").join(version);
    fs::create_dir_all(&folder).unwrap();
    for name in ["libcuda", "libnvidia-ml", "libnvidia-ptxjitcompiler"] {
        fs::write(folder.join(format!("{name}.so.{version}")), version).unwrap();
    }
    let next = root.join("driver/next");
    symlink(version, &next).unwrap();
    fs::rename(&next, root.join("driver/current")).unwrap();
}

/// Where an installation shows.
fn installed() -> Vec<PathBuf> {
    vec!["/driver/current".into(), "/driver".into()]
}

/// The specification of what is installed; nothing where the driver is half gone.
fn make(host: &HostRoot) -> (Vec<Spec>, Vec<Gap>) {
    let specs = (|| {
        let folder = host.locate("/driver/current").ok()?.path;
        let (names, _) = host.entries(&folder, 100).ok()?;
        let mount = |name: &std::ffi::OsString| SpecMount {
            host_path: folder.join(name),
            container_path: Path::new("/usr/lib").join(name),
            options: vec!["ro".to_owned()],
        };
        let edits = ContainerEdits {
            mounts: names.iter().map(mount).collect(),
            ..ContainerEdits::default()
        };
        let device = SpecDevice {
            name: "0".to_owned(),
            container_edits: ContainerEdits {
                env: vec![format!("PADDING={}", "x".repeat(100_000))],
                ..ContainerEdits::default()
            },
        };
        (names.len() == 3).then(|| vec![Spec::new("test.com/gpu".to_owned(), vec![device], edits)])
    })();
    (specs.unwrap_or_default(), Vec::new())
}

/// What a reader saw who reads all the time.
#[derive(Default)]
struct Seen {
    read: AtomicUsize,
    half: AtomicUsize,
    stop: AtomicBool,
}

fn read_all(folder: &Path) -> (usize, usize) {
    let (mut read, mut half) = (0, 0);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_none_or(|ending| ending != "json" && ending != "yaml")
        {
            continue;
        }
        // Taken back between the listing and the reading.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        read += 1;
        half += usize::from(serde_json::from_str::<Spec>(&text).is_err());
    }
    (read, half)
}

#[test]
fn fifty_swaps_of_a_driver_leave_no_half_and_no_stale_file() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let folder = root.join("run/cdi");
    install(root, "1");
    let seen = Seen::default();
    let worst = thread::scope(|scope| {
        scope.spawn(|| {
            let host = HostRoot::new(root);
            let mut keeper = Keeper::open(&host, &folder, installed(), || make(&host)).unwrap();
            keeper.refresh().unwrap();
            while !seen.stop.load(Ordering::Relaxed) {
                keeper.wait().unwrap();
            }
        });
        scope.spawn(|| {
            while !seen.stop.load(Ordering::Relaxed) {
                let (read, half) = read_all(&folder);
                seen.read.fetch_add(read, Ordering::Relaxed);
                seen.half.fetch_add(half, Ordering::Relaxed);
            }
        });
        let swapped = std::panic::catch_unwind(|| swap_all(root, &folder));
        seen.stop.store(true, Ordering::Relaxed);
        // Wakes the keeper, so that it sees that it shall stop.
        fs::remove_file(root.join("driver/current")).unwrap();
        swapped
    });
    let worst = worst.unwrap();
    let read = seen.read.load(Ordering::Relaxed);
    eprintln!("{SWAPS} swaps: at most {worst:?} to the right file, {read} files read meanwhile");
    assert!(read > SWAPS);
    assert_eq!(seen.half.load(Ordering::Relaxed), 0);
}

/// Swaps the driver again and again; the longest time from a swap to the right file.
fn swap_all(root: &Path, folder: &Path) -> Duration {
    let file = folder.join("dunnage-test.com-gpu.json");
    let mut worst = Duration::ZERO;
    wait_for(&file, "/driver/1/");
    for swap in 2..SWAPS + 2 {
        let started = Instant::now();
        let old = root.join("driver").join((swap - 1).to_string());
        if swap % 2 == 0 {
            install(root, &swap.to_string());
            fs::remove_dir_all(old).unwrap();
        } else {
            // As an uninstaller does: first all is gone, and then it comes anew.
            fs::remove_dir_all(old).unwrap();
            install(root, &swap.to_string());
        }
        wait_for(&file, &format!("/driver/{swap}/"));
        worst = worst.max(started.elapsed());
    }
    worst
}

/// Waits until the file names three libraries below `path`, and nothing else.
fn wait_for(file: &Path, path: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        let spec = serde_json::from_str::<Spec>(&text).ok();
        let paths = spec.map(|spec| spec.referenced_paths()).unwrap_or_default();
        if paths.len() == 3 && paths.iter().all(|p| p.to_string_lossy().starts_with(path)) {
            return;
        }
        assert!(Instant::now() < deadline, "{path} is not named: {paths:?}");
        thread::yield_now();
    }
}

#[test]
fn what_is_gone_is_taken_back_before_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    install(dir.path(), "1");
    let host = HostRoot::new(dir.path());
    let folder = dir.path().join("cdi");
    let mut scans = 0;
    let mut keeper = Keeper::open(&host, &folder, installed(), || {
        scans += 1;
        // The file must be gone by the time of any scan but the first.
        let stale = folder.join("dunnage-test.com-gpu.json").exists();
        assert!(scans == 1 || !stale, "scan {scans} found the stale file");
        make(&host)
    })
    .unwrap();
    assert_eq!(keeper.refresh().unwrap().report.written.len(), 1);
    fs::remove_dir_all(dir.path().join("driver/1")).unwrap();
    let mut withdrawn = Vec::new();
    while withdrawn.is_empty() {
        withdrawn = keeper.wait().unwrap().withdrawn;
    }
    assert_eq!(withdrawn, ["dunnage-test.com-gpu.json"]);
    assert!(fs::read_dir(&folder).unwrap().next().is_none());
}

#[test]
fn a_file_that_somebody_removed_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    install(dir.path(), "1");
    let host = HostRoot::new(dir.path());
    let folder = dir.path().join("run/cdi");
    let watched = vec![PathBuf::from("/run/cdi")];
    let mut keeper = Keeper::open(&host, &folder, watched, || make(&host)).unwrap();
    keeper.refresh().unwrap();
    fs::remove_file(folder.join("dunnage-test.com-gpu.json")).unwrap();
    let mut written = Vec::new();
    while written.is_empty() {
        written = keeper.wait().unwrap().report.written;
    }
    assert!(folder.join("dunnage-test.com-gpu.json").exists());
}

#[test]
fn a_folder_that_cannot_be_used_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    install(dir.path(), "1");
    let host = HostRoot::new(dir.path());
    let folder = dir.path().join("cdi");
    let mut keeper = Keeper::open(&host, &folder, installed(), || make(&host)).unwrap();
    keeper.refresh().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    install(dir.path(), "2");
    let mut failed = 0;
    while failed == 0 {
        failed = keeper.wait().unwrap().report.failed.len();
    }
    assert_eq!(keeper.retry, Some(RETRY));
    fs::remove_file(&folder).unwrap();
    let mut written = Vec::new();
    while written.is_empty() {
        written = keeper.wait().unwrap().report.written;
    }
    assert_eq!(keeper.retry, None);
}
