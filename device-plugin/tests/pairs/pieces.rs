//! Files that images and hosts are put together from: real packages, unpacked into a cache by
//! `tests/setup/check-pieces.sh`, and files that the tests write.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The unpacked packages.
pub(crate) struct Pieces {
    folder: Option<PathBuf>,
    parent: PathBuf,
}

impl Pieces {
    /// Those in `$DUNNAGE_PIECES`; without it there are none.
    pub(crate) fn at_hand() -> Pieces {
        let folder = std::env::var_os("DUNNAGE_PIECES").map(PathBuf::from);
        let parent = match &folder {
            // Files are linked, not copied: built trees must be on the same file system.
            Some(folder) => folder.join("../built"),
            None => std::env::temp_dir(),
        };
        std::fs::create_dir_all(&parent).unwrap();
        Pieces { folder, parent }
    }

    /// Whether there are any.
    pub(crate) fn are_there(&self) -> bool {
        self.folder.is_some()
    }

    /// An empty folder to build in.
    pub(crate) fn folder(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(&self.parent).unwrap()
    }

    /// Links an unpacked package into a tree; `None` where there are no packages.
    pub(crate) fn unpack(&self, name: &str, into: &Path) -> Option<()> {
        let from = self.folder.as_ref()?.join(name);
        assert!(
            from.is_dir(),
            "{} is missing: run tests/setup/check-pieces.sh",
            from.display()
        );
        let status = Command::new("cp")
            .arg("-al")
            .arg(from.join("."))
            .arg(into)
            .status();
        assert!(status.unwrap().success(), "cannot link {name}");
        Some(())
    }

    /// The bytes of a file of a package.
    pub(crate) fn read(&self, name: &str, path: &str) -> Option<Vec<u8>> {
        Some(std::fs::read(self.folder.as_ref()?.join(name).join(path)).unwrap())
    }
}

/// Writes a file into a tree, never into one that is linked there.
pub(crate) fn plant(dir: &Path, path: &str, content: &[u8]) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(&path);
    std::fs::write(path, content).unwrap();
}
