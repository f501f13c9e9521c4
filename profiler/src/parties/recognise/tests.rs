//! Every captured path, those known from documents, and paths made to deceive.

use super::systemd::unescape;
use super::*;
use proptest::prelude::*;

const A: &str = "0f3a7e0bb0f3c5b2b5a3bb4d9fd3c1c9b0f7a8e6d5c4b3a291807f6e5d4c3b2a";
const B: &str = "11223344556677889900aabbccddeeff11223344556677889900aabbccddeeff";

fn seen(path: &str) -> Option<(Option<&'static str>, String, String)> {
    let found = recognise(path)?;
    Some((found.engine, found.id, path[..found.root_len].to_owned()))
}

#[test]
fn the_outermost_container_owns_what_it_makes_below_itself() {
    for inner in [
        format!("docker/{B}"),
        format!("system.slice/docker-{B}.scope"),
        format!("libpod-{B}.scope/container"),
        format!("kubepods/burstable/pod1f2e3d4c-5b6a-4788-9900-aabbccddeeff/{B}"),
        "lxc.payload.bank".to_owned(),
        "machine.slice/machine-bank.scope/payload".to_owned(),
        "system.slice/nginx.service".to_owned(),
        "user.slice/user-0.slice/user@0.service/x".to_owned(),
    ] {
        for (engine, root) in [
            (Some("docker"), format!("/docker/{A}")),
            (Some("docker"), format!("/system.slice/docker-{A}.scope")),
            (Some("podman"), format!("/machine.slice/libpod-{A}.scope")),
            (Some("lxc"), "/lxc.payload.lx1".to_owned()),
            (None, format!("/acme/{A}")),
        ] {
            let id = if engine == Some("lxc") { "lx1" } else { A };
            let found = seen(&format!("{root}/{inner}"));
            assert_eq!(found, Some((engine, id.to_owned(), root)), "{inner}");
        }
    }
}

#[test]
fn monitors_shims_and_the_like_are_no_containers() {
    for path in [
        format!("/machine.slice/libpod-conmon-{A}.scope"),
        format!("/kubepods.slice/kubepods-podaabbccdd.slice/crio-conmon-{A}.scope"),
        "/libpod_parent/conmon".to_owned(),
        format!("/libpod_parent/{A}"),
        "/lxc.monitor.lx1".to_owned(),
        "/system.slice/docker.service".to_owned(),
        "/system.slice/docker-deadbeef.scope".to_owned(),
        r"/machine.slice/machine-qemu\x2d1\x2dvm.scope".to_owned(),
        "/kubepods/burstable/podaabbccdd-0011".to_owned(),
        format!("/docker/{}", A.to_uppercase()),
        format!("/docker/{}", "é".repeat(32)),
        "/foo/lxc/bar".to_owned(),
        "/foo/garden/bar".to_owned(),
        "/".to_owned(),
        String::new(),
    ] {
        assert_eq!(seen(&path), None, "{path}");
    }
}

#[test]
fn crio_with_cgroupfs_and_libvirt_s_lxc() {
    let path = format!("/kubepods/besteffort/pod1f2e3d4c-5b6a-4788-9900-aabbccddeeff/crio-{A}");
    let found = recognise(&path).unwrap();
    assert_eq!((found.engine, found.id.as_str()), (Some("cri-o"), A));
    assert_eq!(
        found.pod_uid.as_deref(),
        Some("1f2e3d4c-5b6a-4788-9900-aabbccddeeff")
    );
    let path = r"/machine.slice/machine-lxc\x2d17\x2dold\x2dweb.scope/libvirt";
    let (engine, id, root) = seen(path).unwrap();
    assert_eq!((engine, id.as_str()), (Some("libvirt"), "old-web"));
    assert_eq!(
        root,
        r"/machine.slice/machine-lxc\x2d17\x2dold\x2dweb.scope"
    );
}

#[test]
fn units_are_the_outermost_below_a_users_manager() {
    for (path, root, name) in [
        (
            "/system.slice/evil.service/nginx.service",
            "/system.slice/evil.service",
            "evil.service",
        ),
        ("/init.scope", "/init.scope", "init.scope"),
        (
            "/user.slice/user-7.slice/user@7.service/app.slice/term.scope/x",
            "/user.slice/user-7.slice/user@7.service/app.slice/term.scope",
            "term.scope",
        ),
        (
            "/user.slice/user-7.slice/user@7.service",
            "/user.slice/user-7.slice/user@7.service",
            "user@7.service",
        ),
        (
            "/user.slice/user-7.slice/session-2.scope",
            "/user.slice/user-7.slice/session-2.scope",
            "session-2.scope",
        ),
        (
            r"/system.slice/my\x2dapp.service/a",
            r"/system.slice/my\x2dapp.service",
            "my-app.service",
        ),
    ] {
        let (end, found) = unit(path).unwrap();
        assert_eq!((&path[..end], found.as_str()), (root, name));
    }
    assert_eq!(unit("/a.slice/b"), None);
}

#[test]
fn escapes_and_slices() {
    assert_eq!(unescape(r"a\x2db\x2"), r"a-b\x2");
    assert_eq!(unescape(r"\x+f\xzz"), r"\x+f\xzz");
    assert_eq!(unescape(r"\x1b[2J"), "\u{1b}[2J");
    assert_eq!(
        slice_path("a-b.slice").as_deref(),
        Some("/a.slice/a-b.slice")
    );
    assert_eq!(slice_path("-.slice").as_deref(), Some(""));
    assert_eq!(slice_path("a--b.slice"), None);
    assert_eq!(slice_path("a"), None);
}

#[test]
fn only_a_managers_user_owns_names() {
    assert_eq!(owner("/user.slice/user-7.slice/user@7.service/x"), Some(7));
    assert_eq!(owner("/user.slice/user-0.slice/user@0.service/x"), None);
    assert_eq!(owner("/user.slice/user-7.slice/session-2.scope"), None);
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in any::<String>()) {
        check(&path);
    }

    #[test]
    fn no_path_of_likely_parts_makes_it_panic(parts in proptest::collection::vec(likely(), 0..8)) {
        check(&format!("/{}", parts.join("/")));
    }
}

fn check(path: &str) {
    if let Some(found) = recognise(path) {
        assert!(path.is_char_boundary(found.root_len) && found.root_len > 0);
        assert!(!found.id.is_empty());
        // The answer is the same for everything below the container.
        let below = format!("{}/docker/{A}", &path[..found.root_len]);
        assert_eq!(recognise(&below), Some(found));
    }
    if let Some((end, _)) = unit(path) {
        assert!(path.is_char_boundary(end));
    }
}

fn likely() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(A.to_owned()),
        Just(format!("docker-{A}.scope")),
        Just(format!("libpod-{A}")),
        Just(format!("x.slice:cri-containerd:{A}")),
        Just("kubepods.slice".to_owned()),
        Just("kubepods".to_owned()),
        Just("kubepods-pod1f2e3d4c_5b6a.slice".to_owned()),
        Just("pod1f2e3d4c-5b6a".to_owned()),
        Just("lxc".to_owned()),
        Just("..".to_owned()),
        Just("user@1000.service".to_owned()),
        "lxc\\.payload\\..{0,4}",
        "machine-.{0,6}\\.scope",
        "\\PC{0,8}",
    ]
}
