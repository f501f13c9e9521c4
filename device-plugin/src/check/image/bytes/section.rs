//! A part of a file, read at its own place: several may share one file.

use super::super::tar::Skim;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes read at once while headers are looked at.
const BUFFER: usize = 1 << 16;

/// `length` bytes of a file, from `start`.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    file: Arc<File>,
    start: u64,
    length: u64,
    at: u64,
}

impl Section {
    /// The whole file.
    pub(crate) fn whole(file: File) -> io::Result<Section> {
        let length = file.metadata()?.len();
        Ok(Section {
            file: Arc::new(file),
            start: 0,
            length,
            at: 0,
        })
    }

    /// A part of this one; cut where this one ends.
    pub(crate) fn part(&self, start: u64, length: u64) -> Section {
        let start = start.min(self.length);
        Section {
            file: Arc::clone(&self.file),
            start: self.start.saturating_add(start),
            length: length.min(self.length - start),
            at: 0,
        }
    }

    /// What the system says of the whole file.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// The first bytes, as many as tell what it is.
    pub(crate) fn beginning(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.part(0, 8).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let place = self.start.saturating_add(self.at);
        let count = self.file.read_at(&mut buffer[..most], place)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// A section with a buffer, of which parts are passed over by seeking.
pub(crate) struct Buffered(BufReader<Section>);

impl Buffered {
    pub(crate) fn new(section: Section) -> Buffered {
        Buffered(BufReader::with_capacity(BUFFER, section))
    }
}

impl Read for Buffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Skim for Buffered {
    fn skim(&mut self, count: u64) -> io::Result<()> {
        let section = self.0.get_ref();
        let unread = self.0.buffer().len() as u64;
        let left = section
            .length
            .saturating_sub(section.at)
            .saturating_add(unread);
        if count > left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = i64::try_from(count).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        self.0.seek_relative(count)
    }
}
