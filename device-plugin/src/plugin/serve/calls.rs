//! The calls of the API, each a function of what a resource is now.

use super::readers::{Reader, Readers};
use crate::plugin::api::{
    AllocateRequest, AllocateResponse, DevicePluginOptions, Empty, ListAndWatchResponse,
    PreStartContainerRequest, PreferredAllocationRequest, PreferredAllocationResponse, path,
};
use hyper::body::Incoming;
use hyper::{Request, Response};
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// The largest request: one names each device once.
const REQUEST_LIMIT: usize = 1 << 20;

/// What a resource answers.
pub trait Plugin: Send + Sync {
    /// What it wants to be asked.
    fn options(&self) -> DevicePluginOptions;

    /// The full list, now and whenever it changes. A reader that is slow misses lists and no change.
    fn list(&self) -> watch::Receiver<ListAndWatchResponse>;

    /// Which devices would be the best.
    ///
    /// # Errors
    /// Never for what the kubelet may ask: an error fails the pod.
    fn preferred(
        &self,
        request: &PreferredAllocationRequest,
    ) -> Result<PreferredAllocationResponse, Status>;

    /// What containers are given with devices.
    ///
    /// # Errors
    /// For a device that is not there: the pod fails, and says why.
    fn allocate(&self, request: &AllocateRequest) -> Result<AllocateResponse, Status>;

    /// Whether a container may start with devices.
    ///
    /// # Errors
    /// Where one of them is still in use: the start is tried again.
    fn pre_start(&self, request: &PreStartContainerRequest) -> Result<(), Status>;
}

/// Answers one request.
pub(super) async fn answer(
    plugin: &dyn Plugin,
    readers: &Readers,
    request: Request<Incoming>,
) -> Response<Body> {
    match request.uri().path() {
        path::OPTIONS => unary(request, |_: &Empty| Ok(plugin.options())).await,
        path::PREFERRED => unary(request, |asked| plugin.preferred(asked)).await,
        path::ALLOCATE => unary(request, |asked| plugin.allocate(asked)).await,
        path::PRE_START => unary(request, |asked| plugin.pre_start(asked).map(|()| Empty {})).await,
        path::LIST_AND_WATCH => {
            let lists = Lists {
                lists: WatchStream::new(plugin.list()),
                _reader: readers.enter(),
            };
            Grpc::new(ProstCodec::<ListAndWatchResponse, Empty>::default())
                .server_streaming(Streaming(Some(lists)), request)
                .await
        }
        other => {
            Status::new(Code::Unimplemented, format!("{other} is not served here")).into_http()
        }
    }
}

async fn unary<Q, A>(
    request: Request<Incoming>,
    call: impl FnMut(&Q) -> Result<A, Status>,
) -> Response<Body>
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + 'static,
{
    Grpc::new(ProstCodec::<A, Q>::default())
        .max_decoding_message_size(REQUEST_LIMIT)
        .unary(Unary(call), request)
        .await
}

/// One question, one answer, at once.
struct Unary<F>(F);

impl<Q, A, F: FnMut(&Q) -> Result<A, Status>> tower::Service<tonic::Request<Q>> for Unary<F> {
    type Response = tonic::Response<A>;
    type Error = Status;
    type Future = Ready<Result<tonic::Response<A>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        ready((self.0)(request.get_ref()).map(tonic::Response::new))
    }
}

/// The lists of one reader.
struct Lists {
    lists: WatchStream<ListAndWatchResponse>,
    _reader: Reader,
}

impl Stream for Lists {
    type Item = Result<ListAndWatchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.lists)
            .poll_next(context)
            .map(|list| list.map(Ok))
    }
}

/// The one stream that a call of `ListAndWatch` opens.
struct Streaming(Option<Lists>);

impl tower::Service<tonic::Request<Empty>> for Streaming {
    type Response = tonic::Response<Lists>;
    type Error = Status;
    type Future = Ready<Result<tonic::Response<Lists>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: tonic::Request<Empty>) -> Self::Future {
        let lists = self.0.take().map(tonic::Response::new);
        ready(lists.ok_or_else(|| Status::internal("one call opens one stream")))
    }
}
