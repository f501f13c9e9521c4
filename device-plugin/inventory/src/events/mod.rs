//! That something changed among the accelerators, as it happens and without polling.
//!
//! Two things of the kernel tell: its uevents (devices, drivers, modules that come and go;
//! `lib/kobject_uevent.c`) and inotify(7) on the places where nodes, driver libraries and firmware
//! lie. Neither says what the host looks like now: after each change the caller scans again. So a lost
//! event costs nothing as long as the loss is known, and it is ([`Change::overflow`]).
//!
//! Every watch is in place before [`Events::open`] and [`Events::wait`] return. A scan that follows
//! sees a change, or the next `wait` does.

mod places;
mod uevent;
mod watches;

use crate::health::messages::Message;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use uevent::{Uevent, parse as parse_uevent};

use places::Places;
use uevent::Uevents;
use watches::Watches;

/// The most different things that one change names; the rest is `and more`.
const NAMED_LIMIT: usize = 32;

/// The most messages on health that one change brings: some for each device of a large host.
const SAID_LIMIT: usize = 1024;

/// Why no events can be had.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// inotify(7) has no instance left, or is not there.
    #[error(
        "cannot watch files: inotify_init1 failed ({0}); raise fs.inotify.max_user_instances, or end \
         some of the programs that watch files"
    )]
    Inotify(#[source] nix::Error),
}

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What the kernel named, in words for a log: `add /devices/... (drm)`, `/dev/dri/renderD128`.
    /// Hostile text.
    pub what: Vec<String>,
    /// What the kernel said of the health of devices, in its order.
    pub said: Vec<Message>,
    /// The kernel had more to tell than it could keep: anything may have changed.
    pub overflow: bool,
    /// Nothing changed until the time was over.
    pub timed_out: bool,
}

impl Change {
    /// Whether anything may have changed.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.overflow || !self.what.is_empty()
    }
}

/// Where changes are heard of.
pub struct Events {
    uevents: Option<Uevents>,
    watches: Watches,
    gaps: Vec<Gap>,
}

impl Events {
    /// Listens to everything that can change the accelerators of `host`. `extra` are further files and
    /// folders, as the host names them: driver libraries, what a specification names. They need not
    /// exist yet.
    ///
    /// Under a host root whose `/sys` is a tree of plain files the tree itself is watched, since the
    /// kernel tells nothing of it.
    ///
    /// # Errors
    /// Where inotify cannot be had. Without uevents (no netlink in a container) the files are watched
    /// all the same, and [`gaps`](Events::gaps) says so.
    pub fn open(host: &HostRoot, extra: &[PathBuf]) -> Result<Events, EventsError> {
        let places = Places::of(host, extra);
        let mut gaps = Vec::new();
        let uevents = if places.live {
            Uevents::open()
                .map_err(|error| gaps.push(uevent::gap(error)))
                .ok()
        } else {
            None
        };
        let mut watches = Watches::new(host.clone(), places)?;
        watches.arm();
        Ok(Events {
            uevents,
            watches,
            gaps,
        })
    }

    /// Watches these further files and folders instead of those given before; whether they are others.
    /// What happened to them before this returns is not told.
    pub fn watch_instead(&mut self, extra: &[PathBuf]) -> bool {
        let others = self.watches.set_extra(extra);
        if others {
            self.watches.arm();
        }
        others
    }

    /// What is not watched, and why.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = self.gaps.clone();
        gaps.extend(self.watches.gaps());
        gaps
    }

    /// Waits for a change, at most `timeout`, without end where that is absent; costs no wake-up
    /// while nothing happens. All that is known by then comes as one change.
    ///
    /// # Errors
    /// Where poll(2) or reading fails for good.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Change> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if !self.poll(deadline)? {
                return Ok(Change {
                    timed_out: true,
                    ..Change::default()
                });
            }
            let mut heard = Heard::default();
            if let Some(uevents) = &mut self.uevents {
                uevents.drain(&mut heard)?;
            }
            self.watches.drain(&mut heard)?;
            let change = heard.into_change();
            if change.is_one() {
                return Ok(change);
            }
        }
    }

    /// Whether there is something to read before `deadline`.
    fn poll(&self, deadline: Option<Instant>) -> io::Result<bool> {
        let mut waits = vec![PollFd::new(self.watches.as_fd(), PollFlags::POLLIN)];
        if let Some(uevents) = &self.uevents {
            waits.push(PollFd::new(uevents.as_fd(), PollFlags::POLLIN));
        }
        loop {
            let timeout = match deadline {
                None => PollTimeout::NONE,
                Some(deadline) => left(deadline),
            };
            match poll(&mut waits, timeout) {
                Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                    return Ok(false);
                }
                Ok(0) | Err(nix::Error::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Rounded up, so that a wait of less than a millisecond does not spin.
fn left(deadline: Instant) -> PollTimeout {
    let left = deadline.saturating_duration_since(Instant::now());
    let millis = left.as_micros().div_ceil(1000);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

/// What was heard in one go.
#[derive(Debug, Default)]
struct Heard {
    what: BTreeSet<String>,
    said: Vec<Message>,
    more: bool,
    overflow: bool,
}

impl Heard {
    fn note(&mut self, what: String) {
        if self.what.len() < NAMED_LIMIT {
            self.what.insert(what);
        } else if !self.what.contains(&what) {
            self.more = true;
        }
    }

    /// What is beyond the bound is lost like an event, and a scan tells what is left of it.
    fn note_said(&mut self, message: Option<Message>) {
        if self.said.len() < SAID_LIMIT {
            self.said.extend(message);
        }
    }

    fn into_change(self) -> Change {
        let mut what: Vec<String> = self.what.into_iter().collect();
        if self.more {
            what.push("and more".to_owned());
        }
        Change {
            what,
            said: self.said,
            overflow: self.overflow,
            timed_out: false,
        }
    }
}

#[cfg(test)]
mod tests;
