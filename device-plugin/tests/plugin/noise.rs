//! Devices are given away from where verdicts say that there is noise.

use super::{RESOURCE, inventory};
use dunnage_device_plugin::plugin::api::{
    ContainerPreferredAllocationRequest, PreferredAllocationRequest,
};
use dunnage_device_plugin::plugin::noise::{Feed, Places, of_window};
use dunnage_device_plugin::plugin::state::{Settings, State};
use dunnage_host::HostRoot;
use dunnage_inventory::Config;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A document of `dunnage blame --watch --json`, in which `culprit` takes half the window from `web`.
fn line(culprit: &str) -> String {
    let party =
        |name: &str| format!(r#"{{"kind":"container","name":"{name}","cgroup":"/{name}"}}"#);
    format!(
        r#"{{"schema":"dunnage.blame/1","host":{{"name":"n1","kernel":"6.18.0","cpus":8,"cgroup":"v2"}},
        "window":{{"start":"2026-11-21T07:00:00Z","seconds":10.0}},"coverage":{{}},"verdicts":[
        {{"victim":{},"resource":"cpu","cause":"neighbour","harm":{{"seconds":5.0,"fraction":0.5}},
        "culprits":[{{"party":{},"seconds":5.0,"share":1.0}}],"unexplained":0.0,"confidence":0.9,
        "evidence":"","advice":"","facts":{{}}}}],"cleared":[],"gaps":[]}}"#,
        party("web"),
        party(culprit)
    )
    .replace('\n', " ")
}

fn put(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Two NUMA nodes; `web` may run on both, `left` on node 0 alone and `right` on node 1.
fn host() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (node, cpus) in [("node0", "0-3"), ("node1", "4-7")] {
        put(
            root.path(),
            &format!("sys/devices/system/node/{node}/cpulist"),
            cpus,
        );
    }
    for (cgroup, cpus) in [("web", "0-7"), ("left", "1"), ("right", "6-7")] {
        put(
            root.path(),
            &format!("sys/fs/cgroup/{cgroup}/cpuset.cpus.effective"),
            cpus,
        );
    }
    root
}

fn first_choice(state: &Arc<State>) -> String {
    let request = PreferredAllocationRequest {
        container_requests: vec![ContainerPreferredAllocationRequest {
            available_device_ids: ["a", "b"].map(str::to_owned).to_vec(),
            must_include_device_ids: Vec::new(),
            allocation_size: 1,
        }],
    };
    let answer = state.plugin(RESOURCE).preferred(&request).unwrap();
    answer.container_responses[0].device_ids[0].clone()
}

#[test]
fn the_device_on_the_quiet_node_is_given_first_for_as_long_as_there_is_noise() {
    let state = State::new(HostRoot::default(), Config::default(), Settings::default());
    let mut two = inventory(&["a", "b"]);
    for (device, node) in two.devices.iter_mut().zip(0..) {
        device.numa_node = Some(node);
    }
    state.learn(two);
    assert_eq!(first_choice(&state), "a");
    let root = host();
    let places = Places::of(&HostRoot::new(root.path()));
    let hear = |culprit: &str, windows: usize| {
        let text = format!("{}\n", line(culprit)).repeat(windows);
        let mut feed = Feed::of(text.as_bytes());
        let mut heard = 0;
        while let Some(document) = feed.wait().unwrap() {
            let window = of_window(&document, &|cgroup| places.of_cgroup(cgroup)).unwrap();
            state.hear(Instant::now(), window);
            heard += 1;
        }
        assert_eq!(heard, windows);
    };
    hear("left", 1);
    assert_eq!(first_choice(&state), "b");
    hear("right", 5);
    assert_eq!(first_choice(&state), "a");
    // Noise that is everywhere says nothing against one of them.
    hear("web", 12);
    assert_eq!(first_choice(&state), "a");
}
