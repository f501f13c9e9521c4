//! Sparse files: the pieces that a tar file holds, and the holes between them.
//!
//! The four ways to write them: GNU tar's manual, "Storing Sparse Files".

use super::super::limits::{SPARSE_BYTES, SPARSE_PIECES};
use super::TarFault;

/// Where the stored bytes of a file belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SparseMap {
    /// Offset and length of each piece, in order, none overlapping.
    pieces: Vec<(u64, u64)>,
    /// The size with holes.
    size: u64,
}

impl SparseMap {
    /// A map of a file of `size` bytes, of which `stored` are in the archive.
    ///
    /// # Errors
    /// [`TarFault::Sparse`] where pieces overlap, lie beyond the end or beyond what is stored, or the
    /// file is larger than any that is read.
    pub(super) fn new(
        pieces: Vec<(u64, u64)>,
        size: u64,
        stored: u64,
    ) -> Result<SparseMap, TarFault> {
        let mut end = 0;
        let mut sum = 0u64;
        for &(offset, length) in &pieces {
            if offset < end {
                return Err(TarFault::Sparse);
            }
            end = offset.checked_add(length).ok_or(TarFault::Sparse)?;
            sum = sum.checked_add(length).ok_or(TarFault::Sparse)?;
        }
        if end > size || sum > stored || size > SPARSE_BYTES || pieces.len() > SPARSE_PIECES {
            return Err(TarFault::Sparse);
        }
        Ok(SparseMap { pieces, size })
    }

    /// Whether one more piece may follow `have`.
    pub(super) fn room(have: usize) -> Result<(), TarFault> {
        if have < SPARSE_PIECES {
            Ok(())
        } else {
            Err(TarFault::Sparse)
        }
    }

    /// The size with holes, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What lies at `at`: `Ok(n)` for n stored bytes, `Err(n)` for a hole of n. `piece` is the caller's
    /// place in the map, kept from call to call; `at` never runs back.
    pub(super) fn at(&self, at: u64, piece: &mut usize) -> Result<u64, u64> {
        while let Some(&(offset, length)) = self.pieces.get(*piece) {
            if at < offset {
                return Err(offset - at);
            }
            let end = offset.saturating_add(length);
            if at < end {
                return Ok(end - at);
            }
            *piece += 1;
        }
        Err(self.size.saturating_sub(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_holes_follow_each_other() {
        let map = SparseMap::new(vec![(2, 3), (5, 1), (8, 0)], 10, 4).unwrap();
        let mut piece = 0;
        assert_eq!(map.at(0, &mut piece), Err(2));
        assert_eq!(map.at(2, &mut piece), Ok(3));
        assert_eq!(map.at(5, &mut piece), Ok(1));
        assert_eq!(map.at(6, &mut piece), Err(2));
        assert_eq!(map.at(8, &mut piece), Err(2));
        assert_eq!(map.at(10, &mut piece), Err(0));
    }

    #[test]
    fn maps_that_cannot_be_are_refused() {
        assert!(SparseMap::new(vec![(5, 1), (2, 1)], 10, 10).is_err());
        assert!(SparseMap::new(vec![(5, 6)], 10, 10).is_err());
        assert!(SparseMap::new(vec![(0, 6)], 10, 5).is_err());
        assert!(SparseMap::new(vec![(u64::MAX, 6)], 10, 10).is_err());
        assert!(SparseMap::new(Vec::new(), u64::MAX, 10).is_err());
    }
}
