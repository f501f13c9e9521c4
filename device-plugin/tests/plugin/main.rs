//! The device plugin before a kubelet of which every step is known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod authority;
mod holders;
mod metrics;
mod noise;
mod readers;
mod storms;

use dunnage_device_plugin::plugin::kubelet::{Report, attend};
use dunnage_device_plugin::plugin::state::{Settings, State};
use dunnage_host::HostRoot;
use dunnage_inventory::{Config, Device, Health, Inventory, Kind, Node, Role};
use dunnage_plugin_testing::{Known, Kubelet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

pub(crate) const RESOURCE: &str = "acme.dunnage/fpga";

pub(crate) fn device(id: &str) -> Device {
    let mut device = Device::new(id, "rules", Kind::Fpga, "acme");
    device.health = Health::Healthy;
    device.nodes.push(Node {
        path: format!("/dev/acme{id}").into(),
        role: Role::Own,
        block: false,
        major: 10,
        minor: 229,
        access: None,
    });
    device
}

pub(crate) fn inventory(ids: &[&str]) -> Inventory {
    Inventory {
        devices: ids.iter().map(|id| device(id)).collect(),
        gaps: Vec::new(),
    }
}

/// A plugin that runs in this process, with its folder.
pub(crate) struct Running {
    pub(crate) home: tempfile::TempDir,
    pub(crate) state: Arc<State>,
    attending: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(ids: &[&str]) -> Running {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("device-plugins")).unwrap();
        let state = State::new(HostRoot::default(), Config::default(), Settings::default());
        state.learn(inventory(ids));
        let attending = tokio::spawn(attending(
            home.path().join("device-plugins"),
            Arc::clone(&state),
        ));
        Running {
            home,
            state,
            attending,
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join("device-plugins")
    }

    /// As by SIGKILL: the sockets' files stay.
    pub(crate) fn kill(&mut self) {
        self.attending.abort();
    }

    pub(crate) fn start_again(&mut self) {
        self.attending = tokio::spawn(attending(self.folder(), Arc::clone(&self.state)));
    }
}

async fn attending(folder: PathBuf, state: Arc<State>) {
    let report = |_: Report| {};
    attend(&folder, &state, &report).await.unwrap();
}

impl Drop for Running {
    fn drop(&mut self) {
        self.attending.abort();
    }
}

/// Sockets in the folder, the kubelet's not counted.
pub(crate) fn sockets(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("dunnage-"))
        .collect()
}

#[tokio::test]
async fn a_kubelet_learns_of_all_devices_and_is_told_of_each_change() {
    let plugin = Running::start(&["a", "b"]);
    let kubelet = Kubelet::start(&plugin.folder()).await;
    let known = kubelet.listed(RESOURCE).await;
    assert_eq!(
        known.offered,
        Some(known.options),
        "old kubelets and new ones are told the same"
    );
    let ids = |known: &Known| -> Vec<(String, String)> {
        let list = known.list.as_ref().unwrap();
        list.devices
            .iter()
            .map(|d| (d.id.clone(), d.health.clone()))
            .collect()
    };
    let of = |id: &str, health: &str| (id.to_owned(), health.to_owned());
    assert_eq!(ids(&known), [of("a", "Healthy"), of("b", "Healthy")]);
    let mut ill = inventory(&["a", "b"]);
    ill.devices[1].health = Health::Unhealthy("XID 79".to_owned());
    plugin.state.learn(ill);
    let is = |health: &'static str| {
        move |known: &Known| {
            known
                .list
                .as_ref()
                .is_some_and(|list| list.devices[1].health == health)
        }
    };
    let known = kubelet.until(RESOURCE, is("Unhealthy")).await;
    assert_eq!(ids(&known), [of("a", "Healthy"), of("b", "Unhealthy")]);
    let refused = kubelet.allocate(RESOURCE, &["b"]).await.unwrap_err();
    assert!(refused.message().contains("XID 79"), "{refused}");
    plugin.state.learn(inventory(&["a", "b"]));
    kubelet.until(RESOURCE, is("Healthy")).await;
    assert_eq!(
        known.registrations, 1,
        "a change of health is no reason to register"
    );
}

#[tokio::test]
async fn what_was_chosen_is_given_and_what_is_not_there_is_refused() {
    let plugin = Running::start(&["a", "b"]);
    let kubelet = Kubelet::start(&plugin.folder()).await;
    kubelet.listed(RESOURCE).await;
    let answer = kubelet.allocate(RESOURCE, &["b"]).await.unwrap();
    let nodes = &answer.container_responses[0].devices;
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].host_path, "/dev/acmeb");
    assert_eq!(nodes[0].permissions, "rw");
    for ids in [&["c"][..], &["a", "c"]] {
        let refused = kubelet.allocate(RESOURCE, ids).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::NotFound, "{refused}");
    }
}

#[tokio::test]
async fn the_plugin_is_back_when_the_kubelet_is() {
    let plugin = Running::start(&["a"]);
    let mut kubelet = Kubelet::start(&plugin.folder()).await;
    let mut took = Vec::new();
    for _ in 0..50 {
        let before = kubelet.listed(RESOURCE).await.endpoint;
        kubelet.kill().await;
        kubelet = Kubelet::start(&plugin.folder()).await;
        let known = kubelet.listed(RESOURCE).await;
        assert_ne!(
            known.endpoint, before,
            "a name of a socket is never used twice"
        );
        took.push(known.at.unwrap().duration_since(kubelet.started));
    }
    took.sort();
    println!(
        "back after {:?} (median), {:?} (longest)",
        took[25], took[49]
    );
    assert_eq!(sockets(&plugin.folder()).len(), 1);
}

#[tokio::test]
async fn a_kubelet_that_lives_and_does_not_read_any_more_is_told_anew() {
    let plugin = Running::start(&["a"]);
    let kubelet = Kubelet::start(&plugin.folder()).await;
    for told in 1..=3 {
        let known = kubelet
            .until(RESOURCE, |known| {
                known.registrations == told && known.list.is_some()
            })
            .await;
        assert_eq!(sockets(&plugin.folder()), [known.endpoint]);
        kubelet.forget();
    }
}

#[tokio::test]
async fn a_plugin_that_was_killed_leaves_nothing_behind() {
    let mut plugin = Running::start(&["a"]);
    let kubelet = Kubelet::start(&plugin.folder()).await;
    for _ in 0..20 {
        let before = kubelet.listed(RESOURCE).await.endpoint;
        plugin.kill();
        kubelet.until(RESOURCE, |known| known.list.is_none()).await;
        plugin.start_again();
        let is_new = |known: &Known| known.endpoint != before && known.list.is_some();
        kubelet.until(RESOURCE, is_new).await;
        assert_eq!(sockets(&plugin.folder()).len(), 1);
    }
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_served_again() {
    let plugin = Running::start(&["a"]);
    let kubelet = Kubelet::start(&plugin.folder()).await;
    kubelet.listed(RESOURCE).await;
    kubelet.kill().await;
    let aside = plugin.home.path().join("aside");
    std::fs::rename(plugin.folder(), &aside).unwrap();
    let kubelet = Kubelet::start(&plugin.folder()).await;
    kubelet.listed(RESOURCE).await;
    kubelet.kill().await;
    std::fs::remove_dir_all(plugin.folder()).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let kubelet = Kubelet::start(&plugin.folder()).await;
    kubelet.listed(RESOURCE).await;
}
