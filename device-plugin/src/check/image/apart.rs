//! Compressed layers, each read by a thread of its own: the next one while this one is merged.
//!
//! What a layer hides is known only when it was read to its end, so a lower one's files are looked
//! into before it is known whether the image has them. What was seen waits in bounded room.

use super::Look;
use super::budget::Budget;
use super::bytes::{Tar, drain};
use super::path::{Clean, as_path, clean};
use super::tar::{Entries, Kind};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Layers that are read at the same time. Each decoder of zstd may hold a window of 32 MiB.
pub(super) const AT_ONCE: usize = 2;
/// Bytes of what waits together.
const BATCH: usize = 256 << 10;
/// Batches that wait: 16 MiB, or the entries of some 100,000 files.
const WAITING: usize = 64;

/// One entry of a layer.
pub(super) struct Passed<F> {
    pub(super) path: Clean,
    pub(super) kind: Kind,
    /// In bytes, holes included.
    pub(super) size: u64,
    pub(super) link: Vec<u8>,
    /// What a look into the file found.
    pub(super) found: Option<F>,
}

enum Message<F> {
    Batch(Vec<Passed<F>>),
    Failed(io::Error),
    /// The layer ended, and its digest is right.
    End,
}

/// A layer that is being read. The thread ends with the layer, with the first error, or when this is
/// dropped.
pub(super) struct Apart<F> {
    /// None once this is being dropped.
    messages: Option<Receiver<Message<F>>>,
    thread: Option<JoinHandle<()>>,
    batch: std::vec::IntoIter<Passed<F>>,
    ended: bool,
}

impl<F: Send + 'static> Apart<F> {
    /// Starts to read `tar`, and to look into its files.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start<L>(tar: Tar, look: &Arc<L>, budget: &Budget) -> io::Result<Apart<F>>
    where
        L: Look<Found = F>,
    {
        let (send, messages) = sync_channel(WAITING);
        let (look, budget) = (Arc::clone(look), budget.clone());
        let thread = Builder::new()
            .name("image-layer".to_owned())
            .spawn(move || {
                let end = match read(tar, &*look, budget, &send) {
                    Ok(()) => Message::End,
                    Err(error) => Message::Failed(error),
                };
                // Nobody listening is no loss.
                let _ = send.send(end);
            })?;
        Ok(Apart {
            messages: Some(messages),
            thread: Some(thread),
            batch: Vec::new().into_iter(),
            ended: false,
        })
    }

    /// The next entry; None at the end.
    pub(super) fn next_entry(&mut self) -> io::Result<Option<Passed<F>>> {
        loop {
            if let Some(passed) = self.batch.next() {
                return Ok(Some(passed));
            }
            if self.ended {
                return Ok(None);
            }
            match self.messages.as_ref().map(Receiver::recv) {
                Some(Ok(Message::Batch(batch))) => self.batch = batch.into_iter(),
                Some(Ok(Message::End)) => self.ended = true,
                Some(Ok(Message::Failed(error))) => {
                    self.ended = true;
                    return Err(error);
                }
                // Not to be taken for the end of the layer: files would be missing.
                Some(Err(_)) | None => {
                    self.ended = true;
                    let text = "the reader of the layer gave up on it (it panicked)";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
    }
}

impl<F> Drop for Apart<F> {
    fn drop(&mut self) {
        // Without a receiver the thread's next batch is its last.
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there has been told by whoever read up to it.
            let _ = thread.join();
        }
    }
}

/// Reads a layer to its end, or until nobody listens.
fn read<L: Look>(
    tar: Tar,
    look: &L,
    budget: Budget,
    send: &SyncSender<Message<L::Found>>,
) -> io::Result<()> {
    let mut entries = Entries::new(tar, budget);
    let mut batch = Vec::new();
    let mut weight = 0;
    while let Some(entry) = entries.next_entry()? {
        let path = clean(&entry.path);
        let found = match entry.kind {
            Kind::File => look.at(as_path(&path.path), entry.size, &mut entries)?,
            _ => None,
        };
        let own = size_of::<Passed<L::Found>>() + path.path.len() + entry.link.len();
        weight += own + found.as_ref().map_or(0, L::weight);
        batch.push(Passed {
            path,
            kind: entry.kind,
            size: entry.size,
            link: entry.link,
            found,
        });
        if weight >= BATCH {
            weight = 0;
            if send
                .send(Message::Batch(std::mem::take(&mut batch)))
                .is_err()
            {
                return Ok(());
            }
        }
    }
    if send.send(Message::Batch(batch)).is_err() {
        return Ok(());
    }
    drain(&mut entries.into_source())
}
