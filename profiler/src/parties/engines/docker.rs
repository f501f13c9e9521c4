//! Docker and Podman, over their REST interface: one list, then their events.
//!
//! The client is bollard. It reads bodies of any length, so it is given a transport of ours, one
//! connection a request, and each connection brings a bounded number of bytes. The stream of events
//! is bounded more tightly, because a line that never ends is parsed again with every piece of it;
//! when the bound is reached the session starts again with a list.

use super::bounded::Bounded;
use super::{ANSWER_LIMIT, ASK_AGAIN, EngineKind, Failure, Source};
use crate::parties::bounds;
use crate::parties::names::Known;
use bollard::models::{ContainerSummary, EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::{
    EventsOptions, EventsOptionsBuilder, ListContainersOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use dunnage_model::party::Pod;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tonic::codegen::http::Uri;
use tonic::codegen::tokio_stream::StreamExt;

/// Bytes of events in one session.
const EVENTS_LIMIT: usize = 1 << 20;
/// Seconds that the events may keep us waiting: for ever.
const NO_TIMEOUT: u64 = 10 * 365 * 86_400;
/// What the engines put beside the labels into an event's attributes.
const NO_LABELS: &[&str] = &[
    "name",
    "image",
    "oldName",
    "exitCode",
    "containerExitCode",
    "execDuration",
    "signal",
    "podId",
];

pub(super) async fn session(source: &Source) -> Result<Infallible, Failure> {
    source.probe().await?;
    let asker = client(
        source.path.clone(),
        ANSWER_LIMIT,
        source.timeout.as_secs().max(1),
    )?;
    let listener = client(source.path.clone(), EVENTS_LIMIT, NO_TIMEOUT)?;
    // Events from before the list come again: nothing falls between the two.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    list(source, &asker).await?;
    let mut events = std::pin::pin!(listener.events(Some(wanted_events(source.kind, since))));
    let mut again = tokio::time::interval_at(tokio::time::Instant::now() + ASK_AGAIN, ASK_AGAIN);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => apply(source, &event),
                Some(Err(error)) => return Err(Failure::failing("events", error)),
                None => return Err(Failure::Failing("it closed the stream of events".into())),
            },
            _ = again.tick() => list(source, &asker).await?,
        }
    }
}

fn client(path: PathBuf, limit: usize, timeout: u64) -> Result<Docker, Failure> {
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        Box::pin(async move { Bounded::connect(&path, limit).await.map(TokioIo::new) })
    });
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector);
    let transport = move |request: BollardRequest| {
        let client = client.clone();
        async move {
            client
                .request(request)
                .await
                .map_err(bollard::errors::Error::from)
        }
    };
    Docker::connect_with_custom_transport(
        transport,
        Some("http://engine"),
        timeout,
        API_DEFAULT_VERSION,
    )
    .map_err(|error| Failure::failing("client", error))
}

fn wanted_events(kind: EngineKind, since: u64) -> EventsOptions {
    let mut filters = HashMap::from([("type", vec!["container"])]);
    if kind == EngineKind::Docker {
        // Health checks would be the most of it. Podman has other words and refuses unknown ones.
        filters.insert("event", vec!["create", "start", "rename", "destroy"]);
    }
    EventsOptionsBuilder::default()
        .since(&since.to_string())
        .filters(&filters)
        .build()
}

async fn list(source: &Source, docker: &Docker) -> Result<(), Failure> {
    let round = source.shared.wanted(source.registered.id);
    let options = ListContainersOptionsBuilder::default().all(true).build();
    let asking = async {
        docker
            .list_containers(Some(options))
            .await
            .map_err(|e| Failure::failing("list", e))
    };
    let answer = source.in_time("list", asking).await?;
    let all = answer
        .into_iter()
        .filter_map(|summary| listed(source.kind, summary))
        .collect();
    source.shared.replace(source.registered.id, all);
    source.shared.answered(source.registered.id, round);
    Ok(())
}

fn listed(kind: EngineKind, summary: ContainerSummary) -> Option<Known> {
    // Further names are links of other containers: /other/alias.
    let names = summary.names.unwrap_or_default();
    let own = names
        .iter()
        .map(|name| name.trim_start_matches('/'))
        .find(|n| !n.contains('/'));
    let labels = bounds::labels(summary.labels.unwrap_or_default());
    known(kind, &summary.id?, own, summary.image.as_deref(), labels)
}

fn known(
    kind: EngineKind,
    id: &str,
    name: Option<&str>,
    image: Option<&str>,
    labels: BTreeMap<String, String>,
) -> Option<Known> {
    let id = bounds::name(id);
    (!id.is_empty()).then(|| Known {
        key: id.clone(),
        id,
        engine: Some(kind.as_str().to_owned()),
        name: name.filter(|name| !name.is_empty()).map(bounds::name),
        image: image.filter(|image| !image.is_empty()).map(bounds::image),
        pod: pod(&labels),
        labels,
        cgroups: Vec::new(),
    })
}

/// The pod of a container that a kubelet started through Docker, or Podman's `kube play` did not:
/// believed only where the cgroup lies in a pod.
fn pod(labels: &BTreeMap<String, String>) -> Option<Pod> {
    let label = |name: &str| labels.get(&format!("io.kubernetes.{name}")).cloned();
    Some(Pod {
        name: Some(label("pod.name")?),
        namespace: label("pod.namespace"),
        container: label("container.name"),
        uid: label("pod.uid"),
    })
}

fn apply(source: &Source, event: &EventMessage) {
    if event.typ != Some(EventMessageTypeEnum::CONTAINER) {
        return;
    }
    let Some(actor) = &event.actor else { return };
    let (Some(id), Some(action)) = (&actor.id, &event.action) else {
        return;
    };
    let empty = HashMap::new();
    let attributes = actor.attributes.as_ref().unwrap_or(&empty);
    let name = attributes
        .get("name")
        .map(|name| name.trim_start_matches('/'));
    let at = source.registered.id;
    match action.as_str() {
        "create" | "start" | "init" => {
            // The list knows more than an event does.
            if source.shared.names(|names| names.has(at, id)) {
                return;
            }
            let labels = attributes
                .iter()
                .filter(|(key, _)| !NO_LABELS.contains(&key.as_str()));
            let image = attributes.get("image").map(String::as_str);
            if let Some(known) = known(source.kind, id, name, image, bounds::labels(labels)) {
                source.shared.put(at, known);
            }
        }
        "rename" => {
            if let Some(name) = name {
                source.shared.change(|names| names.rename(at, id, name));
            }
        }
        // Its name stays for a while: the window in which it ended is still to be charged.
        "destroy" | "remove" => source.shared.change(|names| {
            names.leave(at, id, Instant::now());
            false
        }),
        _ => {}
    }
}
