//! A blob whose digest is computed while it is read.

use super::super::budget::Budget;
use super::super::digest::{Digest, Hasher};
use super::super::error::StreamFault;
use std::io::{self, Read};

/// Reads `source`; at its end the digest of all that was read must be the expected one. Counts what
/// is taken as compressed bytes.
pub(crate) struct Verified<R> {
    source: R,
    expected: Option<(Digest, Hasher)>,
    budget: Budget,
}

impl<R: Read> Verified<R> {
    /// Without an expectation nothing is computed.
    pub(crate) fn new(source: R, expected: Option<Digest>, budget: Budget) -> Verified<R> {
        Verified {
            source,
            expected: expected.map(|digest| (digest, Hasher::default())),
            budget,
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.budget.packed(count as u64);
        if count > 0 {
            if let Some((_, hasher)) = &mut self.expected {
                hasher.update(&buffer[..count]);
            }
        } else if !buffer.is_empty()
            && let Some((digest, hasher)) = self.expected.take()
        {
            let found = hasher.finish();
            if found != digest {
                let found = found.hex().to_owned();
                return Err(StreamFault::Digest { found }.into_io());
            }
        }
        Ok(count)
    }
}
