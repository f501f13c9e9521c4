//! One call by gRPC to a program that listens on a Unix socket.

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

/// Asks `call` of whoever listens at `socket`, which has `patience` for an answer.
pub(crate) fn ask<Q, A>(
    socket: &Path,
    call: &'static str,
    request: Q,
    patience: Duration,
) -> Result<A>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let asked = async {
        let endpoint = Endpoint::from_static("http://localhost");
        let mut grpc = Grpc::new(endpoint.connect_with_connector(connector).await?);
        grpc.ready().await?;
        let codec = ProstCodec::<Q, A>::default();
        let request = tonic::Request::new(request);
        let answer = grpc.unary(request, PathAndQuery::from_static(call), codec);
        anyhow::Ok(answer.await?.into_inner())
    };
    let answer = runtime.block_on(async { tokio::time::timeout(patience, asked).await });
    answer
        .with_context(|| format!("no answer for {patience:?}"))
        .flatten()
        .with_context(|| format!("{call} at {}", socket.display()))
}
