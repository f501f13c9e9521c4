//! Facts of images, kept under what changes with the image, so that the second answer is quick.
//!
//! One file an image below `$XDG_CACHE_HOME/dunnage/check`, readable by its owner alone. What is read
//! back is as little trusted as an image: bounded, of this format's version, and of the key that was
//! asked for. A cache that cannot be used is as good as none: nothing fails because of it.

use super::facts::ImageFacts;
use super::image::{ImageMeta, Stamp};
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Raised whenever the facts, or the way they are read, change.
const FORMAT: u32 = 3;
/// The largest entry: facts of the largest images have some hundred kilobytes.
const MAX_ENTRY: u64 = 8 << 20;
/// Entries that are kept; the oldest go first.
const MAX_ENTRIES: usize = 256;
/// Bytes of all entries.
const MAX_BYTES: u64 = 64 << 20;
/// Where root keeps them when it has no home, as in a service.
const OF_THE_SYSTEM: &str = "/var/cache";

/// The folder by the environment (XDG base directory specification); absent where there is no home,
/// but for root.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .or_else(|| {
            let root = nix::unistd::geteuid().is_root();
            root.then(|| PathBuf::from(OF_THE_SYSTEM))
        })?;
    Some(base.join("dunnage/check"))
}

/// Where what was read of one image is kept.
#[derive(Clone, Debug)]
pub struct Entry {
    folder: PathBuf,
    key: String,
}

/// What was read of an image: never an answer, because the host may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What is said of it.
    pub meta: ImageMeta,
    /// What its files tell.
    pub facts: ImageFacts,
}

#[derive(Deserialize)]
struct Reading {
    format: u32,
    version: String,
    key: String,
    // Not flattened: serde would read keys of maps that are numbers as texts.
    meta: ImageMeta,
    facts: ImageFacts,
}

#[derive(Serialize)]
struct Writing<'a> {
    format: u32,
    version: &'a str,
    key: &'a str,
    meta: &'a ImageMeta,
    facts: &'a ImageFacts,
}

impl Entry {
    /// The entry of the image with this stamp.
    #[must_use]
    pub fn of(folder: &Path, stamp: &Stamp) -> Entry {
        Entry {
            folder: folder.to_path_buf(),
            key: stamp.key(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.key))
    }

    /// What is kept; `None` where there is nothing that can be used.
    #[must_use]
    pub fn read(&self) -> Option<Kept> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(self.path())
            .ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || !is_own(&metadata) {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(MAX_ENTRY + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > MAX_ENTRY {
            return None;
        }
        let reading: Reading = serde_json::from_slice(&bytes).ok()?;
        let same =
            reading.format == FORMAT && reading.version == VERSION && reading.key == self.key;
        same.then_some(Kept {
            meta: reading.meta,
            facts: reading.facts,
        })
    }

    /// Keeps what was read, whole or not at all. What fails is left: the next check reads the image
    /// again.
    pub fn write(&self, meta: &ImageMeta, facts: &ImageFacts) {
        let _ = self.try_write(meta, facts);
    }

    fn try_write(&self, meta: &ImageMeta, facts: &ImageFacts) -> std::io::Result<()> {
        let writing = Writing {
            format: FORMAT,
            version: VERSION,
            key: &self.key,
            meta,
            facts,
        };
        let bytes = serde_json::to_vec(&writing)?;
        if bytes.len() as u64 > MAX_ENTRY {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.folder)?;
        // Whoever can put files into the folder could have others removed by its name.
        if !is_own(&fs::symlink_metadata(&self.folder)?) {
            return Ok(());
        }
        self.make_room(bytes.len() as u64)?;
        let path = self.path();
        let draft = self.folder.join(format!("{DRAFT}{}", std::process::id()));
        let _ = fs::remove_file(&draft);
        let mut file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        let written = file
            .write_all(&bytes)
            .and_then(|()| fs::rename(&draft, &path));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }

    /// Removes the oldest entries where there are too many, or where `more` bytes find no room.
    fn make_room(&self, more: u64) -> std::io::Result<()> {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)?
            .take(MAX_ENTRIES * 4)
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok()?;
                let name = entry.file_name();
                let ours = is_of_cache(name.to_str()?) && metadata.is_file();
                ours.then_some(())?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        entries.sort();
        let mut count = entries.len() + 1;
        let mut bytes = more.saturating_add(entries.iter().map(|entry| entry.1).sum());
        for (_, size, path) in &entries {
            if count <= MAX_ENTRIES && bytes <= MAX_BYTES {
                break;
            }
            fs::remove_file(path)?;
            count -= 1;
            bytes -= size;
        }
        Ok(())
    }
}

/// Begins the names of entries that are being written.
const DRAFT: &str = ".draft-";

/// Whether a file of this name was made here.
fn is_of_cache(name: &str) -> bool {
    let digits = |hex: &str| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.starts_with(DRAFT) || name.strip_suffix(".json").is_some_and(digits)
}

/// Whether nobody else can have changed it.
fn is_own(metadata: &fs::Metadata) -> bool {
    metadata.uid() == nix::unistd::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

#[cfg(test)]
mod tests;
