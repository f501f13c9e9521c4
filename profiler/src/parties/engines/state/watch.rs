//! Tells when a container's folder was made or removed; costs nothing while none is (inotify(7)).

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use tokio::io::unix::AsyncFd;

/// What tokio waits for: it asks for the number, nix gives the descriptor.
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// The watched folders.
pub(super) struct Watch {
    inotify: AsyncFd<Descriptor>,
    followed: HashSet<PathBuf>,
}

impl Watch {
    /// `None` where the kernel gives no watch (`fs.inotify.max_user_instances`).
    pub(super) fn new() -> Option<Watch> {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let descriptor = Descriptor(Inotify::init(flags).ok()?);
        #[expect(
            deprecated,
            reason = "the descriptor is owned by what is wrapped, which `new` does not ask for"
        )]
        let inotify = AsyncFd::new(descriptor).ok()?;
        Some(Watch {
            inotify,
            followed: HashSet::new(),
        })
    }

    /// Follows these folders from now on. One that is not there is not followed: its parent is.
    pub(super) fn follow(&mut self, folders: impl Iterator<Item = PathBuf>) {
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        let mut there = HashSet::new();
        for folder in folders {
            // One that was removed and made anew needs a new watch; for the others it is the same.
            let is_followed = self.followed.contains(&folder) && is_folder(&folder);
            if is_followed || self.inotify.get_ref().0.add_watch(&folder, flags).is_ok() {
                there.insert(folder);
            }
        }
        self.followed = there;
    }

    /// Waits until something changed in one of the folders.
    pub(super) async fn changed(&self) {
        let Ok(mut ready) = self.inotify.readable().await else {
            return std::future::pending().await;
        };
        // What it was is found by looking; the events only have to be taken out.
        while self
            .inotify
            .get_ref()
            .0
            .read_events()
            .is_ok_and(|events| !events.is_empty())
        {}
        ready.clear_ready();
    }
}

fn is_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}
