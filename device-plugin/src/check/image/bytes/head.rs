//! Streams that cannot be sought in: looking at their beginning, and passing over parts by reading.

use super::super::tar::Skim;
use std::io::{self, BufRead, BufReader, Read};

/// A stream whose first bytes have been looked at, and come once more.
pub(crate) struct Headed<R> {
    head: Vec<u8>,
    at: usize,
    rest: R,
}

impl<R: Read> Headed<R> {
    /// Looks at the first 8 bytes.
    pub(crate) fn new(mut rest: R) -> io::Result<Headed<R>> {
        let mut head = Vec::new();
        (&mut rest).take(8).read_to_end(&mut head)?;
        Ok(Headed { head, at: 0, rest })
    }

    /// The first bytes: fewer than 8 only where there are no more.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }
}

impl<R: Read> Read for Headed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let head = &self.head[self.at..];
        if head.is_empty() {
            return self.rest.read(buffer);
        }
        let count = head.len().min(buffer.len());
        buffer[..count].copy_from_slice(&head[..count]);
        self.at += count;
        Ok(count)
    }
}

impl<R: Skim> Skim for Headed<R> {
    fn skim(&mut self, count: u64) -> io::Result<()> {
        let head = self.head.len() - self.at;
        let here = usize::try_from(count).unwrap_or(usize::MAX).min(head);
        self.at += here;
        self.rest.skim(count - here as u64)
    }
}

/// A stream of which parts are passed over by reading them.
pub(crate) struct ByReading<R>(BufReader<R>);

impl<R: Read> ByReading<R> {
    pub(crate) fn new(source: R) -> ByReading<R> {
        ByReading(BufReader::with_capacity(1 << 16, source))
    }
}

impl<R: Read> Read for ByReading<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Skim for ByReading<R> {
    fn skim(&mut self, count: u64) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let here = self.0.fill_buf()?.len();
            if here == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(here);
            self.0.consume(step);
            left -= step as u64;
        }
        Ok(())
    }
}
