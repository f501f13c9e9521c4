//! The kubelet's runtime interface: containers and sandboxes with their pods.
//!
//! Served by containerd and CRI-O. `runtime.v1` is asked first, `runtime.v1alpha2` where that is
//! not served (containerd before 1.6). The messages have the tags of
//! `staging/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto` of Kubernetes; both versions agree in
//! what is used here. There are no events in older runtimes, so it is asked again when somebody
//! meets a container without a name.

use super::grpc::Client;
use super::{ASK_AGAIN, Failure, Source};
use crate::parties::bounds;
use crate::parties::names::Known;
use dunnage_model::party::Pod;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::time::Duration;

/// What the kubelet once called the sandbox's container, and what people still know it by.
pub(super) const SANDBOX: &str = "POD";
/// The shortest time from one list to the next.
const BREATHER: Duration = Duration::from_millis(200);

/// Methods of one version of the interface.
struct Methods {
    version: &'static str,
    sandboxes: &'static str,
    containers: &'static str,
}

const VERSIONS: &[Methods] = &[
    Methods {
        version: "/runtime.v1.RuntimeService/Version",
        sandboxes: "/runtime.v1.RuntimeService/ListPodSandbox",
        containers: "/runtime.v1.RuntimeService/ListContainers",
    },
    Methods {
        version: "/runtime.v1alpha2.RuntimeService/Version",
        sandboxes: "/runtime.v1alpha2.RuntimeService/ListPodSandbox",
        containers: "/runtime.v1alpha2.RuntimeService/ListContainers",
    },
];

#[derive(Clone, PartialEq, prost::Message)]
struct VersionAnswer {
    #[prost(string, tag = "2")]
    runtime_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Everything {}

#[derive(Clone, PartialEq, prost::Message)]
struct Sandboxes {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Sandbox>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sandbox {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    metadata: Option<SandboxMetadata>,
    #[prost(map = "string, string", tag = "5")]
    labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SandboxMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Containers {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Container>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    sandbox: String,
    #[prost(message, optional, tag = "3")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
    #[prost(map = "string, string", tag = "8")]
    labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Image {
    #[prost(string, tag = "1")]
    image: String,
    /// What the pod's author wrote; from Kubernetes 1.29 on.
    #[prost(string, tag = "18")]
    user_specified: String,
}

pub(super) async fn session(source: &Source) -> Result<Infallible, Failure> {
    let client = Client::connect(source).await?;
    let (methods, runtime) = version(source, &client).await?;
    loop {
        list(source, &client, methods, &runtime).await?;
        tokio::time::sleep(BREATHER).await;
        tokio::select! {
            () = source.registered.wake.notified() => {}
            () = tokio::time::sleep(ASK_AGAIN) => {}
        }
    }
}

/// The version that is served, and the runtime's name as parties show it.
async fn version(source: &Source, client: &Client) -> Result<(&'static Methods, String), Failure> {
    let mut refusal = Failure::Refused("serves no version of CRI".to_owned());
    for methods in VERSIONS {
        match client
            .ask::<_, VersionAnswer>(source, methods.version, None, Everything {})
            .await
        {
            Ok(answer) => return Ok((methods, bounds::name(&answer.runtime_name))),
            Err(error @ Failure::Refused(_)) => refusal = error,
            Err(error) => return Err(error),
        }
    }
    Err(refusal)
}

async fn list(
    source: &Source,
    client: &Client,
    methods: &Methods,
    runtime: &str,
) -> Result<(), Failure> {
    let round = source.shared.wanted(source.registered.id);
    let sandboxes: Sandboxes = client
        .ask(source, methods.sandboxes, None, Everything {})
        .await?;
    let containers: Containers = client
        .ask(source, methods.containers, None, Everything {})
        .await?;
    let pods: HashMap<&str, &SandboxMetadata> = sandboxes
        .items
        .iter()
        .filter_map(|s| Some((s.id.as_str(), s.metadata.as_ref()?)))
        .collect();
    let pauses = sandboxes.items.iter().map(|sandbox| {
        known(
            runtime,
            &sandbox.id,
            SANDBOX,
            &sandbox.labels,
            pods.get(sandbox.id.as_str()),
            None,
        )
    });
    let others = containers.containers.iter().map(|container| {
        let name = container
            .metadata
            .as_ref()
            .map_or("", |metadata| &metadata.name);
        let image = container
            .image
            .as_ref()
            .map(|image| match image.user_specified.as_str() {
                "" => image.image.as_str(),
                specified => specified,
            });
        let pod = pods.get(container.sandbox.as_str());
        known(runtime, &container.id, name, &container.labels, pod, image)
    });
    source
        .shared
        .replace(source.registered.id, pauses.chain(others).collect());
    source.shared.answered(source.registered.id, round);
    Ok(())
}

fn known(
    runtime: &str,
    id: &str,
    name: &str,
    labels: &HashMap<String, String>,
    pod: Option<&&SandboxMetadata>,
    image: Option<&str>,
) -> Known {
    let name = Some(bounds::name(name)).filter(|name| !name.is_empty());
    let pod = pod.map(|metadata| Pod {
        namespace: Some(bounds::name(&metadata.namespace)),
        name: Some(bounds::name(&metadata.name)),
        container: name.clone(),
        uid: Some(bounds::name(&metadata.uid)),
    });
    Known {
        key: bounds::name(id),
        id: bounds::name(id),
        engine: Some(runtime.to_owned()).filter(|name| !name.is_empty()),
        name,
        image: image.filter(|image| !image.is_empty()).map(bounds::image),
        labels: labels_of(labels),
        pod,
        cgroups: Vec::new(),
    }
}

fn labels_of(labels: &HashMap<String, String>) -> BTreeMap<String, String> {
    bounds::labels(labels.iter())
}
