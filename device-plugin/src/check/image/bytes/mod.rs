//! The bytes of a blob: a part of a file, read ahead by a thread, verified and decompressed.

mod ahead;
mod head;
mod packing;
mod section;
mod verify;
mod zstd;

pub(super) use head::{ByReading, Headed};
pub(super) use packing::{Packing, unpacked};
pub(super) use section::{Buffered, Section};
pub(super) use verify::Verified;

use super::budget::Budget;
use super::digest::Digest;
use super::tar::Skim;
use ahead::Ahead;
use std::io::{self, Read};

/// A layer as a tar stream, from wherever its blob lies.
pub(super) type Tar = Box<dyn Skim + Send>;

/// Opens the blob in `section` as a tar stream. Plain ones are sought in; compressed ones are read
/// and verified by one thread, decompressed by a second one, and consumed by the caller.
///
/// What is not compressed is not verified: that would mean to read all that nobody wants, and whoever
/// could alter the file could alter what was unpacked from it as well.
///
/// # Errors
/// As reading; a fault where the compression is not known.
pub(super) fn open_tar(
    section: Section,
    digest: Option<&Digest>,
    budget: &Budget,
) -> io::Result<Tar> {
    let packing = Packing::of(&section.beginning()?)?;
    if packing == Packing::None {
        return Ok(Box::new(Buffered::new(section)));
    }
    let verified = Verified::new(section, digest.cloned(), budget.clone());
    stream_tar(packing, verified, budget)
}

/// A compressed stream as a tar stream, with the two threads of [`open_tar`].
pub(super) fn stream_tar(
    packing: Packing,
    packed: impl Read + Send + 'static,
    budget: &Budget,
) -> io::Result<Tar> {
    let packed = Ahead::start("image-read", packed)?;
    let plain = unpacked(packing, packed, budget.clone());
    Ok(Box::new(Ahead::start("image-unpack", plain)?))
}

/// Reads all that is left, so that what checks the end (a digest, a checksum) is reached.
pub(super) fn drain(tar: &mut dyn Skim) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match tar.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
