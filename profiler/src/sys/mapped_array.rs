//! A memory map of an eBPF array (`BPF_F_MMAPABLE`, Linux 5.5): reading an element is a load.
//!
//! The kernel's programs write while user space reads. Every access is an atomic load or store of
//! one machine word, so a value is never torn; two values of one element may be some events apart.

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Why an array could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The array has no elements, or its size overflows.
    #[error("an eBPF array of {elements} elements of {words} words cannot be mapped")]
    Size {
        /// Number of elements.
        elements: usize,
        /// Words of 8 bytes in one.
        words: usize,
    },
    /// mmap(2) failed.
    #[error("mapping {bytes} bytes of an eBPF array failed")]
    Mmap {
        /// The length asked for.
        bytes: usize,
        /// The reason.
        #[source]
        source: nix::Error,
    },
}

/// An eBPF array whose elements are `words` words of 8 bytes, mapped into this process.
#[derive(Debug)]
pub struct MappedArray {
    base: NonNull<c_void>,
    length: NonZeroUsize,
    words: usize,
    elements: usize,
}

// SAFETY: the mapping is shared memory that is only ever accessed through atomics, so any thread may
// hold the handle, and several may use it at once.
unsafe impl Send for MappedArray {}
// SAFETY: see above; `&MappedArray` offers atomic loads and stores only.
unsafe impl Sync for MappedArray {}

impl MappedArray {
    /// Maps `elements` elements of `words` words each of the array behind `map`.
    ///
    /// # Errors
    /// Where the size is nought or overflows, or mmap(2) refuses.
    pub fn new(map: impl AsFd, elements: usize, words: usize) -> Result<MappedArray, MapError> {
        let length = elements
            .checked_mul(words)
            .and_then(|n| n.checked_mul(8))
            .and_then(NonZeroUsize::new)
            .ok_or(MapError::Size { elements, words })?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory; the
        // kernel refuses lengths beyond the array (its own size rounded up to a page).
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map, 0) }
            .map_err(|source| MapError::Mmap {
                bytes: length.get(),
                source,
            })?;
        Ok(MappedArray {
            base,
            length,
            words,
            elements,
        })
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Whether there are no elements; never so, an empty array is not mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// Word `word` of element `index`; nought where either is out of range.
    #[must_use]
    pub fn load(&self, index: usize, word: usize) -> u64 {
        self.word(index, word)
            .map_or(0, |w| w.load(Ordering::Relaxed))
    }

    /// Stores a word; out of range does nothing.
    pub fn store(&self, index: usize, word: usize, value: u64) {
        if let Some(w) = self.word(index, word) {
            w.store(value, Ordering::Relaxed);
        }
    }

    /// Stores the low (`half` 0) or high (1) 32 bits of a word, leaving the other half to the kernel.
    pub fn store_half(&self, index: usize, word: usize, half: usize, value: u32) {
        if half > 1 {
            return;
        }
        if let Some(w) = self.word(index, word) {
            let halves: *const AtomicU32 = std::ptr::from_ref(w).cast();
            let half = halves.wrapping_add(half);
            // SAFETY: `w` is 8 valid, aligned bytes, so halves 0 and 1 are within it and aligned.
            let chosen = unsafe { &*half };
            chosen.store(value, Ordering::Release);
        }
    }

    fn word(&self, index: usize, word: usize) -> Option<&AtomicU64> {
        if index >= self.elements || word >= self.words {
            return None;
        }
        let at = self
            .base
            .cast::<AtomicU64>()
            .as_ptr()
            .wrapping_add(index * self.words + word);
        // SAFETY: index and word are in range, so `at` lies within the mapping, which lives as long
        // as self; mmap returns page-aligned memory, so it is aligned; AtomicU64 permits the kernel's
        // concurrent writes.
        Some(unsafe { &*at })
    }
}

impl Drop for MappedArray {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mapping made in `new`, and no reference into it
        // outlives self.
        let _ = unsafe { munmap(self.base, self.length.get()) };
    }
}
