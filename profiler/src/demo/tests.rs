//! The demo for real: cgroups, loads and clean-up on this host. Without the right to make cgroups
//! these tests say so and pass.

use super::*;
use crate::own_cgroups::{Hierarchy, hierarchies};
use std::path::Path;
use std::process::Command;

const ROLE: &str = "DUNNAGE_TEST_DEMO_ROLE";

/// The children of these tests are this test program once more, at this test.
#[test]
fn as_child() {
    if let Ok(role) = std::env::var(ROLE) {
        load(&role, 20).unwrap();
    }
}

fn launcher(role: &str, _seconds: u64) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args([
        "--exact",
        "demo::tests::as_child",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env(ROLE, role);
    command
}

fn may_make_cgroups() -> bool {
    let allowed = nix::unistd::geteuid().is_root() && !mounted().is_empty();
    if !allowed {
        eprintln!("skipped: cgroups can be made by root alone, where they are mounted");
    }
    allowed
}

fn mounted() -> Vec<Hierarchy> {
    let read = |path| fs::read_to_string(path).unwrap();
    hierarchies(
        &read("/proc/self/mountinfo"),
        &read("/proc/self/cgroup"),
        &cgroups::MATTER,
    )
}

/// Folders of demos that process `pid` made.
fn left_by(pid: u32) -> Vec<PathBuf> {
    let name = format!("{}{pid}", cgroups::PREFIX);
    mounted()
        .iter()
        .map(|h| h.mount.join(&name))
        .filter(|path| path.exists())
        .collect()
}

/// A folder's name holds this process's id, so these tests take turns.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn the_truth_is_measured_and_nothing_stays() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !may_make_cgroups() {
        return;
    }
    let options = DemoOptions {
        alone: Duration::from_millis(700),
        together: Duration::from_millis(1500),
    };
    let mut inside = Vec::new();
    let mut observe = |folder: &str, length: Duration| {
        thread::sleep(length);
        inside = left_by(std::process::id());
        let (_, mut seen) = sample::right(folder);
        seen.window.waits = None;
        Ok(seen)
    };
    let outcome = play_with(
        &launcher,
        &options,
        &|| false,
        &mut observe,
        &mut io::sink(),
    )
    .unwrap();
    let truth = &outcome.truth;
    assert!(outcome.right, "{:?}", outcome.checks);
    assert!(!inside.is_empty());
    assert!(
        truth.alone.requests >= 10 && truth.beside.requests >= 10,
        "{truth:?}"
    );
    assert!(
        truth.beside.lost_seconds / truth.beside.seconds > 0.1,
        "{truth:?}"
    );
    assert!(truth.culprit.cpu_seconds > 0.2, "{truth:?}");
    assert_eq!(left_by(std::process::id()), [] as [PathBuf; 0]);
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !may_make_cgroups() {
        return;
    }
    let begun = Instant::now();
    let stopped = || begun.elapsed() > Duration::from_millis(600);
    let error = play_with(
        &launcher,
        &DemoOptions::default(),
        &stopped,
        &mut |_, _| unreachable!("stopped before"),
        &mut io::sink(),
    )
    .unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(DemoError::Interrupted)),
        "{error}"
    );
    assert_eq!(left_by(std::process::id()), [] as [PathBuf; 0]);
}

#[test]
fn a_panic_leaves_nothing() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !may_make_cgroups() {
        return;
    }
    let options = DemoOptions {
        alone: Duration::ZERO,
        together: Duration::ZERO,
    };
    let played = std::panic::catch_unwind(|| {
        play_with(
            &launcher,
            &options,
            &|| false,
            &mut |_, _| panic!("meant"),
            &mut io::sink(),
        )
    });
    assert!(played.is_err());
    assert_eq!(left_by(std::process::id()), [] as [PathBuf; 0]);
}

/// The demo that the next test kills.
#[test]
fn as_demo() {
    if std::env::var(ROLE).as_deref() == Ok("demo") {
        let options = DemoOptions {
            alone: Duration::from_secs(10),
            ..DemoOptions::default()
        };
        let played = play_with(
            &launcher,
            &options,
            &|| false,
            &mut |_, _| Err(anyhow::anyhow!("not reached")),
            &mut io::sink(),
        );
        eprintln!("the demo ended: {:?}", played.map(|_| ()));
    }
}

#[test]
fn a_killed_demo_is_cleaned_up_behind() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !may_make_cgroups() {
        return;
    }
    let mut demo = Command::new("/proc/self/exe")
        .args([
            "--exact",
            "demo::tests::as_demo",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, "demo")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = demo.id();
    let wait_until = |wanted: bool| {
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end && left_by(pid).is_empty() == wanted {
            thread::sleep(Duration::from_millis(20));
        }
        left_by(pid)
    };
    let victim = |folders: &[PathBuf]| {
        let procs = |f: &PathBuf| fs::read_to_string(f.join("victim/cgroup.procs"));
        folders
            .iter()
            .filter_map(|f| procs(f).ok()?.trim().parse::<u32>().ok())
            .next()
    };
    wait_until(true);
    let end = Instant::now() + Duration::from_secs(8);
    let child = loop {
        if let Some(child) = victim(&left_by(pid)) {
            break child;
        }
        assert!(
            Instant::now() < end,
            "the victim never came to sit in its cgroup"
        );
        thread::sleep(Duration::from_millis(20));
    };
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert_eq!(wait_until(false), [] as [PathBuf; 0]);
    assert!(
        !Path::new("/proc")
            .join(child.to_string())
            .join("exe")
            .exists()
    );
}

#[test]
fn what_a_dead_demo_left_is_removed_by_the_next() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !may_make_cgroups() {
        return;
    }
    // No process can have this id: the kernel's highest is 4,194,304.
    let folder = format!("{}4999999", cgroups::PREFIX);
    let hierarchies = mounted();
    for hierarchy in &hierarchies {
        fs::create_dir_all(hierarchy.mount.join(&folder).join("culprit")).unwrap();
    }
    assert!(cleanup::remove_stale(&hierarchies) > 0);
    assert_eq!(left_by(4_999_999), [] as [PathBuf; 0]);
}
