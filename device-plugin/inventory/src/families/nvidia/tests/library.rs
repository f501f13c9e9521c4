//! Both ways together: the files of a machine, and what a library says of it.

use super::*;
use crate::device::Peer;
use crate::families::nvidia::{files, merge};
use nvml::tests::{ask, build};
use nvml::{Answer, Failure, Gpu, Refusal};
use proptest::prelude::*;
use std::time::Duration;

/// The A100 machine's files, with what a stand-in for NVML says of it.
fn merged(behaviour: &str) -> Found {
    let dir = tempfile::tempdir().unwrap();
    let answer = ask(&build(dir.path(), behaviour), Duration::from_secs(30));
    let host = fixture("eight-a100-mig");
    merge(&host, &files::read(&host), Some(&answer))
}

#[test]
fn both_ways_make_one_device() {
    let found = merged("GOOD");
    let [whole, first, second, other, missing, ..] = found.devices.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(whole.id, "GPU-5269b708-678a-b1a8-60f0-c90406537486");
    assert_eq!(whole.memory.map(|memory| memory.0), Some(80 << 30));
    assert_eq!(whole.attributes["cuda.capability"], "8.0");
    assert_eq!(whole.attributes["cuda.driver"], "13.0");
    assert_eq!(
        (whole.health.clone(), whole.shares),
        (Health::Healthy, Shares::UpTo(0))
    );
    assert_eq!(whole.peers.len(), 1);
    assert_eq!(
        (
            whole.peers[0].id.as_str(),
            whole.peers[0].over,
            whole.peers[0].links
        ),
        (other.id.as_str(), "nvlink", 4)
    );
    // NVML's instances, not those of the files: the files were taken at another time.
    assert_eq!(first.id, "MIG-11111111-0000-5000-8000-000000000001");
    assert_eq!(first.aliases, ["0:0", "gpu0/gi2/ci0"]);
    assert_eq!(first.attributes["mig.profile"], "3g.40gb");
    assert_eq!(
        paths(&first.nodes, Role::Own),
        [
            "/dev/nvidia-caps/nvidia-cap21",
            "/dev/nvidia-caps/nvidia-cap22"
        ]
    );
    assert_eq!(second.aliases[0], "0:2");
    assert_eq!(second.attributes["mig.profile"], "1g.10gb+gfx");
    assert_eq!(second.attributes["mig.index"], "2");
    assert_eq!(
        (&other.aliases[0], other.shares),
        (&"1".to_owned(), Shares::One)
    );
    // The machine has six more, of which the library knows nothing.
    unhealthy(missing, "NVML does not list it");
    assert!(missing.nodes.iter().any(|node| node.role == Role::Own));
}

#[test]
fn a_library_that_fails_leaves_what_the_kernel_tells() {
    for (behaviour, health) in [
        ("CRASH", "unknown"),
        ("NOT_LOADED", "unhealthy"),
        ("MISMATCH", "unhealthy"),
    ] {
        let found = merged(behaviour);
        assert_eq!(
            (found.devices.len(), found.gaps.len()),
            (10, 1),
            "{behaviour}"
        );
        let is = match &found.devices[0].health {
            Health::Healthy => "healthy",
            Health::Unhealthy(_) => "unhealthy",
            Health::Unknown(_) => "unknown",
        };
        assert_eq!(is, health, "{behaviour}");
        assert_eq!(found.devices[0].aliases[0], "0");
    }
    let host = fixture("eight-a100-mig");
    let none = Err(Failure::Refused(Refusal::NotFound(
        "no such file".to_owned(),
    )));
    let found = merge(&host, &files::read(&host), Some(&none));
    assert_eq!(found.devices[0].health, Health::Healthy);
    assert!(found.gaps[0].why.contains("no such file"));
}

#[test]
fn what_nvml_says_against_a_gpu() {
    let found = merged("SICK");
    unhealthy(&found.devices[0], "3 uncorrectable memory errors");
    // The instances are on the same memory.
    unhealthy(&found.devices[1], "3 uncorrectable memory errors");
    unhealthy(&found.devices[3], "compute mode is Prohibited");
}

#[test]
fn a_lost_gpu_is_named_where_it_can_be() {
    let dir = tempfile::tempdir().unwrap();
    card(dir.path(), "0001:00:00.0", Some("nvidia"));
    card(dir.path(), "0002:00:00.0", Some("nvidia"));
    let host = HostRoot::new(dir.path());
    let library = build(dir.path(), "HALF");
    let answer = ask(&library, Duration::from_secs(30));
    let found = merge(&host, &files::read(&host), Some(&answer));
    let lost = found.devices.last().unwrap();
    assert_eq!(lost.aliases, ["1"]);
    assert_eq!(lost.id, "0002:00:00.0");
    unhealthy(lost, "device fell off the bus");
    assert_eq!(found.devices[0].aliases[0], "0");
}

#[test]
fn mig_mode_without_instances_is_of_no_use() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_with(dir.path(), Some("nvidia"));
    information(dir.path(), INFORMATION);
    let gpu = Gpu {
        address: Some("00000000:65:00.0".to_owned()),
        mig: Some(true),
        ..Gpu::default()
    };
    let answer = Ok(Answer {
        gpus: vec![gpu],
        ..Answer::default()
    });
    let found = merge(&host, &files::read(&host), Some(&answer));
    unhealthy(only(&found), "there is no instance");
    assert_eq!(only(&found).shares, Shares::UpTo(0));
}

#[test]
fn links_that_the_library_tells_of_make_peers() {
    let dir = tempfile::tempdir().unwrap();
    let answer = ask(&build(dir.path(), "FABRIC"), Duration::from_secs(30));
    let host = HostRoot::new(dir.path());
    let found = merge(&host, &Files::default(), Some(&answer));
    let [first, second, third, fourth] = found.devices.as_slice() else {
        panic!("{found:?}");
    };
    for (one, other) in [
        (first, second),
        (second, first),
        (third, fourth),
        (fourth, third),
    ] {
        let expected = Peer {
            id: other.id.clone(),
            over: "nvlink",
            links: 4,
        };
        assert_eq!(one.peers, [expected], "{}", one.id);
    }
}

#[test]
fn gpus_behind_switches_reach_each_other() {
    let link = |address: Option<&str>| nvml::Link {
        end: nvml::End::Switch,
        address: address.map(str::to_owned),
    };
    let gpu = |index: u32, links| Gpu {
        index,
        address: Some(format!("0000000{index}:00:00.0")),
        links,
        ..Gpu::default()
    };
    let hidden = vec![link(None); 18];
    let answer = Ok(Answer {
        gpus: vec![
            gpu(0, vec![link(Some("00000005:00:00.0")); 12]),
            gpu(1, vec![link(Some("00000005:00:00.0")); 11]),
            gpu(2, hidden.clone()),
            gpu(3, hidden),
        ],
        ..Answer::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let host = HostRoot::new(dir.path());
    let found = merge(&host, &Files::default(), Some(&answer));
    let peers: Vec<_> = found
        .devices
        .iter()
        .map(|d| d.peers.iter().map(|p| (p.id.as_str(), p.links)).collect())
        .collect::<Vec<Vec<_>>>();
    assert_eq!(
        peers,
        [
            vec![("0001:00:00.0", 11)],
            vec![("0000:00:00.0", 11)],
            vec![("0003:00:00.0", 18)],
            vec![("0002:00:00.0", 18)],
        ]
    );
}

#[test]
fn a_library_that_lies_cannot_make_two_gpus_one() {
    let named = |index: u32| Gpu {
        index,
        uuid: Some("GPU-5269b708-678a-b1a8-60f0-c90406537486".to_owned()),
        name: Some("\u{1b}[2Jhello".to_owned()),
        address: Some(format!("0000000{index}:00:00.0")),
        ..Gpu::default()
    };
    let answer = Ok(Answer {
        gpus: vec![named(0), named(1)],
        ..Answer::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let host = HostRoot::new(dir.path());
    let found = merge(&host, &Files::default(), Some(&answer));
    assert_eq!(found.devices[1].id, "0001:00:00.0");
    assert_eq!(found.gaps.len(), 1);
    assert_eq!(found.devices[0].model.as_deref(), Some("[2Jhello"));
    let garbage = merged("GARBAGE");
    for device in &garbage.devices {
        let texts = device.attributes.values().chain(&device.model);
        assert!(
            !texts
                .into_iter()
                .any(|text| text.contains(char::is_control))
        );
    }
}

prop_compose! {
    /// What a lying library says of a GPU, from so few values that they collide.
    fn any_gpu()(
        index in 0_u32..4,
        place in prop::option::of(0_u32..4),
        uuid in prop::option::of(0_u32..3),
        failure in prop::option::of("[a-z]{0,3}"),
        mig in prop::option::of(any::<bool>()),
        parts in prop::collection::vec((0_u32..3, prop::option::of(0_u32..3), prop::option::of(0_u32..3)), 0..4),
        links in prop::collection::vec(prop::option::of(0_u32..4), 0..4),
        minor in prop::option::of(0_u32..3),
    ) -> Gpu {
        let address = |place: u32| format!("0000{place:04x}:00:00.0");
        let id = |kind: &str, number: u32| format!("{kind}-{number:08}-0000-0000-0000-000000000000");
        Gpu {
            index,
            failure,
            address: place.map(address),
            uuid: uuid.map(|number| id("GPU", number)),
            minor,
            mig,
            instances: parts
                .into_iter()
                .map(|(index, uuid, gpu_instance)| nvml::Instance {
                    index,
                    uuid: uuid.map(|number| id("MIG", number)),
                    gpu_instance,
                    compute_instance: gpu_instance,
                    ..nvml::Instance::default()
                })
                .collect(),
            links: links
                .into_iter()
                .map(|place| nvml::Link { end: nvml::End::Gpu, address: place.map(address) })
                .collect(),
            ..Gpu::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_library_says_each_gpu_of_the_bus_is_there_once(
        gpus in prop::collection::vec(any_gpu(), 0..6), driven in prop::collection::vec(any::<bool>(), 3),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for (place, driven) in driven.iter().enumerate() {
            card(dir.path(), &format!("{place:04x}:00:00.0"), driven.then_some("nvidia"));
        }
        let host = HostRoot::new(dir.path());
        let answer = Ok(Answer { gpus, ..Answer::default() });
        let found = merge(&host, &files::read(&host), Some(&answer));
        let ids: BTreeSet<_> = found.devices.iter().map(|device| &device.id).collect();
        prop_assert_eq!(ids.len(), found.devices.len());
        for place in 0..driven.len() {
            let address = format!("{place:04x}:00:00.0");
            let there = |d: &&Device| {
                d.parent.is_none() && d.pci.as_ref().is_some_and(|pci| pci.address == address)
            };
            prop_assert_eq!(found.devices.iter().filter(there).count(), 1);
        }
        for device in &found.devices {
            let known = |id: &String| ids.contains(id);
            prop_assert!(device.parent.iter().all(known));
            prop_assert!(device.peers.iter().all(|peer| peer.id != device.id && known(&peer.id)));
        }
    }
}
