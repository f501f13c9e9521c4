//! How a blob is compressed, known by its first bytes: media types are sometimes wrong.

use super::super::budget::Budget;
use super::super::error::StreamFault;
use super::zstd::Frames;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, Read};

/// How a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    None,
    /// RFC 1952, perhaps of several members.
    Gzip,
    /// RFC 8878, perhaps of several frames.
    Zstd,
}

impl Packing {
    /// Tells it from the beginning of a blob.
    ///
    /// # Errors
    /// A fault that names a form that is known and not read here.
    pub(crate) fn of(beginning: &[u8]) -> io::Result<Packing> {
        let name = match beginning {
            [0x1f, 0x8b, ..] => return Ok(Packing::Gzip),
            // A frame, or one that is passed over (RFC 8878, 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                return Ok(Packing::Zstd);
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz",
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', ..] => "bzip2",
            [0x04, 0x22, 0x4d, 0x18, ..] => "lz4",
            _ => return Ok(Packing::None),
        };
        let text = format!("compressed by {name}; gzip, zstd and none at all are read");
        Err(StreamFault::Unsupported(text).into_io())
    }
}

/// What comes out of `packed`, counted against `budget`.
pub(crate) fn unpacked<'a>(
    packing: Packing,
    packed: impl BufRead + Send + 'a,
    budget: Budget,
) -> Box<dyn Read + Send + 'a> {
    match packing {
        Packing::None => Box::new(packed),
        Packing::Gzip => Box::new(Counted(MultiGzDecoder::new(packed), budget)),
        Packing::Zstd => Box::new(Counted(Frames::new(packed), budget)),
    }
}

struct Counted<R>(R, Budget);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.unpacked(count as u64)?;
        Ok(count)
    }
}
