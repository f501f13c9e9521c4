//! State folders as runtimes leave them, and as an attacker would.

use super::reader::FILE_LIMIT;
use super::*;
use crate::host::HostRoot;
use crate::parties::{EngineKind, Parties, PartiesOptions, PartyLookup};
use std::fs;
use std::os::unix::fs::symlink;

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn open(root: &Path) -> Parties {
    let options = PartiesOptions {
        engines: false,
        ..PartiesOptions::default()
    };
    let parties = Parties::open(&HostRoot::new(root), &options);
    parties.settle(Duration::from_secs(5));
    parties
}

#[test]
fn mount_points_are_taken_off() {
    let below = below_mount;
    assert_eq!(
        below("", "/sys/fs/cgroup/acme/job1", false).as_deref(),
        Some("/acme/job1")
    );
    assert_eq!(
        below("cpu", "/sys/fs/cgroup/cpu,cpuacct/a/b", true).as_deref(),
        Some("/a/b")
    );
    assert_eq!(
        below("", "/sys/fs/cgroup/unified/a", true).as_deref(),
        Some("/a")
    );
    assert_eq!(below("cpu", "/sys/fs/cgroup/cpu", true), None);
    assert_eq!(below("cpu", "/etc/passwd", true), None);
}

#[test]
fn states_of_runc_crun_and_containerd_name_their_paths() {
    let root = tempfile::tempdir().unwrap();
    let state = r#"{"id":"x","cgroup_paths":{"cpu":"/sys/fs/cgroup/cpu/acme/job1",
        "memory":"/sys/fs/cgroup/memory/user.slice/job1"},"config":{"labels":["bundle=/b","a=b"]}}"#;
    write(root.path(), "run/runc/r1/state.json", state);
    let status = r#"{"pid":1,"cgroup-path":"/system.slice/crun-cr1.scope/container"}"#;
    write(root.path(), "run/crun/cr1/status", status);
    let task = "run/containerd/io.containerd.runtime.v2.task/test/ct1";
    let config = r#"{"linux":{"cgroupsPath":"/free text/ct1"},"annotations":{
        "io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-name":"web-0",
        "io.kubernetes.cri.container-name":"c1","io.kubernetes.cri.image-name":"bb:1"}}"#;
    write(root.path(), &format!("{task}/config.json"), config);
    write(root.path(), &format!("{task}/init.pid"), "77");
    write(
        root.path(),
        "proc/77/cgroup",
        "4:cpu:/outer/free text/ct1\n0::/\n",
    );

    let parties = open(root.path());
    let job = parties.of_cgroup("/acme/job1/below");
    assert_eq!(
        (job.name.as_str(), job.engine.as_deref()),
        ("r1", Some("runc"))
    );
    assert_eq!(job.labels.get("a").map(String::as_str), Some("b"));
    assert_eq!(parties.of_cgroup("/user.slice/job1").id, "r1");
    assert_eq!(
        parties
            .of_cgroup("/system.slice/crun-cr1.scope/container")
            .name,
        "cr1"
    );
    let ct = parties.of_cgroup("/outer/free text/ct1");
    assert_eq!(
        (ct.name.as_str(), ct.image.as_deref()),
        ("c1", Some("bb:1"))
    );
    assert_eq!(parties.of_cgroup("/").name, "/");
    assert!(parties.health().is_empty());

    // A container that starts later is found when the next window is about to be charged.
    assert_eq!(parties.of_cgroup("/acme/job2").id, "");
    write(
        root.path(),
        "run/runc/r2/state.json",
        &state.replace("job1", "job2"),
    );
    parties.settle(Duration::from_secs(5));
    assert_eq!(parties.of_cgroup("/acme/job2").id, "r2");
}

#[test]
fn what_is_still_being_written_is_looked_at_again() {
    for (text, is_whole) in [
        ("", false),
        (r#"{"id":"x","cgroup_pa"#, false),
        ("{}", true),
        // It will not get better.
        ("{]", true),
    ] {
        assert_eq!(whole(text.into()).is_ok(), is_whole, "{text:?}");
    }
}

#[test]
fn links_fifos_garbage_and_giants_cost_their_own_name_only() {
    let root = tempfile::tempdir().unwrap();
    let good = r#"{"cgroup_paths":{"":"/sys/fs/cgroup/acme/good"}}"#;
    write(root.path(), "run/runc/good/state.json", good);
    write(root.path(), "run/runc/garbage/state.json", "{]");
    write(
        root.path(),
        "run/runc/odd/state.json",
        r#"{"cgroup_paths":[1],"config":7}"#,
    );
    write(
        root.path(),
        "elsewhere/state.json",
        &good.replace("good", "linked"),
    );
    fs::create_dir_all(root.path().join("run/runc/link")).unwrap();
    let target = root.path().join("elsewhere/state.json");
    symlink(target, root.path().join("run/runc/link/state.json")).unwrap();
    symlink(
        root.path().join("elsewhere"),
        root.path().join("run/runc/folder"),
    )
    .unwrap();
    fs::create_dir_all(root.path().join("run/runc/fifo")).unwrap();
    let fifo = root.path().join("run/runc/fifo/state.json");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let giant = root.path().join("run/runc/giant/state.json");
    write(root.path(), "run/runc/giant/state.json", "");
    fs::File::create(giant)
        .unwrap()
        .set_len(FILE_LIMIT * 4)
        .unwrap();

    let parties = open(root.path());
    assert_eq!(parties.of_cgroup("/acme/good").id, "good");
    assert_eq!(parties.of_cgroup("/acme/linked").id, "");
}

#[test]
fn a_given_folder_comes_on_top() {
    let root = tempfile::tempdir().unwrap();
    let state = r#"{"cgroup_paths":{"":"/sys/fs/cgroup/acme/own"}}"#;
    write(root.path(), "srv/states/own/state.json", state);
    let sockets = Some(vec![(EngineKind::Runc, root.path().join("srv/states"))]);
    let options = PartiesOptions {
        sockets,
        ..PartiesOptions::default()
    };
    let parties = Parties::open(&HostRoot::new(root.path()), &options);
    parties.settle(Duration::from_secs(5));
    assert_eq!(parties.of_cgroup("/acme/own").id, "own");
}

#[test]
fn a_short_life_between_two_windows_leaves_a_name() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("run/runc")).unwrap();
    let parties = open(root.path());
    let state = r#"{"cgroup_paths":{"":"/sys/fs/cgroup/acme/flash"}}"#;
    write(root.path(), "run/runc/flash/state.json", state);
    std::thread::sleep(LOOK_AGAIN * 3);
    fs::remove_dir_all(root.path().join("run/runc/flash")).unwrap();
    parties.settle(Duration::from_secs(5));
    assert_eq!(parties.of_cgroup("/acme/flash").id, "flash");
}
