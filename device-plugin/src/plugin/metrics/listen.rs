//! Where `/metrics` is read: HTTP/1.1 on one TCP or Unix socket. It answers that one question.

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tonic::body::Body;

/// Readers at a time: there is one Prometheus, or two.
const CONNECTIONS_LIMIT: usize = 8;
/// A reader that has not asked, or not read, by then is gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// When accepting failed, it is tried again after this.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// The largest request with its headers.
const REQUEST_LIMIT: usize = 16_384;

/// A page that is being made.
pub type Page = Pin<Box<dyn Future<Output = String> + Send>>;
/// Makes a page whenever somebody asks.
pub type MakePage = Arc<dyn Fn() -> Page + Send + Sync>;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address and port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Place::Unix(path.into()));
        }
        text.parse().map(Place::Tcp).map_err(|_| {
            "give an address with its port, as 127.0.0.1:9412 or [::]:9412, or the path of a socket"
                .to_owned()
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => write!(f, "{address}"),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// A socket that is listened to until this is dropped.
pub struct Listener(Bound);

impl Listener {
    /// Listens at `place`. A socket that nobody listens to any more is replaced.
    ///
    /// # Errors
    /// Where the address is taken or not this host's, or the socket cannot be made.
    pub async fn bind(place: &Place) -> io::Result<Listener> {
        match place {
            Place::Tcp(address) => TcpListener::bind(address).await.map(Bound::Tcp),
            Place::Unix(path) => {
                remove_orphan(path).await;
                UnixListener::bind(path).map(|there| Bound::Unix(there, path.clone()))
            }
        }
        .map(Listener)
    }

    /// The address, where a port was chosen by the kernel.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Bound::Tcp(listener) => listener.local_addr().ok(),
            Bound::Unix(..) => None,
        }
    }

    /// Answers with the pages that `page` makes, for ever.
    pub async fn serve(self, page: MakePage) {
        let mut connections = JoinSet::new();
        loop {
            let accepting = async {
                match &self.0 {
                    Bound::Tcp(listener) => {
                        let (stream, _) = listener.accept().await?;
                        Ok::<_, io::Error>(Box::pin(answer(stream, Arc::clone(&page))) as Answering)
                    }
                    Bound::Unix(listener, _) => {
                        let (stream, _) = listener.accept().await?;
                        Ok(Box::pin(answer(stream, Arc::clone(&page))) as Answering)
                    }
                }
            };
            tokio::select! {
                accepted = accepting, if connections.len() < CONNECTIONS_LIMIT => match accepted {
                    Ok(answering) => {
                        connections.spawn(answering);
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Bound::Unix(_, path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn answer<S>(stream: S, page: MakePage)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let page = Arc::clone(&page);
        async move { Ok::<_, Infallible>(response(&request, &*page).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(REQUEST_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(PATIENCE, connection).await;
}

async fn response(
    request: &Request<Incoming>,
    page: &(dyn Fn() -> Page + Send + Sync),
) -> Response<Body> {
    let plain = |status: StatusCode, text: String| {
        let mut response = Response::new(Body::new(text));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "it is at /metrics\n".to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET it\n".to_owned());
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    let mut response = plain(StatusCode::OK, page().await);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Removes the socket of a start that was killed.
async fn remove_orphan(path: &Path) {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        let _ = std::fs::remove_file(path);
    }
}
