//! The one bounded read.

use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads a regular file (those of `/proc`, `/sys` and cgroups count as such), at most `limit`
/// bytes. The one bounded read; everything uses it.
///
/// # Errors
/// Whatever open(2) or read(2) say; `InvalidInput` where the path names something else than a
/// regular file (a fifo would block for ever); `FileTooLarge` where there is more than `limit`.
pub fn read_bounded(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    drain(open_regular(path)?, limit)
}

/// Opens a regular file for reading, without waiting for a fifo's writer and without a controlling
/// terminal; close-on-exec is what the standard library always sets.
///
/// # Errors
/// As open(2); `InvalidInput` where it is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    regular(
        OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?,
    )
}

/// The same file, where it is a regular one.
pub(crate) fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

/// All that is left in `file`, at most `limit` bytes.
///
/// # Errors
/// As read(2); `FileTooLarge` where there is more than `limit`.
pub fn drain(file: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    // Most files of /proc and of cgroups fit, and are then read by one call.
    let mut bytes = Vec::with_capacity(limit.min(4096));
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("more than the {limit} bytes that are taken from such a file"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_and_an_endless_file_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(
            read_bounded(&fifo, 10).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert!(read_bounded(Path::new("/dev/zero"), 10).is_err());
        let long = dir.path().join("long");
        std::fs::write(&long, [0u8; 11]).unwrap();
        assert_eq!(
            read_bounded(&long, 10).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert_eq!(read_bounded(&long, 11).unwrap().len(), 11);
    }
}
