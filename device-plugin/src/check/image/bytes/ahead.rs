//! A thread that reads ahead, so that reading, decompressing and looking happen at the same time.

use super::super::tar::Skim;
use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// Bytes in a piece.
const PIECE: usize = 1 << 18;
/// Pieces that wait.
const WAITING: usize = 3;

type Piece = io::Result<Vec<u8>>;

/// What a reader yields, read in a thread of its own. The thread ends with the stream, with the first
/// error, or once this is dropped and its current read has returned.
pub(super) struct Ahead {
    pieces: Receiver<Piece>,
    used: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Ahead {
    /// Starts reading.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(name: &str, source: impl Read + Send + 'static) -> io::Result<Ahead> {
        let (send, pieces) = sync_channel(WAITING);
        let (used, reuse) = channel();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || read_all(source, &send, &reuse))?;
        Ok(Ahead {
            pieces,
            used,
            piece: Vec::new(),
            at: 0,
            ended: false,
        })
    }
}

fn read_all(mut source: impl Read, pieces: &SyncSender<Piece>, reuse: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = reuse.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let (have, end) = fill(&mut source, &mut piece);
        piece.truncate(have);
        // An empty piece says that this was all.
        let last = have == 0 || end.is_some();
        if pieces.send(Ok(piece)).is_err() {
            return;
        }
        if let Some(error) = end {
            // Nobody listening is no loss.
            let _ = pieces.send(Err(error));
        }
        if last {
            return;
        }
    }
}

/// Reads until `piece` is full, nothing is left, or an error comes.
fn fill(source: &mut impl Read, piece: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut have = 0;
    while have < piece.len() {
        match source.read(&mut piece[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (have, Some(error)),
        }
    }
    (have, None)
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.piece.len() && !self.ended {
            // The thread may be gone by now, and the buffer with it.
            let _ = self.used.send(std::mem::take(&mut self.piece));
            self.at = 0;
            match self.pieces.recv() {
                Ok(Ok(piece)) => {
                    // After an empty piece comes an error, or nothing.
                    self.piece = piece;
                }
                Ok(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                Err(_) => self.ended = true,
            }
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.piece.len());
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let here = self.fill_buf()?;
        let count = here.len().min(buffer.len());
        buffer[..count].copy_from_slice(&here[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl Skim for Ahead {
    fn skim(&mut self, count: u64) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let here = self.fill_buf()?.len();
            if here == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(here);
            self.consume(step);
            left -= step as u64;
        }
        Ok(())
    }
}
