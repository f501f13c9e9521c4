//! containerd's own interface: namespaces, their containers and tasks, and the events about them.
//!
//! Messages have the tags of `api/services/{namespaces,containers,tasks,events}/v1/*.proto`,
//! `api/types/task/task.proto` and `api/events/{container,task}.proto` of containerd 1.x and 2.x.

use super::grpc::Client;
use super::{ANSWER_LIMIT, ASK_AGAIN, Failure, Source, cri, placement};
use crate::parties::bounds;
use crate::parties::names::Known;
use dunnage_model::party::Pod;
use prost::Message;
use serde::Deserialize;
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Namespaces of one containerd.
const MOST_NAMESPACES: usize = 64;
/// Containers of one namespace.
const MOST_CONTAINERS: usize = 10_000;
/// All containers of one namespace, specifications included, in bytes.
const LIST_LIMIT: usize = 16 * ANSWER_LIMIT;
/// How long all containers of one namespace may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// Events that may wait for us.
const QUEUE: usize = 256;

const NAMESPACES: &str = "/containerd.services.namespaces.v1.Namespaces/List";
const CONTAINERS: &str = "/containerd.services.containers.v1.Containers/ListStream";
const CONTAINER: &str = "/containerd.services.containers.v1.Containers/Get";
const TASKS: &str = "/containerd.services.tasks.v1.Tasks/List";
const EVENTS: &str = "/containerd.services.events.v1.Events/Subscribe";

#[derive(Clone, PartialEq, prost::Message)]
struct Everything {}

#[derive(Clone, PartialEq, prost::Message)]
struct Namespaces {
    #[prost(message, repeated, tag = "1")]
    namespaces: Vec<Namespace>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Namespace {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ById {
    #[prost(string, tag = "1")]
    id: String,
}

/// Both `ListContainerMessage` and `GetContainerResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct OneContainer {
    #[prost(message, optional, tag = "1")]
    container: Option<Container>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(map = "string, string", tag = "2")]
    labels: HashMap<String, String>,
    #[prost(string, tag = "3")]
    image: String,
    #[prost(message, optional, tag = "5")]
    spec: Option<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Tasks {
    #[prost(message, repeated, tag = "1")]
    tasks: Vec<Task>,
}

/// `containerd.v1.types.Process`.
#[derive(Clone, PartialEq, prost::Message)]
struct Task {
    #[prost(string, tag = "1")]
    container: String,
    #[prost(uint32, tag = "3")]
    pid: u32,
}

/// The event.
#[derive(Clone, PartialEq, prost::Message)]
struct TaskStart {
    #[prost(string, tag = "1")]
    container: String,
    #[prost(uint32, tag = "2")]
    pid: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Subscription {
    #[prost(string, repeated, tag = "1")]
    filters: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(string, tag = "3")]
    topic: String,
    #[prost(message, optional, tag = "4")]
    event: Option<Any>,
}

/// What is needed of the OCI specification that containerd keeps as JSON.
#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default)]
    linux: Option<Linux>,
}

#[derive(Default, Deserialize)]
struct Linux {
    #[serde(default, rename = "cgroupsPath")]
    cgroups_path: String,
}

pub(super) async fn session(source: &Source) -> Result<Infallible, Failure> {
    let client = Client::connect(source).await?;
    let (sender, mut events) = mpsc::channel(QUEUE);
    // The server sends no header before the first event, so this may not be waited for.
    let mut listening = std::pin::pin!(listen(&client, sender));
    let mut again = tokio::time::interval(ASK_AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = &mut listening => return ended,
            Some(event) = events.recv() => apply(source, &client, &event).await?,
            _ = again.tick() => list(source, &client).await?,
        }
    }
}

async fn listen(client: &Client, sender: mpsc::Sender<Envelope>) -> Result<Infallible, Failure> {
    let topics = ["/containers/create", "/containers/delete", "/tasks/start"];
    let filters = topics
        .iter()
        .map(|topic| format!("topic==\"{topic}\""))
        .collect();
    let mut events = client
        .stream::<_, Envelope>(EVENTS, None, Subscription { filters })
        .await?;
    loop {
        match events.message().await {
            // A full queue is made good by the next list.
            Ok(Some(event)) => drop(sender.try_send(event)),
            Ok(None) => return Err(Failure::Failing("it closed the stream of events".into())),
            Err(status) => return Err(super::grpc::refused(EVENTS, &status)),
        }
    }
}

async fn list(source: &Source, client: &Client) -> Result<(), Failure> {
    let round = source.shared.wanted(source.registered.id);
    let answer: Namespaces = client.ask(source, NAMESPACES, None, Everything {}).await?;
    let mut all = Vec::new();
    for namespace in answer.namespaces.iter().take(MOST_NAMESPACES) {
        let name = namespace.name.as_str();
        let tasks: Tasks = client.ask(source, TASKS, Some(name), Everything {}).await?;
        let pids: HashMap<&str, u32> = tasks
            .tasks
            .iter()
            .map(|task| (task.container.as_str(), task.pid))
            .collect();
        let containers = tokio::time::timeout(LIST_TIMEOUT, containers(source, client, name)).await;
        let containers = containers.map_err(|_| Failure::failing(CONTAINERS, "too slow"))??;
        for container in containers {
            let pid = pids.get(container.id.as_str()).copied();
            all.push(known(source, name, container, pid));
        }
    }
    source.shared.replace(source.registered.id, all);
    source.shared.answered(source.registered.id, round);
    Ok(())
}

/// The containers of a namespace, each one's specification cut down to what is needed.
async fn containers(
    source: &Source,
    client: &Client,
    namespace: &str,
) -> Result<Vec<Container>, Failure> {
    let opening = client.stream::<_, OneContainer>(CONTAINERS, Some(namespace), Everything {});
    let mut stream = source.in_time(CONTAINERS, opening).await?;
    let mut all = Vec::new();
    let mut taken = 0;
    loop {
        let next = async {
            stream
                .message()
                .await
                .map_err(|s| super::grpc::refused(CONTAINERS, &s))
        };
        let Some(one) = source.in_time(CONTAINERS, next).await? else {
            return Ok(all);
        };
        taken += one.encoded_len();
        if taken > LIST_LIMIT || all.len() >= MOST_CONTAINERS {
            return Err(Failure::failing(CONTAINERS, "the answer is too long"));
        }
        if let Some(mut container) = one.container {
            let path = cgroups_path(&container);
            container.spec = Some(Any {
                value: path.into_bytes(),
            });
            all.push(container);
        }
    }
}

async fn apply(source: &Source, client: &Client, event: &Envelope) -> Result<(), Failure> {
    let Some(any) = &event.event else {
        return Ok(());
    };
    let id = |bytes: &[u8]| {
        ById::decode(bytes)
            .map(|by_id| by_id.id)
            .unwrap_or_default()
    };
    let (id, pid) = match event.topic.as_str() {
        "/containers/delete" => {
            let key = key(&event.namespace, &id(&any.value));
            source.shared.change(|names| {
                names.leave(source.registered.id, &key, Instant::now());
                false
            });
            return Ok(());
        }
        "/containers/create" => (id(&any.value), None),
        "/tasks/start" => match TaskStart::decode(any.value.as_slice()) {
            Ok(task) => (task.container, Some(task.pid)),
            Err(_) => return Ok(()),
        },
        _ => return Ok(()),
    };
    let question = ById { id };
    let answer = client
        .ask::<_, OneContainer>(source, CONTAINER, Some(&event.namespace), question)
        .await;
    // It may be gone already; anything worse shows at the next list.
    if let Ok(OneContainer {
        container: Some(mut container),
    }) = answer
    {
        container.spec = Some(Any {
            value: cgroups_path(&container).into_bytes(),
        });
        let known = known(source, &event.namespace, container, pid);
        source.shared.put(source.registered.id, known);
    }
    Ok(())
}

fn cgroups_path(container: &Container) -> String {
    let spec = container
        .spec
        .as_ref()
        .and_then(|any| serde_json::from_slice(&any.value).ok());
    let spec: Spec = spec.unwrap_or_default();
    spec.linux.unwrap_or_default().cgroups_path
}

fn key(namespace: &str, id: &str) -> String {
    bounds::name(&format!("{namespace}/{id}"))
}

/// `container.spec` holds nothing but the cgroups path by now.
fn known(source: &Source, namespace: &str, container: Container, pid: Option<u32>) -> Known {
    let path = container
        .spec
        .map(|any| String::from_utf8_lossy(&any.value).into_owned());
    let path = path.unwrap_or_default();
    let label = |name: &str| container.labels.get(name).map(|value| bounds::name(value));
    let pod = (namespace == "k8s.io").then(|| pod(&label)).flatten();
    // Docker keeps its containers here too, and knows their names itself.
    let (engine, name) = match namespace {
        "moby" => ("docker", None),
        "k8s.io" => (
            "containerd",
            pod.as_ref().and_then(|pod| pod.container.clone()),
        ),
        _ => ("containerd", label("nerdctl/name")),
    };
    Known {
        key: key(namespace, &container.id),
        cgroups: placement::cgroups(&source.root, &path, &container.id, pid),
        engine: Some(engine.to_owned()),
        name,
        image: Some(bounds::image(&container.image)).filter(|image| !image.is_empty()),
        labels: bounds::labels(container.labels.iter()),
        pod,
        id: bounds::name(&container.id),
    }
}

/// The CRI plugin labels what it starts; its labels override those of the image.
fn pod(label: &dyn Fn(&str) -> Option<String>) -> Option<Pod> {
    let is_sandbox = label("io.cri-containerd.kind").as_deref() == Some("sandbox");
    Some(Pod {
        name: Some(label("io.kubernetes.pod.name")?),
        namespace: label("io.kubernetes.pod.namespace"),
        container: if is_sandbox {
            Some(cri::SANDBOX.to_owned())
        } else {
            label("io.kubernetes.container.name")
        },
        uid: label("io.kubernetes.pod.uid"),
    })
}
