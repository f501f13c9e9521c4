//! Whose devices are whose, by a PodResources service of which every answer is known, and by a
//! checkpoint.

use super::{RESOURCE, inventory};
use dunnage_device_plugin::plugin::api::PreStartContainerRequest;
use dunnage_device_plugin::plugin::holders::{
    CHECKPOINT, ContainerDevices, ContainerResources, HoldersError, LIST, ListPodResourcesRequest,
    ListPodResourcesResponse, PodResources, SOCKET, ask,
};
use dunnage_device_plugin::plugin::state::{Settings, State};
use dunnage_host::HostRoot;
use dunnage_inventory::Config;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::UnixListener;
use tonic::Status;
use tonic_prost::ProstCodec;

const PATIENCE: Duration = Duration::from_secs(5);

/// Pods that have the device `a`.
type Pods = Arc<Mutex<Vec<String>>>;

struct List(Pods);

impl tower::Service<tonic::Request<ListPodResourcesRequest>> for List {
    type Response = tonic::Response<ListPodResourcesResponse>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: tonic::Request<ListPodResourcesRequest>) -> Self::Future {
        let pod = |name: &String| PodResources {
            name: name.clone(),
            namespace: "ml".to_owned(),
            containers: vec![ContainerResources {
                name: "train".to_owned(),
                devices: vec![ContainerDevices {
                    resource_name: RESOURCE.to_owned(),
                    device_ids: vec!["a".to_owned()],
                }],
            }],
        };
        let pod_resources = self.0.lock().unwrap().iter().map(pod).collect();
        ready(Ok(tonic::Response::new(ListPodResourcesResponse {
            pod_resources,
        })))
    }
}

/// Serves PodResources in the kubelet's folder, as long as the runtime of the test lives.
fn serve(kubelet_dir: &Path, pods: &Pods) {
    let path = kubelet_dir.join(SOCKET);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    let pods = Arc::clone(pods);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let pods = Arc::clone(&pods);
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                assert_eq!(request.uri().path(), LIST);
                let list = List(Arc::clone(&pods));
                async move {
                    let codec =
                        ProstCodec::<ListPodResourcesResponse, ListPodResourcesRequest>::default();
                    let mut grpc = tonic::server::Grpc::new(codec);
                    Ok::<_, Infallible>(grpc.unary(list, request).await)
                }
            });
            tokio::spawn(async move {
                let server = http2::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

/// A host on which process 42 has the device `a` open.
fn host_with_a_process() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let process = root.path().join("proc/42");
    std::fs::create_dir_all(process.join("fd")).unwrap();
    std::fs::write(process.join("comm"), "trainer\n").unwrap();
    symlink("/dev/acmea", process.join("fd/5")).unwrap();
    root
}

#[tokio::test]
async fn a_device_that_is_still_in_use_is_refused_with_the_pod_that_had_it() {
    let root = host_with_a_process();
    let kubelet_dir = tempfile::tempdir().unwrap();
    let pods = Pods::default();
    serve(kubelet_dir.path(), &pods);
    let host = HostRoot::new(root.path());
    let state = State::new(host, Config::default(), Settings::default());
    state.learn(inventory(&["a", "b"]));
    let learn = async |names: &[&str]| {
        *pods.lock().unwrap() = names.iter().map(|name| (*name).to_owned()).collect();
        let holders = ask(&HostRoot::default(), kubelet_dir.path(), PATIENCE).await;
        state.learn_holders(&holders.unwrap());
    };
    let start = |id: &str| {
        let device_ids = vec![id.to_owned()];
        let request = PreStartContainerRequest { device_ids };
        state.plugin(RESOURCE).pre_start(&request)
    };
    let refused = start("a").unwrap_err().message().to_owned();
    assert!(refused.contains("trainer (pid 42): end it"), "{refused}");
    learn(&["old"]).await;
    assert_eq!(state.held()[RESOURCE], 1);
    learn(&[]).await;
    let refused = start("a").unwrap_err().message().to_owned();
    let wanted = "the kubelet gave it last to container train of pod ml/old";
    assert!(refused.contains(wanted), "{refused}");
    learn(&["new"]).await;
    let refused = start("a").unwrap_err().message().to_owned();
    let wanted = "of pod ml/new, and before to container train of pod ml/old";
    assert!(refused.contains(wanted), "{refused}");
    start("b").unwrap();
    // A container that starts may have been given something: the kubelet is asked again.
    tokio::time::timeout(PATIENCE, state.wants_holders())
        .await
        .unwrap();
    let page = state.page();
    let count = format!(
        "dunnage_plugin_refusals_total{{resource=\"{RESOURCE}\",call=\"pre_start_container\",reason=\"in_use\"}} 3\n"
    );
    assert!(page.contains(&count), "{page}");
    let held = format!("dunnage_plugin_devices_held{{resource=\"{RESOURCE}\"}} 1\n");
    assert!(page.contains(&held), "{page}");
}

#[tokio::test]
async fn the_checkpoint_tells_where_the_service_does_not() {
    let kubelet_dir = tempfile::tempdir().unwrap();
    let asked = async || ask(&HostRoot::default(), kubelet_dir.path(), PATIENCE).await;
    assert!(matches!(asked().await, Err(HoldersError::Absent { .. })));
    // A kubelet that was killed: its socket is there, and nobody listens.
    let socket = kubelet_dir.path().join(SOCKET);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(matches!(asked().await, Err(HoldersError::Service { .. })));
    let checkpoint = kubelet_dir.path().join(CHECKPOINT);
    std::fs::create_dir_all(checkpoint.parent().unwrap()).unwrap();
    let text = format!(
        r#"{{"Data":{{"PodDeviceEntries":[{{"PodUID":"1e6a","ContainerName":"train",
        "ResourceName":"{RESOURCE}","DeviceIDs":{{"-1":["a"]}},"AllocResp":""}}],
        "RegisteredDevices":{{}}}},"Checksum":1}}"#
    );
    std::fs::write(&checkpoint, text).unwrap();
    let holders = asked().await.unwrap();
    let told = holders.of(RESOURCE, "a")[0].told();
    assert_eq!(told, "container train of pod with uid 1e6a");
    std::fs::write(&checkpoint, "{").unwrap();
    assert!(matches!(asked().await, Err(HoldersError::Parse { .. })));
}

#[tokio::test]
async fn a_service_that_says_nothing_is_not_waited_for_long() {
    let kubelet_dir = tempfile::tempdir().unwrap();
    let socket = kubelet_dir.path().join(SOCKET);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let _mute = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let host = HostRoot::default();
    let asked = ask(&host, kubelet_dir.path(), Duration::from_millis(50));
    let error = asked.await.unwrap_err();
    assert!(matches!(error, HoldersError::Service { .. }), "{error}");
}
