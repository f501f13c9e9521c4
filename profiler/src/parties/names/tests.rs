//! Whose word counts when several engines name one container, and for how long.

use super::*;

const A: &str = "0f3a7e0bb0f3c5b2b5a3bb4d9fd3c1c9b0f7a8e6d5c4b3a291807f6e5d4c3b2a";
const B: &str = "11223344556677889900aabbccddeeff11223344556677889900aabbccddeeff";

fn known(id: &str, name: &str) -> Known {
    Known {
        key: id.to_owned(),
        id: id.to_owned(),
        engine: Some("docker".to_owned()),
        name: Some(name.to_owned()),
        image: Some("shop/web:1.4".to_owned()),
        ..Known::default()
    }
}

fn pod() -> Pod {
    Pod {
        namespace: Some("shop".to_owned()),
        name: Some("web-0".to_owned()),
        container: Some("c1".to_owned()),
        uid: None,
    }
}

#[test]
fn names_arrive_change_and_stay_for_a_while() {
    let mut names = Names::default();
    let docker = names.add_source(EngineKind::Docker, None);
    let path = format!("/docker/{A}");
    let start = Instant::now();
    assert_eq!(names.party(&path).name, "0f3a7e0bb0f3");
    assert!(names.is_unknown(&path));

    assert!(names.replace(docker, vec![known(A, "web")], start));
    let party = names.party(&format!("{path}/docker/{B}"));
    assert_eq!(
        (party.name.as_str(), party.cgroup.as_deref()),
        ("web", Some(path.as_str()))
    );
    assert_eq!(party.image.as_deref(), Some("shop/web:1.4"));
    assert!(
        !names.replace(docker, vec![known(A, "web")], start),
        "nothing has changed"
    );

    assert!(names.rename(docker, A, "web2"));
    assert_eq!(names.party(&path).name, "web2");

    names.leave(docker, A, start);
    assert_eq!(names.count(docker), 0);
    names.put(docker, known(B, "other"), start + Duration::from_secs(120));
    assert_eq!(names.party(&path).name, "web2");
    names.put(
        docker,
        known(B, "other2"),
        start + KEEP_GONE + Duration::from_secs(1),
    );
    assert_eq!(names.party(&path).name, "0f3a7e0bb0f3");
}

#[test]
fn only_so_many_that_are_gone_are_kept() {
    let mut names = Names::default();
    let docker = names.add_source(EngineKind::Docker, None);
    let now = Instant::now();
    for i in 0..MOST_GONE + 100 {
        let id = format!("{i:064x}");
        names.put(docker, known(&id, "x"), now);
        names.leave(docker, &id, now);
    }
    names.put(docker, known(A, "web"), now);
    assert_eq!(names.sources[0].entries.len(), MOST_GONE + 1);
    assert!(!names.has(docker, &format!("{:064x}", 99)));
    assert!(names.has(docker, &format!("{:064x}", 100)));
    // One that came back is not thrown out with its old line.
    names.leave(docker, A, now);
    names.put(docker, known(A, "again"), now);
    names.put(docker, known(B, "x"), now + KEEP_GONE * 2);
    assert_eq!(names.party(&format!("/docker/{A}")).name, "again");
}

#[test]
fn nobody_takes_the_name_of_somebody_elses_container() {
    let mut names = Names::default();
    let docker = names.add_source(EngineKind::Docker, None);
    let rootless = names.add_source(EngineKind::Docker, Some(1000));
    let now = Instant::now();
    names.replace(docker, vec![known(A, "bank")], now);
    names.replace(rootless, vec![known(A, "liar"), known(B, "mine")], now);
    let users = "/user.slice/user-1000.slice/user@1000.service/user.slice";
    // What a user says is heard about his own cgroups only, and what root's say is not heard there.
    assert_eq!(names.party(&format!("/docker/{A}")).name, "bank");
    assert_eq!(names.party(&format!("/docker/{B}")).name, "112233445566");
    assert_eq!(
        names.party(&format!("{users}/docker-{A}.scope")).name,
        "liar"
    );
    assert_eq!(
        names.party(&format!("{users}/docker-{B}.scope")).name,
        "mine"
    );
    let other = users.replace("1000", "1001");
    assert_eq!(
        names.party(&format!("{other}/docker-{A}.scope")).name,
        "0f3a7e0bb0f3"
    );
    // A container cannot slip away from its name with a folder called like a user's manager.
    let below = format!("/docker/{A}/user.slice/user-1000.slice/user@1000.service");
    assert_eq!(names.party(&below).name, "bank");
}

#[test]
fn free_paths_are_known_by_what_the_runtime_says() {
    let mut names = Names::default();
    let containerd = names.add_source(EngineKind::Containerd, None);
    let state = names.add_source(EngineKind::Runc, None);
    let now = Instant::now();
    let ct = |key: &str, path: &str, image: &str| Known {
        key: key.to_owned(),
        id: "ct1".to_owned(),
        engine: Some("containerd".to_owned()),
        image: Some(image.to_owned()),
        cgroups: vec![path.to_owned()],
        ..Known::default()
    };
    let all = vec![ct("a/ct1", "/a/ct1", "one"), ct("b/ct1", "/b/ct1", "two")];
    names.replace(containerd, all, now);
    let job = Known {
        id: "r1".to_owned(),
        ..ct("/run/runc/r1", "/acme/job1", "")
    };
    names.replace(
        state,
        vec![Known {
            engine: Some("runc".to_owned()),
            ..job
        }],
        now,
    );
    let one = names.party("/a/ct1/below");
    assert_eq!(
        (one.name.as_str(), one.image.as_deref()),
        ("ct1", Some("one"))
    );
    assert_eq!(one.cgroup.as_deref(), Some("/a/ct1"));
    assert_eq!(names.party("/b/ct1").image.as_deref(), Some("two"));
    let runc = names.party(&format!("/acme/job1/docker/{A}"));
    assert_eq!(
        (runc.name.as_str(), runc.engine.as_deref()),
        ("r1", Some("runc"))
    );
    // Neither the parent nor somebody with the same beginning is the container.
    assert_eq!(names.party("/acme").kind, PartyKind::Service);
    assert_eq!(names.party("/acme/job11").kind, PartyKind::Service);
    // An id that people choose decides nothing elsewhere.
    assert_eq!(
        names.party("/lxc.payload.ct1").engine.as_deref(),
        Some("lxc")
    );
    assert_eq!(names.party("/lxc.payload.ct1").image, None);
}

#[test]
fn a_pod_is_believed_in_a_pods_cgroup_only() {
    let mut names = Names::default();
    let docker = names.add_source(EngineKind::Docker, None);
    let cri = names.add_source(EngineKind::Cri, None);
    let now = Instant::now();
    let labelled = |id: &str| Known {
        pod: Some(pod()),
        ..known(id, "k8s_c1_web-0")
    };
    names.replace(docker, vec![labelled(A), labelled(B)], now);
    let uid = "1f2e3d4c-5b6a-4788-9900-aabbccddeeff";
    let party = names.party(&format!("/kubepods/besteffort/pod{uid}/{A}"));
    assert_eq!(
        party.pod,
        Some(Pod {
            uid: Some(uid.to_owned()),
            ..pod()
        })
    );
    assert_eq!(names.party(&format!("/docker/{A}")).pod, None);
    // The kubelet's runtime is believed before docker, but a digest is no better than a reference.
    let told = Known {
        image: Some("sha256:de64".to_owned()),
        engine: Some("containerd".to_owned()),
        ..known(B, "c1")
    };
    names.replace(cri, vec![told], now);
    let party = names.party(&format!("/kubepods/pod{uid}/{B}"));
    assert_eq!(
        (party.name.as_str(), party.engine.as_deref()),
        ("c1", Some("containerd"))
    );
    assert_eq!(party.image.as_deref(), Some("shop/web:1.4"));
}

#[test]
fn hostile_services_keep_their_text_and_a_bounded_length() {
    let names = Names::default();
    let party = names.party("/\u{1b}[2J\nx");
    assert_eq!(
        (party.name.as_str(), party.kind),
        ("/\u{1b}[2J\nx", PartyKind::Service)
    );
    let long = format!("/{}", "ä".repeat(5000));
    assert_eq!(names.party(&long).name.chars().count(), 256);
    assert_eq!(names.party("").key.as_ref(), "/");
    assert_eq!(names.party("/").name, "/");
    assert_eq!(names.party("/system.slice").name, "system.slice");
}

#[test]
fn a_container_that_an_engine_has_is_found_by_name_and_id_until_it_is_removed() {
    let mut names = Names::default();
    let now = Instant::now();
    let docker = names.add_source(EngineKind::Docker, None);
    names.replace(docker, vec![known(A, "web")], now);
    let found = Some(("docker", A[..12].to_owned()));
    for name in ["web", A, &A[..12]] {
        assert_eq!(names.kept(name), found, "{name}");
    }
    assert_eq!(names.kept("we"), None);
    names.leave(docker, A, now);
    assert_eq!(names.kept("web"), None);
}
