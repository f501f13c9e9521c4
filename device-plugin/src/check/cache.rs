//! Facts of images, kept by the image's digest, so that the second answer is quick.
//!
//! One file an image below `$XDG_CACHE_HOME/dunnage/check`, readable by its owner alone. What is read
//! back is as little trusted as an image: bounded, of this format's version, and of the key that was
//! asked for. A cache that cannot be used is as good as none: nothing fails because of it.

use super::facts::ImageFacts;
use super::image::{ImageMeta, Source};
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Raised whenever the facts, or the way they are read, change.
const FORMAT: u32 = 1;
/// The largest entry: facts of the largest images have some hundred kilobytes.
const MAX_ENTRY: u64 = 8 << 20;
/// Entries that are kept; the oldest go first.
const MAX_ENTRIES: usize = 256;

/// The folder by the environment (XDG base directory specification); absent where there is no home.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("dunnage/check"))
}

/// Where the facts of one image are kept.
#[derive(Clone, Debug)]
pub struct Entry {
    folder: PathBuf,
    key: String,
}

#[derive(Deserialize)]
struct Kept {
    format: u32,
    key: String,
    facts: ImageFacts,
}

#[derive(Serialize)]
struct Keeping<'a> {
    format: u32,
    key: &'a str,
    facts: &'a ImageFacts,
}

impl Entry {
    /// The entry of an image; `None` for images without a digest: a root folder can change at any
    /// time, and looking whether it did costs as much as reading it.
    #[must_use]
    pub fn of(folder: &Path, source: &Source, meta: &ImageMeta) -> Option<Entry> {
        let digest = meta.digest.as_deref()?;
        // A digest names what an image should hold; whether it does, the reader of a file found out.
        // Another file that claims the same digest is read again.
        let file = match source {
            Source::Archive(path) | Source::Layout(path) => identity(path)?,
            Source::Registry { root, .. } | Source::Containerd { root, .. } => identity(root)?,
            Source::RootFs(_) => return None,
            Source::Engine { .. } => String::new(),
        };
        Some(Entry {
            folder: folder.to_path_buf(),
            key: format!("{digest} {} {file}", env!("CARGO_PKG_VERSION")),
        })
    }

    fn path(&self) -> PathBuf {
        let hash = Sha256::digest(self.key.as_bytes());
        let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{name}.json"))
    }

    /// The facts; `None` where there are none that can be used.
    #[must_use]
    pub fn read(&self) -> Option<ImageFacts> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(self.path())
            .ok()?;
        let metadata = file.metadata().ok()?;
        let own = metadata.uid() == nix::unistd::geteuid().as_raw();
        if !metadata.is_file() || !own || metadata.mode() & 0o022 != 0 {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(MAX_ENTRY + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > MAX_ENTRY {
            return None;
        }
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        (kept.format == FORMAT && kept.key == self.key).then_some(kept.facts)
    }

    /// Keeps facts, whole or not at all. What fails is left: the next check reads the image again.
    pub fn write(&self, facts: &ImageFacts) {
        let _ = self.try_write(facts);
    }

    fn try_write(&self, facts: &ImageFacts) -> std::io::Result<()> {
        let keeping = Keeping {
            format: FORMAT,
            key: &self.key,
            facts,
        };
        let bytes = serde_json::to_vec(&keeping)?;
        if bytes.len() as u64 > MAX_ENTRY {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.folder)?;
        self.make_room()?;
        let path = self.path();
        let draft = self.folder.join(format!(".draft-{}", std::process::id()));
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

    /// Removes the oldest entries where there are too many.
    fn make_room(&self) -> std::io::Result<()> {
        let mut entries: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.folder)?
            .take(MAX_ENTRIES * 4)
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
            })
            .collect();
        entries.sort();
        let surplus = (entries.len() + 1).saturating_sub(MAX_ENTRIES);
        for (_, path) in entries.iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// What changes when a file is written again.
fn identity(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    // The index of a layout changes with its content; blobs are named by theirs.
    let index = fs::metadata(path.join("index.json")).ok();
    let of = index.as_ref().unwrap_or(&metadata);
    Some(format!(
        "{}:{}:{}:{}.{:09}",
        of.dev(),
        of.ino(),
        of.size(),
        of.mtime(),
        of.mtime_nsec()
    ))
}

#[cfg(test)]
mod tests;
