//! The engines' own interfaces: asked in one background thread, bounded, retried.
//!
//! Every answer has a time limit and a size limit, a failed engine is asked again after a pause that
//! grows from 250 ms to 10 s, and nothing an engine says can end the thread.

mod bounded;
mod containerd;
mod cri;
mod docker;
mod find;
mod grpc;
mod placement;
mod state;

use super::PartiesOptions;
use super::shared::{Registered, Shared};
use crate::host::HostRoot;
use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// The largest answer taken, in bytes.
const ANSWER_LIMIT: usize = 16 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often new users' engines are looked for.
const LOOK_AROUND: Duration = Duration::from_secs(10);
/// How often an engine is asked for everything although it would have told the news.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The interfaces that are spoken, in the order in which their answers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EngineKind {
    /// The kubelet's runtime interface, of containerd or CRI-O.
    Cri,
    /// Docker's REST interface.
    Docker,
    /// Podman's, which is the same with few differences.
    Podman,
    /// containerd's own.
    Containerd,
    /// State folders of runc and crun: no socket, but a folder.
    Runc,
}

impl EngineKind {
    /// The word for `--engine-socket WORD=PATH`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EngineKind::Cri => "cri",
            EngineKind::Docker => "docker",
            EngineKind::Podman => "podman",
            EngineKind::Containerd => "containerd",
            EngineKind::Runc => "runc",
        }
    }
}

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(word: &str) -> Result<EngineKind, UnknownEngine> {
        match word {
            "cri" | "crio" | "cri-o" => Ok(EngineKind::Cri),
            "docker" => Ok(EngineKind::Docker),
            "podman" => Ok(EngineKind::Podman),
            "containerd" => Ok(EngineKind::Containerd),
            "runc" | "crun" => Ok(EngineKind::Runc),
            _ => Err(UnknownEngine(word.to_owned())),
        }
    }
}

/// A word that names no engine.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no engine; there are docker, podman, containerd, cri and runc")]
pub struct UnknownEngine(pub String);

/// Why a session with an engine ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No socket there.
    #[error("no such socket")]
    Absent,
    /// It will not talk to us.
    #[error("{0}")]
    Refused(String),
    /// It talks, or should, and says nothing of use.
    #[error("{0}")]
    Failing(String),
}

impl Failure {
    fn failing(what: &str, why: impl std::fmt::Display) -> Failure {
        // Errors quote what was sent to us, which may be long.
        Failure::Failing(format!("{what}: {why}").chars().take(300).collect())
    }
}

/// One engine at one address.
#[derive(Clone)]
pub(super) struct Source {
    kind: EngineKind,
    path: PathBuf,
    timeout: Duration,
    root: HostRoot,
    shared: Arc<Shared>,
    registered: Registered,
}

impl Source {
    /// Runs one request under the time limit.
    async fn in_time<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::failing(
                what,
                format!("no answer within {:?}", self.timeout),
            )),
        }
    }

    /// Whether somebody listens, and lets us in.
    async fn probe(&self) -> Result<(), Failure> {
        let connecting = async { UnixStream::connect(&self.path).await.map_err(refusal) };
        self.in_time("connect", connecting).await.map(drop)
    }

    /// One session after the other, for ever.
    async fn keep_asking(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let before = self.shared.answers_of(self.registered.id);
            let Err(failure) = self.session().await;
            self.shared.failed(self.registered.id, &failure);
            if self.shared.answers_of(self.registered.id) > before {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn session(&self) -> Result<Infallible, Failure> {
        match self.kind {
            EngineKind::Cri => cri::session(self).await,
            EngineKind::Docker | EngineKind::Podman => docker::session(self).await,
            EngineKind::Containerd => containerd::session(self).await,
            EngineKind::Runc => state::session(self).await,
        }
    }
}

fn refusal(error: std::io::Error) -> Failure {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Failure::Absent,
        ErrorKind::PermissionDenied => Failure::Refused(
            "no permission: run as root or as a member of the socket's group".into(),
        ),
        ErrorKind::ConnectionRefused => Failure::Refused("nobody listens on the socket".into()),
        _ => Failure::failing("connect", error),
    }
}

/// Finds the engines and starts the thread that asks them, until `stopped` is closed.
pub(super) fn start(
    root: &HostRoot,
    options: &PartiesOptions,
    shared: &Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let mut finder = find::Finder::new(root.clone(), options.clone(), Arc::clone(shared));
    let found = finder.find();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(ask_all(finder, found, stopped)),
            Err(error) => tracing::warn!(%error, "engines are not asked: no runtime"),
        }
    };
    let thread = std::thread::Builder::new()
        .name("dunnage-names".to_owned())
        .spawn(run);
    if let Err(error) = thread {
        tracing::warn!(%error, "engines are not asked: no thread");
    }
}

async fn ask_all(mut finder: find::Finder, mut found: Vec<Source>, stopped: oneshot::Receiver<()>) {
    let mut stopped = std::pin::pin!(stopped);
    loop {
        for source in found {
            tokio::spawn(source.keep_asking());
        }
        tokio::select! {
            // Its sender never sends: this is the drop of `Parties`.
            _ = &mut stopped => return,
            () = tokio::time::sleep(LOOK_AROUND) => found = finder.find(),
        }
    }
}
