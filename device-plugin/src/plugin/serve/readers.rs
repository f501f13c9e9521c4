//! Who reads the lists of a resource: whether the last one went away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The readers of one socket.
#[derive(Clone, Debug)]
pub struct Readers {
    count: Arc<AtomicUsize>,
    left: Arc<Notify>,
}

impl Readers {
    /// None yet. `left` is notified when the last one goes.
    #[must_use]
    pub fn new(left: &Arc<Notify>) -> Readers {
        Readers {
            count: Arc::default(),
            left: Arc::clone(left),
        }
    }

    /// Whether nobody reads.
    #[must_use]
    pub fn are_gone(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// One more, until it is dropped.
    pub(super) fn enter(&self) -> Reader {
        self.count.fetch_add(1, Ordering::AcqRel);
        Reader(self.clone())
    }
}

/// A reader.
pub(super) struct Reader(Readers);

impl Drop for Reader {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.left.notify_one();
        }
    }
}
