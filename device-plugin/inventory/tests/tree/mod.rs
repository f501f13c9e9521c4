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

#![allow(
    clippy::unwrap_used,
    reason = "a tree that cannot be unpacked fails the test"
)]
#![allow(dead_code, reason = "no test uses all of it")]

use dunnage_host::HostRoot;
use dunnage_inventory::{Config, Device, Inventory, scan};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What is found on the tree of that name.
pub(crate) fn inventory(name: &str) -> Inventory {
    scan(&Tree::load(name).host(), &Config::default())
}

/// Those of one family.
pub(crate) fn of<'a>(inventory: &'a Inventory, family: &str) -> Vec<&'a Device> {
    inventory
        .devices
        .iter()
        .filter(|device| device.family == family)
        .collect()
}

/// A tree on disk; it goes with the value.
pub(crate) struct Tree {
    directory: TempDir,
}

impl Tree {
    /// Unpacks `tests/trees/<name>.tree`.
    pub(crate) fn load(name: &str) -> Tree {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/trees")
            .join(format!("{name}.tree"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Tree::of(&text)
    }

    /// Unpacks a tree that is given as text.
    pub(crate) fn of(text: &str) -> Tree {
        let tree = Tree {
            directory: tempfile::tempdir().unwrap(),
        };
        tree.add(text);
        tree
    }

    /// Adds entries; a file that is there is written anew.
    pub(crate) fn add(&self, text: &str) {
        for (number, line) in text.lines().enumerate() {
            self.entry(line)
                .unwrap_or_else(|| panic!("line {}: {line:?} is no entry", number + 1));
        }
    }

    /// The host that the tree stands for.
    pub(crate) fn host(&self) -> HostRoot {
        HostRoot::new(self.directory.path())
    }

    /// Where `absolute` of the host is on disk.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.directory.path().join(absolute.trim_start_matches('/'))
    }

    fn entry(&self, line: &str) -> Option<()> {
        if line.is_empty() || line.starts_with('#') {
            return Some(());
        }
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "F" => {
                let (path, content) = rest
                    .split_once(" = ")
                    .or_else(|| Some((rest.strip_suffix(" =")?, "")))?;
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
