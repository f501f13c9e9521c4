//! Whether an image is still the one that was read, told without reading it again.
//!
//! Of files: which they are, how long, and when they were last changed. The time of change (ctime) is
//! the kernel's own: whoever writes a file can set its time of modification back, and not this one.
//! Of an engine's image: all that the engine says of it, its digest among that.

use super::digest::Hasher;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Within this time after a change another one may leave the same time of change: the kernel's clock
/// for files ticks a hundred times a second at least.
const TICK: Duration = Duration::from_millis(100);
/// The same for file systems that count whole seconds, or two.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// What two readings of the same image have in common, and two of different images do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    text: String,
    /// From when on a change shows.
    settled: Duration,
}

impl Stamp {
    /// The stamp of what `name` stands for, which changes with `text`.
    pub(super) fn new(name: &str, text: &str) -> Stamp {
        let mut stamp = Stamp {
            text: String::new(),
            settled: Duration::ZERO,
        };
        stamp.add(name);
        stamp.add(text);
        stamp
    }

    /// A further word, told apart from its neighbours whatever it holds.
    fn add(&mut self, word: &str) {
        self.text.push_str(&format!("{}:{word} ", word.len()));
    }

    /// Adds a file that belongs to it.
    pub(super) fn add_file(&mut self, metadata: &Metadata) {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        self.add(&format!(
            "{}:{}:{}:{}.{:09}:{}.{:09}",
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            changed.0,
            changed.1,
        ));
        let tick = if changed.1 == 0 { COARSE_TICK } else { TICK };
        let changed = Duration::new(
            u64::try_from(changed.0).unwrap_or(0),
            u32::try_from(changed.1).unwrap_or(0),
        );
        self.settled = self.settled.max(changed.saturating_add(tick));
    }

    /// Whether a change after `moment` shows: not where the last one was just before it.
    #[must_use]
    pub fn settled_by(&self, moment: SystemTime) -> bool {
        (moment.duration_since(UNIX_EPOCH)).is_ok_and(|since| since > self.settled)
    }

    /// As a key: 64 hexadecimal digits.
    #[must_use]
    pub fn key(&self) -> String {
        let mut hasher = Hasher::default();
        hasher.update(self.text.as_bytes());
        hasher.finish().hex().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, FileTimes};

    fn stamp(path: &std::path::Path) -> Stamp {
        let mut stamp = Stamp::new("archive", "x");
        stamp.add_file(&fs::metadata(path).unwrap());
        stamp
    }

    #[test]
    fn a_file_that_is_changed_in_place_with_its_time_set_back_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        fs::write(&path, "one").unwrap();
        let first = stamp(&path);
        assert_eq!(stamp(&path), first);
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        // The kernel's clock for files moves on by itself; a change within one tick is what
        // `settled_by` is for.
        while stamp(&path).key() == first.key() {
            fs::write(&path, "two").unwrap();
            let times = FileTimes::new().set_modified(before);
            let file = File::options().write(true).open(&path).unwrap();
            file.set_times(times).unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn what_was_changed_just_now_may_change_again_unseen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        fs::write(&path, "one").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let changed = Duration::new(
            u64::try_from(metadata.ctime()).unwrap(),
            u32::try_from(metadata.ctime_nsec()).unwrap(),
        );
        let changed = UNIX_EPOCH + changed;
        assert!(!stamp(&path).settled_by(changed));
        assert!(!stamp(&path).settled_by(changed + TICK));
        assert!(!stamp(&path).settled_by(UNIX_EPOCH - TICK));
        assert!(stamp(&path).settled_by(changed + COARSE_TICK + TICK));
        assert!(Stamp::new("engine", "x").settled_by(UNIX_EPOCH + TICK));
    }

    #[test]
    fn words_do_not_run_into_each_other() {
        assert_ne!(Stamp::new("a", "b c").key(), Stamp::new("a b", "c").key());
        assert_ne!(Stamp::new("a", "1:b").key(), Stamp::new("a 1:b", "").key());
    }
}
