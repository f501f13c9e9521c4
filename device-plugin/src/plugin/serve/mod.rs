//! The plugin's side of the API: HTTP/2 on a Unix socket, a socket a resource.
//!
//! The connections of a socket end with it: the kubelet must see the end of an old stream before it
//! hears of a new socket (kubernetes/kubernetes #127803).

mod authority;
mod calls;
mod readers;

pub use calls::Plugin;
pub use readers::Readers;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{DuplexStream, Join};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// Connections to one socket at a time: the kubelet has one.
const CONNECTIONS_LIMIT: usize = 16;
/// Between the socket and the server.
const PIPE_BYTES: usize = 16_384;
/// When accepting failed, it is tried again after this.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// A socket that is served until it is closed or dropped; then its connections end, and it is removed.
pub struct Served {
    path: PathBuf,
    end: Option<oneshot::Sender<()>>,
    accepting: JoinHandle<()>,
}

impl Served {
    /// Binds `path` and serves `plugin` there from now on; `readers` counts who reads its list. A socket of that name that is there already
    /// is an error: names are never used twice.
    ///
    /// # Errors
    /// Where the socket cannot be made: the folder is missing or not ours to write, the path is longer
    /// than 107 bytes.
    pub fn open(path: &Path, plugin: Arc<dyn Plugin>, readers: &Readers) -> io::Result<Served> {
        let listener = UnixListener::bind(path)?;
        let (end, ended) = oneshot::channel();
        Ok(Served {
            path: path.to_path_buf(),
            end: Some(end),
            accepting: tokio::spawn(accept(listener, plugin, readers.clone(), ended)),
        })
    }

    /// Ends every connection, and returns when the last one has ended.
    pub async fn close(mut self) {
        self.end = None;
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The kubelet may have removed it; nobody else uses its name.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Accepts connections until `ended` is, and then ends them all.
async fn accept(
    listener: UnixListener,
    plugin: Arc<dyn Plugin>,
    readers: Readers,
    mut ended: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut ended => break,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_LIMIT => {
                match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve(stream, Arc::clone(&plugin), readers.clone()));
                    }
                    // Out of descriptors, most likely: one that ends makes room.
                    Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn serve(stream: UnixStream, plugin: Arc<dyn Plugin>, readers: Readers) {
    let service = hyper::service::service_fn(move |request| {
        let (plugin, readers) = (Arc::clone(&plugin), readers.clone());
        async move {
            Ok::<_, std::convert::Infallible>(calls::answer(&*plugin, &readers, request).await)
        }
    });
    let (stream, rewriting) = with_one_authority(stream);
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(64)
        .serve_connection(TokioIo::new(stream), service);
    // Whatever ends first ends the other: a client that is gone, or one that breaks the protocol.
    tokio::select! {
        _ = connection => {}
        Err(_) = rewriting => {}
    }
}

/// A client's connection as an HTTP/2 server takes it, whatever the client sends for its authority, and
/// the work that must go on as long as the connection does.
pub fn with_one_authority(
    stream: UnixStream,
) -> (
    Join<DuplexStream, OwnedWriteHalf>,
    impl Future<Output = io::Result<()>> + Send,
) {
    let (from_client, to_client) = stream.into_split();
    let (requests, feed) = tokio::io::duplex(PIPE_BYTES);
    let rewriting = authority::copy(from_client, feed);
    (tokio::io::join(requests, to_client), rewriting)
}
