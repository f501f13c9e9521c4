//! What Prometheus reads.

use super::{RESOURCE, Running, inventory};
use dunnage_device_plugin::plugin::metrics::{Listener, Place};
use dunnage_inventory::Health;
use dunnage_plugin_testing::Kubelet;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Asks for `path` and reads until the end.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, method: &str, path: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn allocations_refusals_health_and_registrations_are_counted() {
    let plugin = Running::start(&["a", "b"]);
    let kubelet = Kubelet::start(&plugin.folder()).await;
    kubelet.listed(RESOURCE).await;
    kubelet.allocate(RESOURCE, &["a"]).await.unwrap();
    kubelet.allocate(RESOURCE, &["c"]).await.unwrap_err();
    let mut ill = inventory(&["a", "b"]);
    ill.devices[1].health = Health::Unhealthy("XID 79: GPU has fallen off the bus".to_owned());
    plugin.state.learn(ill);
    kubelet.allocate(RESOURCE, &["b"]).await.unwrap_err();

    let socket = plugin.home.path().join("metrics.sock");
    let place = socket.to_str().unwrap().parse().unwrap();
    let listener = Listener::bind(&place).await.unwrap();
    let state = Arc::clone(&plugin.state);
    let serving = tokio::spawn(listener.serve(Arc::new(move || {
        let state = Arc::clone(&state);
        Box::pin(async move { state.page() })
    })));
    let open = async || UnixStream::connect(&socket).await.unwrap();
    let answer = get(open().await, "GET", "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    for line in [
        "dunnage_plugin_devices{resource=\"acme.dunnage/fpga\",health=\"healthy\"} 1",
        "dunnage_plugin_devices{resource=\"acme.dunnage/fpga\",health=\"unhealthy\"} 1",
        "dunnage_plugin_allocations_total{resource=\"acme.dunnage/fpga\"} 1",
        "dunnage_plugin_refusals_total{resource=\"acme.dunnage/fpga\",call=\"allocate\",reason=\"not_found\"} 1",
        "dunnage_plugin_refusals_total{resource=\"acme.dunnage/fpga\",call=\"allocate\",reason=\"unhealthy\"} 1",
        "dunnage_plugin_health_changes_total{resource=\"acme.dunnage/fpga\",health=\"unhealthy\",reason=\"XID 79\"} 1",
        "dunnage_plugin_allocate_duration_seconds_count 3",
    ] {
        assert!(
            answer.lines().any(|there| there == line),
            "{line}\n{answer}"
        );
    }
    assert!(
        get(open().await, "GET", "/")
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert!(
        get(open().await, "POST", "/metrics")
            .await
            .starts_with("HTTP/1.1 405")
    );
    let garbage = get(open().await, "\u{0}\u{1}", "x").await;
    assert!(garbage.starts_with("HTTP/1.1 400"), "{garbage}");

    // A start that was killed leaves its socket, and the next one takes its place.
    serving.abort();
    let _ = serving.await;
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let again = Listener::bind(&place).await.unwrap();
    let taken = Listener::bind(&place).await;
    assert!(taken.is_err(), "somebody listens there");
    drop(again);
    assert!(!socket.exists());
}

#[tokio::test]
async fn tcp_is_served_too_and_other_places_are_refused() {
    let place: Place = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(&place).await.unwrap();
    let address = listener.address().unwrap();
    tokio::spawn(listener.serve(Arc::new(|| Box::pin(async { "page\n".to_owned() }))));
    let stream = TcpStream::connect(address).await.unwrap();
    let answer = get(stream, "GET", "/metrics").await;
    assert!(answer.ends_with("\r\n\r\npage\n"), "{answer}");
    for wrong in ["9412", "localhost:9412", "", "relative/socket"] {
        assert!(wrong.parse::<Place>().is_err(), "{wrong}");
    }
    let unix: Place = "unix:/run/x.sock".parse().unwrap();
    assert_eq!(unix, Place::Unix("/run/x.sock".into()));
}
