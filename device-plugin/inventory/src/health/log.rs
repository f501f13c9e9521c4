//! `/dev/kmsg`, from now on.

use super::{kmsg, messages};
use messages::Message;
use nix::errno::Errno;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// The longest record (`PRINTKRB_RECORD_MAX` and the keys).
const RECORD_LIMIT: usize = 8192;

/// Why the kernel's log is not read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the kernel's messages from {path}: {source}; it needs CAP_SYSLOG where \
     kernel.dmesg_restrict is 1, and the device in a container"
)]
pub struct LogError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// The kernel's log, read as it is written.
#[derive(Debug)]
pub struct Log {
    file: File,
    buffer: Vec<u8>,
}

impl Log {
    /// Listens to messages that come from now on: what was said before the start is told by the devices'
    /// own files, or was reset since.
    ///
    /// # Errors
    /// Where it may not be read.
    pub fn open() -> Result<Log, LogError> {
        let path = PathBuf::from("/dev/kmsg");
        let open = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|source| LogError {
            path: path.clone(),
            source,
        })?;
        Ok(Log {
            file,
            buffer: vec![0; RECORD_LIMIT],
        })
    }

    /// Waits for the next message about a device. Costs no wake-up but by what the kernel has to say.
    ///
    /// # Errors
    /// Where reading fails for good.
    pub fn wait(&mut self) -> io::Result<Message> {
        loop {
            match self.file.read(&mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    let record = self.buffer.get(..length).unwrap_or_default();
                    let record = kmsg::parse(record);
                    if let Some(message) = record.and_then(|record| messages::read(record.text)) {
                        return Ok(message);
                    }
                }
                // Overwritten before it was read, interrupted, or longer than any that tells of a device.
                Err(error)
                    if matches!(
                        error.raw_os_error().map(Errno::from_raw),
                        Some(Errno::EPIPE | Errno::EINTR | Errno::EINVAL)
                    ) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
