//! Tests of `users`.

use super::*;
use crate::device::{Device, Kind};
use proptest::prelude::*;
use std::fs::{self, File};
use std::os::unix::fs::symlink;

fn device(id: &str, nodes: &[(&str, Role, u32, u32)]) -> Device {
    let mut device = Device::new(id, "test", Kind::Other, "test");
    for (path, role, major, minor) in nodes {
        device.nodes.push(Node {
            path: path.into(),
            role: *role,
            block: false,
            major: *major,
            minor: *minor,
            access: None,
        });
    }
    device
}

fn inventory(devices: Vec<Device>) -> Inventory {
    Inventory {
        devices,
        gaps: Vec::new(),
    }
}

fn pids(users: &Users, id: &str) -> Vec<i32> {
    let users = users.by_device.get(id).into_iter().flatten();
    users.map(|user| user.pid).collect()
}

#[test]
fn an_open_node_is_found_by_its_number_whatever_its_name() {
    // The name is wrong on purpose: a container may call the node as it likes.
    let full = device("full", &[("/dev/elsewhere", Role::Own, 1, 7)]);
    let control = device("control", &[("/dev/full", Role::Control, 1, 7)]);
    let open = File::open("/dev/full").unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .stdin(open)
        .spawn()
        .unwrap();
    let its = i32::try_from(child.id()).unwrap();
    let found = users(
        &HostRoot::default(),
        &inventory(vec![full.clone(), control]),
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(pids(&found, "full").contains(&its), "{found:?}");
    assert!(!found.by_device.contains_key("control"));
    let user = found.by_device["full"].iter().find(|user| user.pid == its);
    assert!(user.is_some_and(|user| user.comm == "sleep" && user.cgroup.is_some()));
}

#[test]
fn a_tree_is_read_by_the_text_of_its_links() {
    let dir = tempfile::tempdir().unwrap();
    let process = dir.path().join("proc/42");
    fs::create_dir_all(process.join("fd")).unwrap();
    fs::create_dir_all(dir.path().join("proc/7/fd")).unwrap();
    fs::create_dir_all(dir.path().join("proc/self/fd")).unwrap();
    fs::write(process.join("comm"), "trainer\n").unwrap();
    fs::write(process.join("cgroup"), "3:cpu:/\n0::/docker/abc\n").unwrap();
    symlink("/dev/nvidia0", process.join("fd/5")).unwrap();
    symlink("/dev/nvidiactl", dir.path().join("proc/7/fd/5")).unwrap();
    let gpu = device(
        "gpu",
        &[
            ("/dev/nvidia0", Role::Own, 195, 0),
            ("/dev/nvidiactl", Role::Control, 195, 255),
        ],
    );
    let found = users(&HostRoot::new(dir.path()), &inventory(vec![gpu]));
    let expected = User {
        pid: 42,
        comm: "trainer".to_owned(),
        cgroup: Some("/docker/abc".to_owned()),
    };
    assert_eq!(found.by_device["gpu"], [expected]);
    assert!(found.gaps.is_empty(), "{:?}", found.gaps);
}

#[test]
fn a_node_of_the_whole_and_of_a_part_has_the_whole_as_its_user() {
    let whole = device("gpu", &[("/dev/nvidia0", Role::Own, 195, 0)]);
    let mut part = device(
        "mig",
        &[
            ("/dev/nvidia0", Role::Own, 195, 0),
            ("/dev/nvidia-caps/nvidia-cap21", Role::Own, 236, 21),
        ],
    );
    part.parent = Some("gpu".to_owned());
    let wanted = Wanted::of(&inventory(vec![part, whole]));
    assert_eq!(wanted.by_number[&(false, 195, 0)], ["gpu"]);
    assert_eq!(wanted.by_number[&(false, 236, 21)], ["mig"]);
}

#[test]
fn a_host_without_proc_has_a_gap_and_one_without_devices_none() {
    let dir = tempfile::tempdir().unwrap();
    let host = HostRoot::new(dir.path());
    let gpu = device("gpu", &[("/dev/nvidia0", Role::Own, 195, 0)]);
    assert_eq!(users(&host, &inventory(vec![gpu])).gaps.len(), 1);
    assert_eq!(users(&host, &inventory(Vec::new())), Users::default());
}

#[test]
fn the_cgroup_that_tells_most_is_taken() {
    let hybrid = "12:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n";
    assert_eq!(cgroup_path(hybrid).as_deref(), Some("/docker/abc"));
    let v2 = "1:name=systemd:/a/very/long/path/of/an/old/hierarchy\n0::/system.slice/x.service\n";
    assert_eq!(cgroup_path(v2).as_deref(), Some("/system.slice/x.service"));
    assert_eq!(cgroup_path("0::/a:b\n").as_deref(), Some("/a:b"));
    assert_eq!(cgroup_path("0::/\n").as_deref(), Some("/"));
    assert_eq!(cgroup_path("nonsense"), None);
}

proptest! {
    #[test]
    fn no_text_of_a_cgroup_file_panics(text in any::<String>()) {
        if let Some(path) = cgroup_path(&text) {
            prop_assert!(path.starts_with('/') && text.contains(&path));
        }
    }
}
