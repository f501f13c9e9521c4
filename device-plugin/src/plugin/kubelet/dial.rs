//! A gRPC connection to a socket of the kubelet.

use hyper_util::rt::TokioIo;
use std::path::Path;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

/// Connects to `socket`; the error has all its causes in it.
pub(crate) async fn dial(socket: &Path) -> Result<Grpc<Channel>, String> {
    let path = socket.to_path_buf();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let dialled = Endpoint::from_static("http://localhost");
    let unreachable = |error: &dyn std::error::Error| {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        causes.join(": ")
    };
    let connecting = dialled.connect_with_connector(connector);
    let channel = connecting.await.map_err(|error| unreachable(&error))?;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| unreachable(&error))?;
    Ok(grpc)
}
