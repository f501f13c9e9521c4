//! Tar files, entry by entry, from a stream or by seeking; nothing is held but one entry's names.
//!
//! Written anew and not taken from the crate `tar`, because extended headers and long names are read
//! there at whatever length the archive claims. Reads ustar, pax, GNU (long names, base-256 numbers,
//! old sparse files) and star, as Go's `archive/tar` does.

mod entry;
mod header;
mod pax;
mod sparse;

pub use entry::{Entry, Kind, TarFault};
pub use header::BLOCK;
use header::Header;
use pax::Extended;
use sparse::{Pieces, SparseMap};
use std::io::{self, Read};

use super::budget::Budget;
use super::limits::{PATH_BYTES, PAX_BYTES, SPARSE_PIECES};

/// A stream of which parts can be passed over, cheaper than by reading them where it is a file.
pub trait Skim: Read {
    /// Passes over `count` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` where fewer are left, or as reading.
    fn skim(&mut self, count: u64) -> io::Result<()>;
}

impl<S: Skim + ?Sized> Skim for &mut S {
    fn skim(&mut self, count: u64) -> io::Result<()> {
        (**self).skim(count)
    }
}

impl<S: Skim + ?Sized> Skim for Box<S> {
    fn skim(&mut self, count: u64) -> io::Result<()> {
        (**self).skim(count)
    }
}

impl Skim for &[u8] {
    fn skim(&mut self, count: u64) -> io::Result<()> {
        let rest = usize::try_from(count).ok().and_then(|at| self.get(at..));
        *self = rest.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        Ok(())
    }
}

/// The entries of a tar file; also the content of the one returned last, by [`Read`].
pub struct Entries<S> {
    source: S,
    budget: Budget,
    /// Bytes taken from `source`.
    offset: u64,
    /// Stored bytes of this entry that are not yet taken, and the padding behind them.
    stored: u64,
    padding: u64,
    /// Where in the content the reader is, and its size with holes.
    at: u64,
    size: u64,
    sparse: Option<(SparseMap, usize)>,
    ended: bool,
}

/// What precedes an entry and is about it.
#[derive(Default)]
struct Before {
    extended: Extended,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<S: Skim> Entries<S> {
    /// Reads from `source`, which stands at the beginning of a tar file. Holes of sparse files count
    /// against `budget`.
    pub fn new(source: S, budget: Budget) -> Entries<S> {
        Entries {
            source,
            budget,
            offset: 0,
            stored: 0,
            padding: 0,
            at: 0,
            size: 0,
            sparse: None,
            ended: false,
        }
    }

    /// The next entry; what is left of the last one is passed over.
    ///
    /// # Errors
    /// `InvalidData` with the place and a [`TarFault`]; else as reading.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        let mut before = Before::default();
        loop {
            self.pass(self.stored.saturating_add(self.padding))?;
            self.stored = 0;
            self.padding = 0;
            self.sparse = None;
            let Some(block) = self.header_block()? else {
                self.ended = true;
                return Ok(None);
            };
            let header = Header::new(&block).map_err(|fault| self.fault(fault))?;
            let size = header.size().map_err(|fault| self.fault(fault))?;
            match header.kind() {
                b'x' => {
                    let bytes = self.small(size, PAX_BYTES, TarFault::Pax)?;
                    before.extended = pax::parse(&bytes).map_err(|fault| self.fault(fault))?;
                }
                // Global headers say nothing of single files; Go's reader drops them as well.
                b'g' => self.begin(size)?,
                b'L' => before.long_name = Some(self.long(size)?),
                b'K' => before.long_link = Some(self.long(size)?),
                _ => return self.entry(&header, size, before).map(Some),
            }
        }
    }

    /// The source, wherever it stands now.
    pub fn into_source(self) -> S {
        self.source
    }

    fn entry(&mut self, header: &Header<'_>, size: u64, before: Before) -> io::Result<Entry> {
        let extended = before.extended;
        let mut entry = Entry {
            path: (extended.sparse.name.clone())
                .or(before.long_name)
                .or(extended.path)
                .unwrap_or_else(|| header.name()),
            kind: Kind::File,
            size: 0,
            link: before
                .long_link
                .or(extended.link)
                .unwrap_or_else(|| header.link()),
            offset: 0,
            sparse: false,
            executable: header.is_executable(),
        };
        if entry.path.len() > PATH_BYTES || entry.link.len() > PATH_BYTES {
            return Err(self.fault(TarFault::Name));
        }
        entry.kind = match header.kind() {
            b'0' | 0 | b'7' | b'S' if entry.path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'5' => Kind::Directory,
            other => Kind::Other(other),
        };
        // Links, devices and fifos have no content, whatever their size says; as in Go's reader.
        let stored = match header.kind() {
            b'1'..=b'6' => 0,
            _ => extended.size.unwrap_or(size),
        };
        self.begin(stored)?;
        if entry.kind == Kind::File {
            self.open_sparse(header, extended.sparse)?;
            entry.size = self.size;
            entry.offset = self.offset;
            entry.sparse = self.sparse.is_some();
        } else {
            self.size = 0;
        }
        Ok(entry)
    }

    /// Finds the map of a sparse file, and the size with holes.
    fn open_sparse(&mut self, header: &Header<'_>, sparse: pax::Sparse) -> io::Result<()> {
        let (pieces, real) = if header.kind() == b'S' {
            self.old_gnu(header)?
        } else if sparse.map_in_content {
            let real = sparse.real_size.unwrap_or(self.size);
            (self.map_in_content()?, real)
        } else if let Some(pieces) = sparse.pieces {
            (pieces, sparse.real_size.unwrap_or(self.size))
        } else {
            return Ok(());
        };
        let map = SparseMap::new(pieces, real, self.stored).map_err(|fault| self.fault(fault))?;
        self.size = map.size();
        self.sparse = Some((map, 0));
        Ok(())
    }

    fn old_gnu(&mut self, header: &Header<'_>) -> io::Result<(Pieces, u64)> {
        let (mut pieces, mut more, real) = header.sparse().map_err(|fault| self.fault(fault))?;
        while more {
            // These blocks stand between the header and the content, and are not part of its size.
            let block = self
                .block()?
                .ok_or_else(|| self.fault(TarFault::Truncated))?;
            let (next, again) = header::more_sparse(&block).map_err(|fault| self.fault(fault))?;
            pieces.extend(next);
            more = again;
            SparseMap::room(pieces.len()).map_err(|fault| self.fault(fault))?;
        }
        Ok((pieces, real))
    }

    /// Format 1.0: decimal numbers, one a line, padded to whole blocks: the count, then offset and
    /// length of each piece.
    fn map_in_content(&mut self) -> io::Result<Pieces> {
        let mut left = Vec::new();
        let count = self.map_number(&mut left)?;
        if count > u64::try_from(SPARSE_PIECES).unwrap_or(u64::MAX) {
            return Err(self.fault(TarFault::Sparse));
        }
        let mut pieces = Vec::new();
        for _ in 0..count {
            let offset = self.map_number(&mut left)?;
            pieces.push((offset, self.map_number(&mut left)?));
        }
        Ok(pieces)
    }

    /// The next line of the map; `left` holds what was read and not yet used.
    fn map_number(&mut self, left: &mut Vec<u8>) -> io::Result<u64> {
        loop {
            if let Some(end) = left.iter().position(|&byte| byte == b'\n') {
                let value = pax::decimal(&left[..end]).map_err(|_| self.fault(TarFault::Sparse))?;
                left.drain(..=end);
                return Ok(value);
            }
            if left.len() > 64 || self.stored < BLOCK as u64 {
                return Err(self.fault(TarFault::Sparse));
            }
            let block = self
                .block()?
                .ok_or_else(|| self.fault(TarFault::Truncated))?;
            self.stored -= BLOCK as u64;
            left.extend_from_slice(&block);
        }
    }

    /// A long name, up to its NUL.
    fn long(&mut self, size: u64) -> io::Result<Vec<u8>> {
        // One more for the NUL, and a block for those who pad.
        let limit = (PATH_BYTES + BLOCK) as u64;
        let mut name = self.small(size, limit, TarFault::Name)?;
        if let Some(end) = name.iter().position(|&byte| byte == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    /// The whole content of a header that is about the next one.
    fn small(&mut self, size: u64, limit: u64, fault: TarFault) -> io::Result<Vec<u8>> {
        if size > limit {
            return Err(self.fault(fault));
        }
        self.begin(size)?;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Takes note of the content that begins here.
    fn begin(&mut self, stored: u64) -> io::Result<()> {
        if i64::try_from(stored).is_err() {
            return Err(self.fault(TarFault::Size));
        }
        let block = BLOCK as u64;
        self.stored = stored;
        self.padding = stored.next_multiple_of(block) - stored;
        self.at = 0;
        self.size = stored;
        Ok(())
    }

    /// The next header; None at the end: two blocks of zeros, or no byte more.
    fn header_block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let Some(block) = self.block()? else {
            return Ok(None);
        };
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        match self.block()? {
            Some(next) if next != [0; BLOCK] => Err(self.fault(TarFault::LoneZero)),
            _ => Ok(None),
        }
    }

    /// One block; None where there is no byte more.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut have = 0;
        while have < BLOCK {
            match self.source.read(&mut block[have..]) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(self.fault(TarFault::Truncated)),
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.offset = self.offset.saturating_add(BLOCK as u64);
        Ok(Some(block))
    }

    fn pass(&mut self, count: u64) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let passed = self.source.skim(count);
        match passed {
            Ok(()) => self.offset = self.offset.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.fault(TarFault::Truncated));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn fault(&self, fault: TarFault) -> io::Error {
        let text = format!("tar, at byte {}: {fault}", self.offset);
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

impl<S: Skim> Skim for Entries<S> {
    /// Passes over content of the entry that was returned last.
    fn skim(&mut self, count: u64) -> io::Result<()> {
        if self.sparse.is_some() {
            let passed = io::copy(&mut self.take(count), &mut io::sink())?;
            return if passed == count {
                Ok(())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        if count > self.stored {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pass(count)?;
        self.stored -= count;
        self.at = self.at.saturating_add(count);
        Ok(())
    }
}

impl<S: Skim> Read for Entries<S> {
    /// The content of the entry that was returned last, holes filled with zeros.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.at);
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let (here, hole) = match &mut self.sparse {
            None => (self.stored, false),
            Some((map, piece)) => match map.at(self.at, piece) {
                Ok(stored) => (stored, false),
                Err(hole) => (hole, true),
            },
        };
        let most = usize::try_from(here.min(left)).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let count = if hole {
            self.budget.hole(most as u64)?;
            buffer[..most].fill(0);
            most
        } else {
            let count = self.source.read(&mut buffer[..most])?;
            if count == 0 {
                return Err(self.fault(TarFault::Truncated));
            }
            self.stored = self.stored.saturating_sub(count as u64);
            self.offset = self.offset.saturating_add(count as u64);
            count
        };
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
