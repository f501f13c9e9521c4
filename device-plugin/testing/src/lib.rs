//! A kubelet of which the tests know every step: it behaves as the real one's device manager does
//! (`pkg/kubelet/cm/devicemanager/plugin/v1beta1`), and tells when what happened. For tests and measurements:
//! it panics where something cannot go on.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use dunnage_device_plugin::plugin::api::{
    AllocateRequest, AllocateResponse, ContainerAllocateRequest, DevicePluginOptions, Empty,
    ListAndWatchResponse, RegisterRequest, path,
};
use dunnage_device_plugin::plugin::kubelet::KUBELET;
use dunnage_device_plugin::plugin::serve::with_one_authority;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tonic::Status;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

/// What the kubelet knows of a resource.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The socket that was registered last.
    pub endpoint: String,
    /// The last list, `None` before the first and after the stream's end.
    pub list: Option<ListAndWatchResponse>,
    /// When the last list came.
    pub at: Option<Instant>,
    /// Registrations so far.
    pub registrations: u32,
    /// When the last one was answered.
    pub registered: Option<Instant>,
    /// The options that came with it, which kubelets up to 1.20 take.
    pub offered: Option<DevicePluginOptions>,
    /// The options that the plugin told when it was asked, which later ones take.
    pub options: DevicePluginOptions,
}

/// What is known of all resources, by their names.
pub type Registry = BTreeMap<String, Known>;

/// A kubelet that runs until it is killed or dropped.
pub struct Kubelet {
    folder: PathBuf,
    accepting: JoinHandle<()>,
    known: Arc<watch::Sender<Registry>>,
    clients: Clients,
    /// When its socket was there.
    pub started: Instant,
}

/// What reads the lists of plugins.
type Clients = Arc<Mutex<JoinSet<()>>>;

impl Kubelet {
    /// As the real one: cleans the folder of sockets, then serves its own.
    pub async fn start(folder: &Path) -> Kubelet {
        std::fs::create_dir_all(folder).unwrap();
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_socket()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let known = Arc::new(watch::Sender::new(Registry::new()));
        let listener = UnixListener::bind(folder.join(KUBELET)).unwrap();
        let started = Instant::now();
        let clients = Clients::default();
        let accepting = accept(
            listener,
            folder.to_path_buf(),
            Arc::clone(&known),
            Arc::clone(&clients),
        );
        Kubelet {
            folder: folder.to_path_buf(),
            accepting: tokio::spawn(accepting),
            known,
            clients,
            started,
        }
    }

    /// Ends all streams and goes on, as kubelets up to 1.36 do with a new stream when they hear of the end of
    /// an older one (kubernetes/kubernetes #127803).
    pub fn forget(&self) {
        self.clients.lock().unwrap().abort_all();
    }

    /// As by SIGKILL: connections end, the socket's file stays.
    pub async fn kill(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }

    /// Waits until what is known of `resource` is as `wanted`; panics after 10 s.
    pub async fn until(&self, resource: &str, wanted: impl Fn(&Known) -> bool) -> Known {
        let found = self.within(Duration::from_secs(10), resource, wanted).await;
        found.unwrap_or_else(|| panic!("{resource} after 10 s: {:?}", self.known.borrow()))
    }

    /// The same, as long as `patience` lasts; `None` after that.
    pub async fn within(
        &self,
        patience: Duration,
        resource: &str,
        wanted: impl Fn(&Known) -> bool,
    ) -> Option<Known> {
        let mut known = self.known.subscribe();
        let waiting = known.wait_for(|known| known.get(resource).is_some_and(&wanted));
        let found = tokio::time::timeout(patience, waiting).await.ok()?;
        found.unwrap().get(resource).cloned()
    }

    /// Waits for the first list of `resource`.
    pub async fn listed(&self, resource: &str) -> Known {
        self.until(resource, |known| known.list.is_some()).await
    }

    /// A connection to the socket that was registered for `resource` last. A plugin that is told of a
    /// removed socket a moment late closes the one that it made meanwhile: then there is another.
    pub async fn plugin(&self, resource: &str) -> Grpc<Channel> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let endpoint = self.known.borrow().get(resource).unwrap().endpoint.clone();
            match dial(self.folder.join(endpoint)).await {
                Ok(grpc) => return grpc,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// `Allocate` for one container, over a connection of its own.
    ///
    /// # Errors
    /// What the plugin says.
    pub async fn allocate(&self, resource: &str, ids: &[&str]) -> Result<AllocateResponse, Status> {
        let mut grpc = self.plugin(resource).await;
        allocate(&mut grpc, ids).await
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// `Allocate` for one container.
///
/// # Errors
/// What the plugin says.
pub async fn allocate(grpc: &mut Grpc<Channel>, ids: &[&str]) -> Result<AllocateResponse, Status> {
    let device_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let request = AllocateRequest {
        container_requests: vec![ContainerAllocateRequest { device_ids }],
    };
    ask(grpc, path::ALLOCATE, request).await
}

/// One call.
///
/// # Errors
/// What the plugin says.
pub async fn ask<Q, A>(
    grpc: &mut Grpc<Channel>,
    path: &'static str,
    request: Q,
) -> Result<A, Status>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    grpc.ready()
        .await
        .map_err(|e| Status::unavailable(e.to_string()))?;
    let codec = ProstCodec::<Q, A>::default();
    let request = tonic::Request::new(request);
    let answer = grpc.unary(request, PathAndQuery::from_static(path), codec);
    answer.await.map(tonic::Response::into_inner)
}

/// A connection to a plugin's socket.
///
/// # Errors
/// Where nobody listens there.
pub async fn dial(path: PathBuf) -> Result<Grpc<Channel>, tonic::transport::Error> {
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    endpoint
        .connect_with_connector(connector)
        .await
        .map(Grpc::new)
}

async fn accept(
    listener: UnixListener,
    folder: PathBuf,
    known: Arc<watch::Sender<Registry>>,
    clients: Clients,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (folder, known, clients) = (folder.clone(), Arc::clone(&known), Arc::clone(&clients));
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let register = Register {
                folder: folder.clone(),
                known: Arc::clone(&known),
                clients: Arc::clone(&clients),
            };
            async move {
                let codec = ProstCodec::<Empty, RegisterRequest>::default();
                let mut grpc = tonic::server::Grpc::new(codec);
                Ok::<_, std::convert::Infallible>(grpc.unary(register, request).await)
            }
        });
        connections.spawn(async move {
            // Plugins in Go send the path of the socket as authority, which a kubelet in Go takes.
            let (stream, rewriting) = with_one_authority(stream);
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::select! {
                _ = server.serve_connection(TokioIo::new(stream), service) => {}
                Err(_) = rewriting => {}
            }
        });
    }
}

/// `Registration.Register`: dials back and asks for the options before it answers.
struct Register {
    folder: PathBuf,
    known: Arc<watch::Sender<Registry>>,
    clients: Clients,
}

impl tower::Service<tonic::Request<RegisterRequest>> for Register {
    type Response = tonic::Response<Empty>;
    type Error = Status;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<tonic::Response<Empty>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<RegisterRequest>) -> Self::Future {
        let request = request.into_inner();
        let (known, clients) = (Arc::clone(&self.known), Arc::clone(&self.clients));
        let socket = self.folder.join(&request.endpoint);
        Box::pin(async move {
            assert_eq!(request.version, "v1beta1");
            let mut grpc = dial(socket)
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            let options: DevicePluginOptions = ask(&mut grpc, path::OPTIONS, Empty {}).await?;
            known.send_modify(|known| {
                let one = known.entry(request.resource_name.clone()).or_default();
                one.endpoint = request.endpoint.clone();
                one.registrations += 1;
                one.registered = Some(Instant::now());
                one.offered = request.options;
                one.options = options;
            });
            let watching = watch_lists(grpc, request, known);
            clients.lock().unwrap().spawn(watching);
            Ok(tonic::Response::new(Empty {}))
        })
    }
}

async fn watch_lists(
    mut grpc: Grpc<Channel>,
    of: RegisterRequest,
    known: Arc<watch::Sender<Registry>>,
) {
    let note = |list: Option<ListAndWatchResponse>| {
        known.send_modify(|known| {
            let one = known.entry(of.resource_name.clone()).or_default();
            // The end of an old stream says nothing of the new one.
            if one.endpoint == of.endpoint {
                one.at = Some(Instant::now());
                one.list = list;
            }
        });
    };
    if grpc.ready().await.is_err() {
        return;
    }
    let codec = ProstCodec::<Empty, ListAndWatchResponse>::default();
    let at = PathAndQuery::from_static(path::LIST_AND_WATCH);
    let opened = grpc.server_streaming(tonic::Request::new(Empty {}), at, codec);
    if let Ok(answer) = opened.await {
        let mut lists = answer.into_inner();
        while let Ok(Some(list)) = lists.message().await {
            note(Some(list));
        }
    }
    note(None);
}
