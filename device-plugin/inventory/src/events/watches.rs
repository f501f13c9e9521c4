//! Places of the host watched by inotify(7), whether they exist yet or not.
//!
//! A path is watched along its whole length: each folder on it for the next part, each symbolic link
//! where it stands and where it leads. So a folder that is swapped by a rename, a link that is turned
//! (as alternatives do) and a folder that appears are all seen.

use super::places::{Folder, Listen, Places};
use super::{EventsError, Heard};
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags as Mask, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

/// The most folders that are watched. The kernel's own limit for a user is 8192 and more
/// (`/proc/sys/fs/inotify/max_user_watches`).
const FOLDERS_LIMIT: usize = 16_384;

/// The most entries of one folder that are looked at for folders.
const ENTRIES_LIMIT: usize = 16_384;

/// As the kernel follows links (path_resolution(7)).
const LINKS_LIMIT: u32 = 40;

/// The most parts of a path.
const PARTS_LIMIT: usize = 128;

/// Rounds of looking and watching, until nothing new appears; a host that makes folders faster than
/// that is heard of by the events themselves.
const ROUNDS: usize = 16;

/// Reads of one go, each of 4 KiB.
const READS_LIMIT: usize = 4096;

/// What matters in one folder.
#[derive(Clone, Debug, Default)]
struct Interest {
    /// Entries that stand on a watched path.
    names: BTreeSet<OsString>,
    /// Which other entries matter.
    filters: Vec<fn(&OsStr) -> bool>,
    /// Which new folders are gone into.
    enter: Vec<fn(&OsStr) -> bool>,
    listen: Listen,
    /// It is a file, and its closing matters.
    session: bool,
}

impl Interest {
    fn mask(&self) -> Mask {
        let mut mask = Mask::IN_DONT_FOLLOW;
        if self.session {
            return mask | Mask::IN_CLOSE | Mask::IN_DELETE_SELF;
        }
        mask |= Mask::IN_ONLYDIR | STRUCTURE | Mask::IN_DELETE_SELF | Mask::IN_MOVE_SELF;
        if self.listen.contents {
            mask |= Mask::IN_CLOSE_WRITE;
        }
        if self.listen.attributes {
            mask |= Mask::IN_ATTRIB;
        }
        mask
    }

    fn merge(&mut self, other: Interest) {
        self.names.extend(other.names);
        self.filters.extend(other.filters);
        self.enter.extend(other.enter);
        self.listen.contents |= other.listen.contents;
        self.listen.attributes |= other.listen.attributes;
        self.session |= other.session;
    }
}

/// Entries that come and go.
const STRUCTURE: Mask = Mask::IN_CREATE
    .union(Mask::IN_DELETE)
    .union(Mask::IN_MOVED_FROM)
    .union(Mask::IN_MOVED_TO);

/// The watched folder itself came to an end.
const ENDED: Mask = Mask::IN_IGNORED
    .union(Mask::IN_DELETE_SELF)
    .union(Mask::IN_MOVE_SELF)
    .union(Mask::IN_UNMOUNT);

/// All watches.
pub(super) struct Watches {
    host: HostRoot,
    places: Places,
    inotify: Inotify,
    watched: HashMap<WatchDescriptor, (PathBuf, Interest)>,
    refused: Option<(PathBuf, Errno)>,
    cut: bool,
}

impl Watches {
    pub(super) fn new(host: HostRoot, places: Places) -> Result<Watches, EventsError> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Ok(Watches {
            host,
            places,
            inotify: Inotify::init(flags).map_err(EventsError::Inotify)?,
            watched: HashMap::new(),
            refused: None,
            cut: false,
        })
    }

    /// Whether these are others than before.
    pub(super) fn set_extra(&mut self, extra: &[PathBuf]) -> bool {
        let changed = self.places.extra != extra;
        if changed {
            self.places.extra = extra.to_vec();
        }
        changed
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    pub(super) fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        if let Some((path, errno)) = &self.refused {
            let help = match errno {
                Errno::ENOSPC => "; raise fs.inotify.max_user_watches",
                _ => "",
            };
            let why = format!("cannot be watched ({errno}); changes there are not seen{help}");
            gaps.push(Gap::new(path.display().to_string(), why));
        }
        if self.cut {
            let why = format!("more than {FOLDERS_LIMIT} folders; not all of them are watched");
            gaps.push(Gap::new("inotify", why));
        }
        gaps
    }

    /// Watches everything there is to watch. A folder may change between the look at it and the
    /// watch on it, so it looks again after each round that set a new watch.
    pub(super) fn arm(&mut self) {
        for _ in 0..ROUNDS {
            let plan = Plan::of(&self.host, &self.places);
            self.cut = plan.cut;
            if !self.apply(plan.interests) {
                return;
            }
        }
    }

    /// Sets these watches and takes away all others; whether one is new.
    fn apply(&mut self, interests: BTreeMap<PathBuf, Interest>) -> bool {
        self.refused = None;
        let mut now: HashMap<WatchDescriptor, (PathBuf, Interest)> = HashMap::new();
        let mut new = false;
        for (path, interest) in interests {
            let place = self.host.path(&path);
            match self.inotify.add_watch(&place, interest.mask()) {
                Ok(watch) => {
                    new |= !self.watched.contains_key(&watch);
                    if let Some((_, same)) = now.get_mut(&watch) {
                        // One folder under two paths, as by a bind mount.
                        same.merge(interest);
                        let _ = self.inotify.add_watch(&place, same.mask());
                    } else {
                        now.insert(watch, (path, interest));
                    }
                }
                // Gone since it was looked at; the folder above it tells.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
                Err(errno) => {
                    self.refused.get_or_insert((path, errno));
                }
            }
        }
        for old in self.watched.keys().filter(|watch| !now.contains_key(watch)) {
            // Fails where the kernel took it away already, because the folder is gone.
            let _ = self.inotify.rm_watch(*old);
        }
        self.watched = now;
        new
    }

    /// Reads all that is there, and watches what is new.
    pub(super) fn drain(&mut self, heard: &mut Heard) -> io::Result<()> {
        let mut rearm = false;
        for round in 0.. {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in &events {
                        rearm |= self.hear(event, heard);
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if round == READS_LIMIT {
                heard.overflow = true;
                break;
            }
        }
        if rearm {
            self.arm();
        }
        Ok(())
    }

    /// Notes the event where it matters; whether the watches must be looked over.
    fn hear(&self, event: &InotifyEvent, heard: &mut Heard) -> bool {
        if event.mask.contains(Mask::IN_Q_OVERFLOW) {
            heard.overflow = true;
            return true;
        }
        let Some((path, interest)) = self.watched.get(&event.wd) else {
            return false;
        };
        let Some(name) = &event.name else {
            let ended = event.mask.intersects(ENDED);
            if ended || (interest.session && event.mask.intersects(Mask::IN_CLOSE)) {
                heard.note(path.display().to_string());
            }
            return ended;
        };
        let on_path = interest.names.contains(name);
        let folder =
            event.mask.contains(Mask::IN_ISDIR) && interest.enter.iter().any(|enter| enter(name));
        if on_path || folder || interest.filters.iter().any(|matters| matters(name)) {
            heard.note(path.join(name).display().to_string());
        }
        (on_path || folder) && event.mask.intersects(STRUCTURE)
    }
}

/// What to watch, as the host looks now.
struct Plan<'a> {
    host: &'a HostRoot,
    interests: BTreeMap<PathBuf, Interest>,
    /// Where a path leads; `None` for what is not there.
    known: HashMap<PathBuf, Option<PathBuf>>,
    cut: bool,
}

impl<'a> Plan<'a> {
    fn of(host: &'a HostRoot, places: &Places) -> Plan<'a> {
        let mut plan = Plan {
            host,
            interests: BTreeMap::new(),
            known: HashMap::new(),
            cut: false,
        };
        for folder in &places.folders {
            if let Some(real) = plan.follow(&folder.path) {
                plan.folder(&real, folder, folder.depth);
            }
        }
        for file in places.files.iter().chain(&places.extra) {
            plan.file(file);
        }
        for file in &places.sessions {
            if let Some(real) = plan.follow(file) {
                plan.interest(&real).session = true;
            }
        }
        plan
    }

    fn interest(&mut self, path: &Path) -> &mut Interest {
        self.interests.entry(path.to_path_buf()).or_default()
    }

    /// A folder at its real path, and those below it.
    fn folder(&mut self, real: &Path, wanted: &Folder, depth: usize) {
        if self.interests.len() >= FOLDERS_LIMIT {
            self.cut = true;
            return;
        }
        let interest = self.interest(real);
        interest.filters.push(wanted.names);
        interest.listen.contents |= wanted.listen.contents;
        interest.listen.attributes |= wanted.listen.attributes;
        if depth == 0 {
            return;
        }
        interest.enter.push(wanted.enter);
        let Ok((names, more)) = self.host.entries(real, ENTRIES_LIMIT) else {
            return;
        };
        self.cut |= more;
        for name in names.iter().filter(|name| (wanted.enter)(name)) {
            let below = real.join(name);
            // Links are not gone into: what they lead to is watched where it stands.
            if fs::symlink_metadata(self.host.path(&below)).is_ok_and(|below| below.is_dir()) {
                self.folder(&below, wanted, depth - 1);
            }
        }
    }

    /// A single file or folder.
    fn file(&mut self, path: &Path) {
        let Some(real) = self.follow(path) else {
            return;
        };
        let is_folder = fs::symlink_metadata(self.host.path(&real)).is_ok_and(|real| real.is_dir());
        let contents = Listen {
            contents: !real.starts_with("/dev"),
            attributes: false,
        };
        if is_folder {
            let interest = self.interest(&real);
            interest.filters.push(|_| true);
            interest.listen.contents |= contents.contents;
        } else if let Some(parent) = real.parent() {
            self.interest(parent).listen.contents |= contents.contents;
        }
    }

    /// Where `path` leads once all links are followed, with an interest in everything on the way;
    /// `None` where it is not there.
    fn follow(&mut self, path: &Path) -> Option<PathBuf> {
        if path.components().count() > PARTS_LIMIT {
            return None;
        }
        let mut links = LINKS_LIMIT;
        self.descend(Path::new("/").to_path_buf(), path, &mut links)
    }

    fn descend(&mut self, from: PathBuf, path: &Path, links: &mut u32) -> Option<PathBuf> {
        let mut at = from;
        for part in path.components() {
            match part {
                Component::RootDir => at = "/".into(),
                Component::ParentDir => {
                    at.pop();
                }
                Component::Normal(name) => at = self.step(&at, name, links)?,
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Some(at)
    }

    /// From the real folder `at` to its entry `name`.
    fn step(&mut self, at: &Path, name: &OsStr, links: &mut u32) -> Option<PathBuf> {
        let path = at.join(name);
        if let Some(known) = self.known.get(&path) {
            return known.clone();
        }
        self.interest(at).names.insert(name.to_owned());
        // All parts above are real folders, so that this looks at the entry itself.
        let entry = fs::symlink_metadata(self.host.path(&path)).ok();
        let found = match entry {
            Some(entry) if entry.is_symlink() => self.turn(at, &path, links),
            Some(_) => Some(path.clone()),
            None => None,
        };
        self.known.insert(path, found.clone());
        found
    }

    /// Where the link at `path`, which stands in `at`, leads.
    fn turn(&mut self, at: &Path, path: &Path, links: &mut u32) -> Option<PathBuf> {
        *links = links.checked_sub(1)?;
        let target = self.host.link(path).ok()?;
        self.descend(at.to_path_buf(), &target, links)
    }
}
