//! Those at the other end of the socket that do not behave: readers that are slow, clients that speak
//! something else, and a second instance of the plugin beside the first.

use super::{RESOURCE, Running, attending, inventory, sockets};
use dunnage_device_plugin::plugin::api::{Empty, ListAndWatchResponse, path};
use dunnage_plugin_testing::Kubelet;
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

/// What a reader takes before it has read anything, in bytes: the least that HTTP/2 allows for.
const WINDOW: u32 = 65_535;

/// The lists of a reader that the test reads when it likes to.
async fn lists(socket: PathBuf) -> tonic::Streaming<ListAndWatchResponse> {
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost")
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<Empty, ListAndWatchResponse>::default();
    let at = PathAndQuery::from_static(path::LIST_AND_WATCH);
    let opened = grpc.server_streaming(tonic::Request::new(Empty {}), at, codec);
    opened.await.unwrap().into_inner()
}

#[tokio::test]
async fn a_slow_reader_misses_lists_and_no_change() {
    const CHANGES: usize = 2_000;
    let ids: Vec<String> = (0..200).map(|number| format!("{number:040}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let plugin = Running::start(&ids);
    let kubelet = Kubelet::start(&plugin.folder()).await;
    let endpoint = kubelet.listed(RESOURCE).await.endpoint;
    let mut slow = lists(plugin.folder().join(endpoint)).await;
    assert_eq!(slow.message().await.unwrap().unwrap().devices.len(), 200);
    for change in 0..CHANGES {
        // Each list has more than 10 kB, so all of them would have 20 MB.
        plugin.state.learn(inventory(&ids[change % 2..]));
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
    // Whoever reads is not held up by who does not.
    kubelet.allocate(RESOURCE, &[ids[7]]).await.unwrap();
    plugin.state.learn(inventory(&ids[..100]));
    let ill = |list: &ListAndWatchResponse| {
        list.devices
            .iter()
            .filter(|device| device.health == "Unhealthy")
            .count()
    };
    let mut read = 0;
    loop {
        let list = tokio::time::timeout(Duration::from_secs(10), slow.message()).await;
        let list = list.expect("the last list comes").unwrap().unwrap();
        read += 1;
        if ill(&list) == 100 {
            break;
        }
    }
    // What fits into the window and the buffers between, and the last one.
    assert!(read < 100, "{read} lists were kept for a slow reader");
}

#[tokio::test]
async fn whoever_speaks_something_else_harms_nobody() {
    let plugin = Running::start(&["a"]);
    let kubelet = Kubelet::start(&plugin.folder()).await;
    let known = kubelet.listed(RESOURCE).await;
    let socket = plugin.folder().join(&known.endpoint);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let after = |bytes: &[u8]| [&preface, bytes].concat();
    let mut noise = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise.to_le_bytes()
    };
    let mut garbage: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        preface[..10].to_vec(),
        preface.clone(),
        // A frame of 16 MiB that never comes, a header block that never ends, settings of odd length.
        after(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
        after(&[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]),
        after(&[0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5]),
    ];
    for _ in 0..50 {
        let bytes: Vec<u8> = (0..32).flat_map(|_| random()).collect();
        garbage.push(after(&bytes));
        garbage.push(bytes);
    }
    for bytes in garbage {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        // The plugin may hang up before it has read everything.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
        assert!(ended.is_ok(), "a connection is kept for {bytes:?}");
    }
    kubelet.allocate(RESOURCE, &["a"]).await.unwrap();
    let still = kubelet.listed(RESOURCE).await;
    assert_eq!(still.endpoint, known.endpoint);
    assert_eq!(still.registrations, 1);
}

#[tokio::test]
async fn two_instances_overlap_and_the_devices_stay() {
    let mut old = Running::start(&["a", "b"]);
    let folder = old.folder();
    let kubelet = Kubelet::start(&folder).await;
    let first = kubelet.listed(RESOURCE).await;
    let new = tokio::spawn(attending(folder.clone(), Arc::clone(&old.state)));
    let is_new = |known: &dunnage_plugin_testing::Known| {
        known.endpoint != first.endpoint && known.list.is_some()
    };
    let second = kubelet.until(RESOURCE, is_new).await;
    assert_eq!(second.registrations, 2);
    assert_eq!(sockets(&folder).len(), 2);
    old.kill();
    // The old one's socket goes with it, and the new one does not take that for its own.
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while sockets(&folder).len() > 1 && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(sockets(&folder), [second.endpoint.as_str()]);
    kubelet.allocate(RESOURCE, &["b"]).await.unwrap();
    let still = kubelet.listed(RESOURCE).await;
    assert_eq!((still.endpoint, still.registrations), (second.endpoint, 2));
    new.abort();
}
