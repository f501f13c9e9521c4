//! Which container holds which device, as the kubelet tells it: by its PodResources service, and where
//! that is not there by the checkpoint that it keeps for itself.
//!
//! PodResources names pods and knows no uid; the checkpoint has uids and no names.

mod checkpoint;
mod pod_resources;
mod record;

pub use checkpoint::CHECKPOINT;
pub use pod_resources::{
    ContainerDevices, ContainerResources, LIST, ListPodResourcesRequest, ListPodResourcesResponse,
    PodResources, SOCKET,
};
pub use record::Record;

use dunnage_host::HostRoot;
use dunnage_model::escape::escaped;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Devices of all pods of one host; a kubelet that tells of more is not believed.
const DEVICES_LIMIT: usize = 65_536;

/// A container that was given a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Namespace and name of its pod; absent where only the checkpoint was read.
    pub pod: Option<(String, String)>,
    /// The pod's uid; absent where PodResources told.
    pub pod_uid: Option<String>,
    /// The container's name in the pod.
    pub container: String,
}

impl Holder {
    /// In words, escaped.
    #[must_use]
    pub fn told(&self) -> String {
        let pod = match (&self.pod, &self.pod_uid) {
            (Some((namespace, name)), _) => format!("{}/{}", escaped(namespace), escaped(name)),
            (None, Some(uid)) => format!("with uid {}", escaped(uid)),
            (None, None) => "that is not known".to_owned(),
        };
        format!("container {} of pod {pod}", escaped(&self.container))
    }
}

/// Who holds what, by resource and by the device's id for the kubelet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders(BTreeMap<String, BTreeMap<String, Vec<Holder>>>);

/// Why it is not known who holds what.
#[derive(Debug, thiserror::Error)]
pub enum HoldersError {
    /// Neither is there: no kubelet ever ran here.
    #[error(
        "there is neither {socket} nor {checkpoint}: no kubelet runs here, or it has another folder"
    )]
    Absent {
        /// Where the service would be.
        socket: PathBuf,
        /// Where the checkpoint would be.
        checkpoint: PathBuf,
    },
    /// The service does not answer, and there is no checkpoint.
    #[error("asking {socket} who holds devices failed: {why}")]
    Service {
        /// The service's socket.
        socket: PathBuf,
        /// Why.
        why: String,
    },
    /// The checkpoint cannot be read.
    #[error(
        "cannot read the kubelet's checkpoint {path}: {source}; it needs its owner's rights, root's"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The checkpoint has another form.
    #[error("the kubelet's checkpoint {path} cannot be understood: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Asks the kubelet whose folder is `kubelet_dir` on `host`, and waits for it for `patience`.
///
/// # Errors
/// Where neither the service nor the checkpoint tells.
pub async fn ask(
    host: &HostRoot,
    kubelet_dir: &Path,
    patience: Duration,
) -> Result<Holders, HoldersError> {
    let socket = kubelet_dir.join(SOCKET);
    let checkpoint = kubelet_dir.join(CHECKPOINT);
    let asked = pod_resources::list(&host.path(&socket), patience).await;
    let refused = match asked {
        Some(Ok(answer)) => return Ok(pod_resources::holders(answer)),
        Some(Err(why)) => Some(why),
        None => None,
    };
    match checkpoint::read(host, &checkpoint) {
        Err(HoldersError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(match refused {
                Some(why) => HoldersError::Service { socket, why },
                None => HoldersError::Absent { socket, checkpoint },
            })
        }
        other => other,
    }
}

impl Holders {
    fn add(&mut self, resource: &str, id: String, holder: &Holder) {
        let ids = self.0.entry(resource.to_owned()).or_default();
        ids.entry(id).or_default().push(holder.clone());
    }

    /// Who holds a device of a resource.
    #[must_use]
    pub fn of(&self, resource: &str, id: &str) -> &[Holder] {
        let ids = self.0.get(resource);
        ids.and_then(|ids| ids.get(id)).map_or(&[], Vec::as_slice)
    }

    /// Who holds a device, whatever the resource of `domain` is called: a name can be configured, and
    /// another plugin of the same vendor gives the same devices. With the resource's name.
    pub fn in_domain<'h>(
        &'h self,
        domain: &'h str,
        id: &'h str,
    ) -> impl Iterator<Item = (&'h str, &'h Holder)> {
        let of_domain = move |resource: &str| {
            let rest = resource.strip_prefix(domain);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        self.0
            .iter()
            .filter(move |(resource, _)| of_domain(resource))
            .flat_map(move |(resource, ids)| {
                let holders = ids.get(id).map_or(&[][..], Vec::as_slice);
                holders.iter().map(move |holder| (&**resource, holder))
            })
    }
}

#[cfg(test)]
mod tests;
