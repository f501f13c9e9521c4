//! Reads files that strangers may have put there.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// One state file.
pub(super) const FILE_LIMIT: u64 = 4 << 20;

/// Reads regular files below a folder, following no link.
pub(super) struct Reader<'a> {
    pub(super) base: &'a Path,
    pub(super) left: &'a mut u64,
}

impl Reader<'_> {
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        if *self.left == 0 {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let file = open(self.base, path)?;
        // A fifo would keep us waiting, a device could do anything.
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        *self.left = self.left.saturating_sub(length);
        if length > FILE_LIMIT {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            Ok(bytes)
        }
    }
}

fn open(base: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let below = path
        .strip_prefix(base)
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH);
    match openat2(File::open(base)?, below, how) {
        Ok(descriptor) => Ok(File::from(descriptor)),
        // Before Linux 5.6 only the last part can be guarded without a race.
        Err(Errno::ENOSYS) => {
            let no_link = (flags | OFlag::O_NOFOLLOW).bits();
            std::fs::OpenOptions::new()
                .read(true)
                .custom_flags(no_link)
                .open(path)
        }
        Err(errno) => Err(errno.into()),
    }
}
