//! Serving every resource and keeping the kubelet told of it.
//!
//! One rule orders everything: the old stream ends, then a new socket is served under a name never
//! used before, then the kubelet is told. A kubelet that looks a client up by its resource would
//! otherwise take the end of the old stream for the end of the new one (kubernetes/kubernetes #127803).

use super::folder::{Folder, Happened, KUBELET};
use super::register::{RegisterError, register};
use crate::plugin::serve::{Readers, Served};
use crate::plugin::state::State;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What a name of our sockets begins with.
const PREFIX: &str = "dunnage-";
/// The first wait before a registration is tried again, and the longest. A kubelet makes its socket a
/// moment before it listens.
const RETRY: Duration = Duration::from_millis(1);
const RETRY_LIMIT: Duration = Duration::from_secs(1);

/// How long a kubelet is given to read a list, and to forget a stream that ended: it takes milliseconds.
const READ: Duration = Duration::from_millis(100);

/// What is worth a line in a log, or a count.
#[derive(Debug)]
pub enum Report {
    /// The kubelet knows of a resource.
    Registered {
        /// Its name.
        resource: String,
        /// From when the kubelet came, or the resource was there, to its answer.
        took: Duration,
    },
    /// The kubelet could not be told, and is told again.
    Failed(RegisterError),
    /// A socket cannot be made.
    Socket(PathBuf, io::Error),
    /// The kubelet is not there.
    Absent(PathBuf),
}

/// One resource: its socket, and how far the kubelet knows of it.
struct Session {
    served: Served,
    endpoint: String,
    told: Told,
    readers: Readers,
}

/// How far the kubelet knows of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    /// Nobody was ever told of this socket.
    #[default]
    Untold,
    /// Whoever was there was told, or is being told.
    Told(Identity),
    /// Telling failed.
    Failed,
}

/// A [`Progress`] that a task reports.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Progress>>);

impl Told {
    /// That the kubelet is told now whose socket is at `path`.
    fn begin(&self, path: &Path) {
        self.set(Identity::of(path).map_or(Progress::Failed, Progress::Told));
    }

    fn set(&self, progress: Progress) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    fn get(&self) -> Progress {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells a socket from every other that was or will be under its name: of a file that was removed the next
/// one may have the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    made: (i64, i64),
}

impl Identity {
    fn of(path: &Path) -> Option<Identity> {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        Some(Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            // Nobody writes to a socket's file, so this is when it was made.
            made: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// Serves all resources of `state` and registers them with the kubelet whose sockets are in `folder`,
/// whenever it comes, until this is dropped. `report` is told what happens.
///
/// # Errors
/// Where the folder cannot be watched.
pub async fn attend(
    folder: &Path,
    state: &Arc<State>,
    report: &(dyn Fn(Report) + Sync),
) -> io::Result<()> {
    let mut folder = Folder::watch(folder)?;
    remove_orphans(folder.path());
    let mut resources = state.resources();
    let mut attendant = Attendant {
        state: Arc::clone(state),
        sessions: BTreeMap::new(),
        registering: JoinSet::new(),
        since: Instant::now(),
        left: Arc::default(),
        look: None,
        patience: READ,
    };
    let left = Arc::clone(&attendant.left);
    if !folder.kubelet().exists() {
        report(Report::Absent(folder.kubelet()));
    }
    loop {
        let names = resources.borrow_and_update().clone();
        attendant.serve(&names, &folder, report);
        tokio::select! {
            happened = folder.wait() => attendant.react(&happened?, &folder).await,
            changed = resources.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                attendant.since = Instant::now();
            }
            Some(done) = attendant.registering.join_next() => {
                if let Ok(done) = done {
                    report(done);
                }
                attendant.expect_readers();
            }
            () = left.notified() => attendant.expect_readers(),
            () = until(attendant.look) => attendant.look_after(&folder).await,
        }
    }
}

struct Attendant {
    state: Arc<State>,
    sessions: BTreeMap<String, Session>,
    /// One task a resource that the kubelet is being told of; each ends with a report.
    registering: JoinSet<Report>,
    since: Instant,
    /// Notified when the last reader of a resource goes.
    left: Arc<Notify>,
    /// When it is looked whether the kubelet reads what it was told of.
    look: Option<Instant>,
    /// How long it is given to begin.
    patience: Duration,
}

impl Attendant {
    /// Serves the resources that are not served yet, and tells the kubelet where it is there.
    fn serve(&mut self, names: &[String], folder: &Folder, report: &(dyn Fn(Report) + Sync)) {
        for resource in names {
            if self.sessions.contains_key(resource) || !folder.path().is_dir() {
                continue;
            }
            let endpoint = endpoint(resource);
            let path = folder.path().join(&endpoint);
            let readers = Readers::new(&self.left);
            match Served::open(&path, self.state.plugin(resource), &readers) {
                Ok(served) => {
                    let session = Session {
                        served,
                        endpoint,
                        told: Told::default(),
                        readers,
                    };
                    // Where there is no kubelet the folder tells when it comes.
                    if folder.kubelet().exists() {
                        let task = registering(resource.clone(), &session, folder, self.since);
                        self.registering.spawn(task);
                    }
                    self.sessions.insert(resource.clone(), session);
                }
                Err(error) => report(Report::Socket(path, error)),
            }
        }
    }

    /// A kubelet that came, or a socket of ours that somebody removed: everything anew. A kubelet that was
    /// seen already when the sockets were made is told of them once.
    async fn react(&mut self, happened: &Happened, folder: &Folder) {
        let lost = self
            .sessions
            .values()
            .any(|session| happened.removed.contains(&session.endpoint));
        let gone = !folder.path().is_dir();
        let came = happened.kubelet && !self.knows(folder);
        if !came && !lost && !gone {
            return;
        }
        self.since = Instant::now();
        self.registering.shutdown().await;
        if !lost && !gone && self.are_unheard_of(folder) {
            for (resource, session) in &self.sessions {
                let task = registering(resource.clone(), session, folder, self.since);
                self.registering.spawn(task);
            }
            return;
        }
        for (_, session) in std::mem::take(&mut self.sessions) {
            session.served.close().await;
        }
    }

    /// Looks in a moment whether the kubelet reads what it was told of.
    fn expect_readers(&mut self) {
        if self.look.is_none() {
            self.look = Some(Instant::now() + self.patience);
        }
    }

    /// A kubelet that lives and does not read has taken the end of an older stream of the resource for the end
    /// of this one, as those up to 1.36 do when a plugin was killed: it is told anew, ever more rarely.
    async fn look_after(&mut self, folder: &Folder) {
        self.look = None;
        if !self.registering.is_empty() {
            self.expect_readers();
            return;
        }
        let Some(there) = Identity::of(&folder.kubelet()) else {
            return;
        };
        let unread: Vec<String> = self
            .sessions
            .iter()
            .filter(|(_, one)| one.told.get() == Progress::Told(there) && one.readers.are_gone())
            .map(|(resource, _)| resource.clone())
            .collect();
        if unread.is_empty() {
            self.patience = READ;
            return;
        }
        if UnixStream::connect(folder.kubelet()).await.is_err() {
            // It has ended; the folder tells when it is back.
            return;
        }
        self.patience = (self.patience * 2).min(RETRY_LIMIT);
        self.since = Instant::now();
        for resource in unread {
            if let Some(session) = self.sessions.remove(&resource) {
                session.served.close().await;
            }
        }
    }

    /// Whether every socket is served and no kubelet was ever told of it: then there is no old stream.
    fn are_unheard_of(&self, folder: &Folder) -> bool {
        self.sessions.values().all(|session| {
            session.told.get() == Progress::Untold && folder.path().join(&session.endpoint).exists()
        })
    }

    /// Whether the kubelet that is there was told of every socket, or is being told.
    fn knows(&self, folder: &Folder) -> bool {
        let Some(there) = Identity::of(&folder.kubelet()) else {
            return false;
        };
        self.sessions.values().all(|session| {
            session.told.get() == Progress::Told(there)
                && folder.path().join(&session.endpoint).exists()
        })
    }
}

/// Sleeps until `at`, without end where there is nothing to wait for.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Tells the kubelet of a resource until it knows, or until there is nobody to tell.
fn registering(
    resource: String,
    session: &Session,
    folder: &Folder,
    since: Instant,
) -> impl Future<Output = Report> + Send + use<> {
    let kubelet = folder.kubelet();
    let (endpoint, told) = (session.endpoint.clone(), session.told.clone());
    told.begin(&kubelet);
    async move {
        let mut wait = RETRY;
        loop {
            match register(&kubelet, &endpoint, &resource).await {
                Ok(()) => {
                    return Report::Registered {
                        resource,
                        took: since.elapsed(),
                    };
                }
                // Without a socket there is nobody to try again with: the folder tells when there is.
                Err(error) if !kubelet.exists() => {
                    told.set(Progress::Failed);
                    return Report::Failed(error);
                }
                Err(error @ RegisterError::Refused { .. }) if wait >= RETRY_LIMIT => {
                    told.set(Progress::Failed);
                    return Report::Failed(error);
                }
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(RETRY_LIMIT);
            // Read before it is dialled: whoever comes in between is told once more.
            told.begin(&kubelet);
        }
    }
}

/// A name for a socket that was never used and never will be: a path with it in the kubelet's folder
/// keeps below the 107 bytes of sun_path.
fn endpoint(resource: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let hash = Sha256::digest(resource.as_bytes());
    let hash: String = hash
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let started = started();
    format!("{PREFIX}{hash}-{started:x}-{number}.sock")
}

/// Tells this start of this process from every other: with containers, process ids are alike.
fn started() -> u64 {
    use std::sync::OnceLock;
    use std::time::SystemTime;
    static STARTED: OnceLock<u64> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = now.map_or(0, |now| now.as_nanos());
        u64::try_from(nanos % (1 << 52)).unwrap_or(0) ^ u64::from(std::process::id())
    })
}

/// Removes the sockets of a start that was killed. Whoever still listens is another instance, which
/// is about to be replaced and removes its own.
fn remove_orphans(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten().take(1024) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = name.starts_with(PREFIX) && name.ends_with(".sock") && name != KUBELET;
        if ours {
            let refused = std::os::unix::net::UnixStream::connect(entry.path())
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if refused {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
