//! What the plugin's reader of holders makes of a real kubelet: of its service, and of the checkpoint
//! that it writes.

use super::node::Node;
use super::resources::ByResource;
use anyhow::{Context, Result, ensure};
use dunnage_device_plugin::plugin::holders::{CHECKPOINT, Holder, Holders, ask};
use dunnage_host::HostRoot;
use dunnage_tests::keeper::own_folder;
use std::fs;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// Each of the devices `given` has one holder, whom the service calls by name and the checkpoint by uid.
pub(super) fn are_read(node: &Node, given: &ByResource) -> Result<()> {
    let sockets = node.sockets();
    let kubelet_dir = sockets.parent().context("the kubelet has a folder")?;
    let by_service = asked(kubelet_dir)?;
    // A folder with the checkpoint alone, as of a kubelet without the service.
    let alone = own_folder("checkpoint")?;
    fs::create_dir_all(alone.join("device-plugins"))?;
    fs::copy(kubelet_dir.join(CHECKPOINT), alone.join(CHECKPOINT))?;
    let by_checkpoint = asked(&alone)?;
    fs::remove_dir_all(&alone)?;
    for (resource, ids) in given {
        for id in ids {
            let named = one(&by_service, resource, id)?;
            ensure!(named.pod.is_some(), "{named:?}");
            let numbered = one(&by_checkpoint, resource, id)?;
            ensure!(
                numbered.pod_uid.as_ref().is_some_and(|uid| !uid.is_empty()),
                "{numbered:?}"
            );
            ensure!(
                named.container == numbered.container,
                "{named:?} {numbered:?}"
            );
        }
    }
    Ok(())
}

fn asked(kubelet_dir: &Path) -> Result<Holders> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(ask(&HostRoot::default(), kubelet_dir, PATIENCE))?)
}

fn one<'h>(holders: &'h Holders, resource: &str, id: &str) -> Result<&'h Holder> {
    match holders.of(resource, id) {
        [holder] => Ok(holder),
        others => anyhow::bail!("{resource} {id} is held by {others:?}"),
    }
}
