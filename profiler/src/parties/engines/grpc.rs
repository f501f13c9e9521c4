//! Unary and streaming calls over a Unix socket, with tonic.
//!
//! The published clients of containerd and CRI (`containerd-client`, `k8s-cri`) compile protobuf files
//! with `protoc` at build time, and building Dunnage needs cargo alone. The few messages that are
//! needed are therefore written down here as prost derives, with the tags of the upstream files; fields
//! that are left out are skipped by the decoder.

use super::{ANSWER_LIMIT, Failure, Source};
use crate::causes::chain;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// The header by which containerd tells its tenants apart.
const NAMESPACE: &str = "containerd-namespace";

/// A connection to a gRPC server.
#[derive(Clone)]
pub(super) struct Client(Channel);

impl Client {
    pub(super) async fn connect(source: &Source) -> Result<Client, Failure> {
        source.probe().await?;
        let path = source.path.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let connecting = async {
            let endpoint = Endpoint::from_static("http://engine").connect_timeout(source.timeout);
            endpoint
                .connect_with_connector(connector)
                .await
                .map_err(|error| Failure::failing("connect", chain(&error)))
        };
        source.in_time("connect", connecting).await.map(Client)
    }

    /// One question, one answer, under the source's time limit.
    pub(super) async fn ask<Q, A>(
        &self,
        source: &Source,
        method: &'static str,
        namespace: Option<&str>,
        question: Q,
    ) -> Result<A, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let request = request(namespace, question)?;
        let asking = async {
            let mut grpc = self.ready(method).await?;
            let path = PathAndQuery::from_static(method);
            let answer = grpc
                .unary(request, path, ProstCodec::<Q, A>::default())
                .await;
            answer
                .map(tonic::Response::into_inner)
                .map_err(|status| refused(method, &status))
        };
        source.in_time(method, asking).await
    }

    /// One question, many answers. The caller bounds the time.
    pub(super) async fn stream<Q, A>(
        &self,
        method: &'static str,
        namespace: Option<&str>,
        question: Q,
    ) -> Result<Streaming<A>, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.ready(method).await?;
        let path = PathAndQuery::from_static(method);
        let request = request(namespace, question)?;
        let answer = grpc
            .server_streaming(request, path, ProstCodec::<Q, A>::default())
            .await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| refused(method, &status))
    }

    async fn ready(&self, method: &'static str) -> Result<Grpc<Channel>, Failure> {
        let mut grpc = Grpc::new(self.0.clone()).max_decoding_message_size(ANSWER_LIMIT);
        grpc.ready()
            .await
            .map_err(|error| Failure::failing(method, chain(&error)))?;
        Ok(grpc)
    }
}

fn request<Q>(namespace: Option<&str>, question: Q) -> Result<Request<Q>, Failure> {
    let mut request = Request::new(question);
    if let Some(namespace) = namespace {
        let value = MetadataValue::try_from(namespace)
            .map_err(|error| Failure::failing("a namespace that no header can hold", error))?;
        request.metadata_mut().insert(NAMESPACE, value);
    }
    Ok(request)
}

/// What a server's refusal means.
pub(super) fn refused(method: &str, status: &Status) -> Failure {
    match status.code() {
        Code::Unimplemented => Failure::Refused(format!("does not serve {method}")),
        Code::PermissionDenied | Code::Unauthenticated => {
            Failure::Refused(format!("{method}: {}", status.message()))
        }
        _ => Failure::failing(method, format!("{:?}: {}", status.code(), status.message())),
    }
}
