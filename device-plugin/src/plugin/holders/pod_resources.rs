//! The kubelet's PodResources service v1, with the tags of
//! `staging/src/k8s.io/kubelet/pkg/apis/podresources/v1/api.proto` of Kubernetes.
//!
//! Only the fields that are used are declared.

use super::{DEVICES_LIMIT, Holder, Holders};
use crate::plugin::kubelet::dial;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;
use tonic::Request;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

/// The socket below the kubelet's folder.
pub const SOCKET: &str = "pod-resources/kubelet.sock";
/// The path of the call.
pub const LIST: &str = "/v1.PodResourcesLister/List";

/// The largest answer, as the kubelet's own clients have it.
const ANSWER_LIMIT: usize = 16 << 20;

/// Which containers have what?
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ListPodResourcesRequest {}

/// Every pod of the host.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListPodResourcesResponse {
    /// Those with devices and those without.
    #[prost(message, repeated, tag = "1")]
    pub pod_resources: Vec<PodResources>,
}

/// One pod.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PodResources {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its namespace.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// Its containers.
    #[prost(message, repeated, tag = "3")]
    pub containers: Vec<ContainerResources>,
}

/// One container.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerResources {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// An entry a resource and NUMA node.
    #[prost(message, repeated, tag = "2")]
    pub devices: Vec<ContainerDevices>,
}

/// Devices of one resource.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerDevices {
    /// The resource.
    #[prost(string, tag = "1")]
    pub resource_name: String,
    /// The devices, by their ids for the kubelet.
    #[prost(string, repeated, tag = "2")]
    pub device_ids: Vec<String>,
}

/// What the service at `socket` says; `None` where there is no socket.
pub(super) async fn list(
    socket: &Path,
    patience: Duration,
) -> Option<Result<ListPodResourcesResponse, String>> {
    let is_socket = |meta: std::fs::Metadata| meta.file_type().is_socket();
    if !std::fs::symlink_metadata(socket).is_ok_and(is_socket) {
        return None;
    }
    let asked = tokio::time::timeout(patience, async {
        let mut grpc = dial(socket).await?.max_decoding_message_size(ANSWER_LIMIT);
        let codec = ProstCodec::<ListPodResourcesRequest, ListPodResourcesResponse>::default();
        let request = Request::new(ListPodResourcesRequest {});
        let answer = grpc.unary(request, PathAndQuery::from_static(LIST), codec);
        let answer = answer.await.map_err(|status| status.to_string())?;
        Ok(answer.into_inner())
    });
    Some(asked.await.unwrap_or_else(|_| {
        let waited = patience.as_secs_f64();
        Err(format!("it did not answer within {waited} s"))
    }))
}

/// Who holds what, by an answer.
pub(super) fn holders(answer: ListPodResourcesResponse) -> Holders {
    let mut holders = Holders::default();
    let mut room = DEVICES_LIMIT;
    for pod in answer.pod_resources {
        for container in pod.containers {
            let holder = Holder {
                pod: Some((pod.namespace.clone(), pod.name.clone())),
                pod_uid: None,
                container: container.name,
            };
            for devices in container.devices {
                for id in devices.device_ids {
                    room = room.saturating_sub(1);
                    if room > 0 {
                        holders.add(&devices.resource_name, id, &holder);
                    }
                }
            }
        }
    }
    holders
}
