//! A client that sends what kubelets before 1.26 send: the socket's path as `:authority`.

use super::{RESOURCE, Running};
use dunnage_plugin_testing::Kubelet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Literals without indexing, none longer than 126 bytes.
fn headers(authority: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/v1beta1.DevicePlugin/GetDevicePluginOptions"),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

#[tokio::test]
async fn every_authority_reaches_the_plugin() {
    let plugin = Running::start(&["a"]);
    let kubelet = Kubelet::start(&plugin.folder()).await;
    let socket = plugin
        .folder()
        .join(kubelet.listed(RESOURCE).await.endpoint);
    for authority in [
        "localhost",
        "/var/lib/kubelet/device-plugins/dunnage.sock",
        "%2Fvar%2Flib%2Fkubelet%2Fdevice-plugins%2Fdunnage.sock",
        "unix:///var/lib/x.sock",
        "",
    ] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend(frame(4, 0, 0, &[]));
        sent.extend(frame(1, END_HEADERS, 1, &headers(authority)));
        sent.extend(frame(0, END_STREAM, 1, &[0; 5]));
        stream.write_all(&sent).await.unwrap();
        let kinds = answered(&mut stream).await;
        assert!(
            kinds.contains(&0),
            "{authority:?} is answered with data: {kinds:?}"
        );
        assert!(!kinds.contains(&3), "{authority:?} is reset: {kinds:?}");
    }
}

/// The kinds of frames of stream 1 until its end.
async fn answered(stream: &mut UnixStream) -> Vec<u8> {
    let mut kinds = Vec::new();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return kinds;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        if head[8] == 1 {
            kinds.push(head[3]);
            let ended = head[3] == 3 || (head[3] <= 1 && head[4] & END_STREAM != 0);
            if ended {
                return kinds;
            }
        }
    }
}
