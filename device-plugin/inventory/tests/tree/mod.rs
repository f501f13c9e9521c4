//! Trees of a host's files in a text form, for tests: they stand in git without symbolic links that
//! lead out of the repository and without names that some file systems refuse.
//!
//! One entry a line, paths absolute as on the host:
//!
//! ```text
//! # a comment; the head of a file says where the tree comes from
//! F /sys/class/drm/card0/dev = 226:0\n
//! L /sys/class/drm/card0/device -> ../../../0000:00:02.0
//! D /sys/devices/empty
//! ```
//!
//! `\n`, `\t`, `\\` and `\xNN` stand for bytes; a file's content ends where the line does. Folders
//! above an entry are made. Device nodes need root and are not made: nodes have no access there.

use dunnage_host::HostRoot;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A tree on disk; it goes with the value.
pub struct Tree {
    directory: TempDir,
}

impl Tree {
    /// Unpacks `tests/trees/<name>.tree`.
    pub fn load(name: &str) -> Tree {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/trees")
            .join(format!("{name}.tree"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Tree::of(&text)
    }

    /// Unpacks a tree that is given as text.
    pub fn of(text: &str) -> Tree {
        let tree = Tree {
            directory: tempfile::tempdir().unwrap(),
        };
        tree.add(text);
        tree
    }

    /// Adds entries; a file that is there is written anew.
    pub fn add(&self, text: &str) {
        for (number, line) in text.lines().enumerate() {
            self.entry(line)
                .unwrap_or_else(|| panic!("line {}: {line:?} is no entry", number + 1));
        }
    }

    /// The host that the tree stands for.
    pub fn host(&self) -> HostRoot {
        HostRoot::new(self.directory.path())
    }

    /// Where `absolute` of the host is on disk.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.directory.path().join(absolute.trim_start_matches('/'))
    }

    fn entry(&self, line: &str) -> Option<()> {
        if line.is_empty() || line.starts_with('#') {
            return Some(());
        }
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "F" => {
                let (path, content) = rest.split_once(" = ").or(Some((rest.strip_suffix(" =")?, "")))?;
                fs::write(self.room(path), unescape(content)?).unwrap();
            }
            "L" => {
                let (path, target) = rest.split_once(" -> ")?;
                symlink(target, self.room(path)).unwrap();
            }
            "D" => fs::create_dir_all(self.path(rest)).unwrap(),
            _ => return None,
        }
        Some(())
    }

    /// The place of an entry, with the folders above it.
    fn room(&self, absolute: &str) -> PathBuf {
        let path = self.path(absolute);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}
