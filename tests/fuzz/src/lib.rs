//! What the fuzz targets share: a host that is made of text, and an engine that says what it is told.

pub mod engine;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Files in one tree; more are left out, so that a run stays short.
const MAX_FILES: usize = 96;
/// Path components; deeper files are left out.
const MAX_DEPTH: usize = 72;

/// A folder that plays the host's root, gone when it is dropped.
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Plants the files that `text` describes: each begins with a line `== /its/path`, and what
    /// follows up to the next such line is its content. `== /its/path -> word` is a symbolic link;
    /// its target has no slash, so that no link leads out. Paths are bytes, without `.` and `..`.
    ///
    /// # Panics
    /// Where the folder itself cannot be made: then nothing can be tested.
    #[must_use]
    pub fn plant(text: &[u8]) -> Tree {
        let base = Path::new("/dev/shm");
        let base = if base.is_dir() {
            base.to_owned()
        } else {
            std::env::temp_dir()
        };
        let root = base.join(format!("dunnage-fuzz-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).expect("the folder for the fuzzed host cannot be made");
        let tree = Tree { root };
        for section in sections(text).take(MAX_FILES) {
            tree.plant_one(section);
        }
        tree
    }

    /// Where it stands.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn plant_one(&self, section: &[u8]) {
        let (head, content) = split_once(section, b"\n").unwrap_or((section, b""));
        let (path, target) = match split_once(head, b" -> ") {
            Some((path, target)) => (path, Some(target)),
            None => (head, None),
        };
        let names: Vec<&[u8]> = path
            .split(|&byte| byte == b'/')
            .filter(|name| {
                !name.is_empty() && *name != b"." && *name != b".." && !name.contains(&0)
            })
            .collect();
        if names.is_empty() || names.len() > MAX_DEPTH {
            return;
        }
        let mut file = self.root.clone();
        file.extend(
            names
                .iter()
                .map(|name| Path::new(std::ffi::OsStr::from_bytes(name))),
        );
        // What the file system refuses (a name of 256 bytes, a file where a folder should be) is
        // simply not there, as on any host.
        if let Some(folder) = file.parent() {
            let _ = fs::create_dir_all(folder);
        }
        match target {
            Some(target) if !target.contains(&b'/') && target != b".." => {
                let _ = std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), &file);
            }
            Some(_) => {}
            None => {
                // Never through a link.
                let _ = fs::remove_file(&file);
                let _ = fs::write(&file, content);
            }
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The parts of `text` that begin with `== ` at the start of a line.
pub fn sections(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text.strip_prefix(b"== ");
    std::iter::from_fn(move || {
        let here = rest?;
        match split_once(here, b"\n== ") {
            Some((section, after)) => {
                rest = Some(after);
                Some(section)
            }
            None => {
                rest = None;
                Some(here)
            }
        }
    })
}

fn split_once<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}
