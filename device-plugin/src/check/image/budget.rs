//! How much may come out of the decompressors of one image: the guard against bombs.

use super::error::StreamFault;
use super::limits::{FREE_BYTES, RATIO, UNPACKED_BYTES};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what goes into and comes out of all decompression of one walk; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    packed: AtomicU64,
    unpacked: AtomicU64,
}

impl Budget {
    /// `count` compressed bytes were taken.
    pub(super) fn packed(&self, count: u64) {
        self.0.packed.fetch_add(count, Ordering::Relaxed);
    }

    /// `count` bytes came out.
    ///
    /// # Errors
    /// A [`StreamFault::Refused`] where that is more than any honest image has.
    pub(super) fn unpacked(&self, count: u64) -> io::Result<()> {
        let before = self.0.unpacked.fetch_add(count, Ordering::Relaxed);
        let all = before.saturating_add(count);
        let packed = self.0.packed.load(Ordering::Relaxed);
        let why = if all > UNPACKED_BYTES {
            format!("more than {} GiB come out of it", UNPACKED_BYTES >> 30)
        } else if all > FREE_BYTES.saturating_add(packed.saturating_mul(RATIO)) {
            format!(
                "a decompression bomb: {packed} bytes became {all}, and more than {} GiB may come \
                 out only at less than {RATIO} for each one",
                FREE_BYTES >> 30
            )
        } else {
            return Ok(());
        };
        Err(StreamFault::Refused(why).into_io())
    }

    /// `count` zeros of a sparse file's holes were made.
    ///
    /// # Errors
    /// As [`Budget::unpacked`]: a hole is the best compression of all.
    pub(super) fn hole(&self, count: u64) -> io::Result<()> {
        self.unpacked(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_free_and_much_must_be_paid_for() {
        let budget = Budget::default();
        budget.unpacked(FREE_BYTES).unwrap();
        assert!(budget.clone().unpacked(1).is_err());
        let budget = Budget::default();
        budget.packed(10 << 20);
        budget.unpacked(FREE_BYTES + RATIO * (10 << 20)).unwrap();
        let error = budget.unpacked(1).unwrap_err().to_string();
        assert!(error.contains("bomb"), "{error}");
        let budget = Budget::default();
        budget.packed(u64::MAX / 2);
        budget.unpacked(UNPACKED_BYTES).unwrap();
        assert!(budget.unpacked(1).is_err());
    }
}
