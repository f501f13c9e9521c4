//! What happens in the kubelet's folder of sockets, by inotify(7).
//!
//! The kubelet removes every socket in it when it starts, its own among them, and then makes its own
//! anew. The folder itself may go and come; while it is away, its parents are watched instead.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use tokio::sync::mpsc;

/// The kubelet's own socket.
pub const KUBELET: &str = "kubelet.sock";

/// What happened since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// The kubelet's socket was made, or the folder itself, or it is not known what.
    pub kubelet: bool,
    /// Files that were removed.
    pub removed: BTreeSet<String>,
}

/// A folder under watch.
pub struct Folder {
    path: PathBuf,
    happened: mpsc::Receiver<io::Result<Happened>>,
}

impl Folder {
    /// Watches `path`, which need not be there yet.
    ///
    /// # Errors
    /// Where inotify or a thread cannot be had.
    pub fn watch(path: &Path) -> io::Result<Folder> {
        let mut watcher = Watcher {
            path: path.to_path_buf(),
            inotify: Inotify::init(InitFlags::IN_CLOEXEC)?,
            own: None,
            parents: Vec::new(),
        };
        watcher.arm();
        let (tell, happened) = mpsc::channel(64);
        thread::Builder::new()
            .name("kubelet-folder".to_owned())
            .stack_size(64 << 10)
            .spawn(move || watcher.run(&tell))?;
        Ok(Folder {
            path: path.to_path_buf(),
            happened,
        })
    }

    /// Where the kubelet's socket is, or will be.
    #[must_use]
    pub fn kubelet(&self) -> PathBuf {
        self.path.join(KUBELET)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for something that matters. All that is known by then comes at once.
    ///
    /// # Errors
    /// Where reading fails for good.
    pub async fn wait(&mut self) -> io::Result<Happened> {
        let ended = || io::Error::other("the thread that watches the kubelet's folder ended");
        let mut all = self.happened.recv().await.ok_or_else(ended)??;
        while let Ok(more) = self.happened.try_recv() {
            let more = more?;
            all.kubelet |= more.kubelet;
            all.removed.extend(more.removed);
        }
        Ok(all)
    }
}

/// What reads the events, in a thread of its own: a blocking read costs no wake-up.
struct Watcher {
    path: PathBuf,
    inotify: Inotify,
    own: Option<WatchDescriptor>,
    /// Of the parents, while the folder is away.
    parents: Vec<WatchDescriptor>,
}

impl Watcher {
    fn run(mut self, tell: &mpsc::Sender<io::Result<Happened>>) {
        loop {
            let read = self.read();
            let ended = read.is_err();
            let quiet = read
                .as_ref()
                .is_ok_and(|happened| *happened == Happened::default());
            if ended || !quiet {
                let sent = tell.blocking_send(read);
                if ended || sent.is_err() {
                    return;
                }
            }
        }
    }

    fn read(&mut self) -> io::Result<Happened> {
        let events = match self.inotify.read_events() {
            Ok(events) => events,
            Err(Errno::EINTR) => return Ok(Happened::default()),
            Err(errno) => return Err(errno.into()),
        };
        let mut happened = Happened::default();
        let mut others = false;
        for event in events {
            others |= !note(&event, self.own, &mut happened);
        }
        if others {
            let before = self.own;
            self.arm();
            // A folder that came may hold a kubelet's socket already.
            happened.kubelet |= self.own != before;
        }
        Ok(happened)
    }

    /// Watches the folder, or where it is away those above it. What cannot be watched is not there.
    fn arm(&mut self) {
        use AddWatchFlags as Flag;
        let moves = Flag::IN_CREATE | Flag::IN_MOVED_TO | Flag::IN_MOVED_FROM | Flag::IN_DELETE;
        let flags = moves | Flag::IN_DELETE_SELF | Flag::IN_MOVE_SELF | Flag::IN_ONLYDIR;
        let inotify = &self.inotify;
        let before = self.own;
        self.own = inotify.add_watch(&self.path, flags).ok();
        if self.own.is_none() {
            let parents = self.path.ancestors().skip(1);
            self.parents = parents
                .filter_map(|parent| inotify.add_watch(parent, flags).ok())
                .collect();
            // It may have come meanwhile.
            self.own = inotify.add_watch(&self.path, flags).ok();
        }
        if self.own.is_some() {
            for parent in self.parents.drain(..) {
                let _ = inotify.rm_watch(parent);
            }
        }
        // One that was moved away is not ours any more, wherever it is now.
        if let Some(before) = before.filter(|before| Some(*before) != self.own) {
            let _ = inotify.rm_watch(before);
        }
    }
}

/// Notes an event of the folder; false for one of a parent, or of the folder as a whole.
fn note(event: &InotifyEvent, own: Option<WatchDescriptor>, happened: &mut Happened) -> bool {
    use AddWatchFlags as Flag;
    if event.mask.contains(Flag::IN_Q_OVERFLOW) {
        happened.kubelet = true;
        return false;
    }
    let Some(name) = event.name.as_ref().filter(|_| Some(event.wd) == own) else {
        return false;
    };
    let name = name.to_string_lossy().into_owned();
    if event.mask.intersects(Flag::IN_CREATE | Flag::IN_MOVED_TO) {
        happened.kubelet |= name == KUBELET;
        happened.removed.remove(&name);
    } else {
        happened.removed.insert(name);
    }
    true
}
