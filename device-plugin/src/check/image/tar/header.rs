//! One 512-byte header block of a tar file: V7, ustar, star and GNU.
//!
//! The format: pax(1) of POSIX.1-2017, "ustar Interchange Format", and GNU tar's manual, "Basic Tar
//! Format". Where readers differ this one does as Go's `archive/tar`, because the engines use that.

use super::TarFault;
use super::sparse::Pieces;

/// Bytes of a block.
pub const BLOCK: usize = 512;

/// Which dialect a block is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// No magic: names of 100 bytes and nothing else.
    V7,
    /// POSIX, with a prefix of 155 bytes.
    Ustar,
    /// J. Schilling's, with a prefix of 131 bytes.
    Star,
    /// GNU's old format, with base-256 numbers and sparse maps.
    Gnu,
}

/// A header block whose checksum is right.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// The block as a header.
    ///
    /// # Errors
    /// Where the checksum is another: this is no tar file, or not the beginning of an entry.
    pub(super) fn new(block: &'a [u8; BLOCK]) -> Result<Header<'a>, TarFault> {
        let header = Header(block);
        let stored = number(&block[148..156]).ok_or(TarFault::Checksum)?;
        let (unsigned, signed) = header.sums();
        let found = i64::try_from(stored).map_err(|_| TarFault::Checksum)?;
        // Old Sun tars summed signed bytes.
        if found == unsigned || found == signed {
            Ok(header)
        } else {
            Err(TarFault::Checksum)
        }
    }

    fn sums(&self) -> (i64, i64) {
        let mut unsigned = 0;
        let mut signed = 0;
        for (at, byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        (unsigned, signed)
    }

    pub(super) fn dialect(&self) -> Dialect {
        match (&self.0[257..263], &self.0[263..265]) {
            (b"ustar\0", _) if &self.0[508..512] == b"tar\0" => Dialect::Star,
            (b"ustar\0", _) => Dialect::Ustar,
            (b"ustar ", b" \0") => Dialect::Gnu,
            _ => Dialect::V7,
        }
    }

    /// The type flag: `0` regular, `1` hard link, `2` symbolic link, `5` directory, ...
    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The name, with the prefix of those dialects that have one.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = match self.dialect() {
            Dialect::Ustar => text(&self.0[345..500]),
            Dialect::Star => text(&self.0[345..476]),
            Dialect::V7 | Dialect::Gnu => b"",
        };
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    /// Bytes of content, as the header says.
    pub(super) fn size(&self) -> Result<u64, TarFault> {
        number(&self.0[124..136]).ok_or(TarFault::Size)
    }

    /// Whether the mode lets anybody run it; one that is no number lets nobody.
    pub(super) fn is_executable(&self) -> bool {
        number(&self.0[100..108]).is_some_and(|mode| mode & 0o111 != 0)
    }

    /// The beginning of an old GNU sparse map: at most four pieces, whether more blocks follow, and
    /// the size with holes.
    pub(super) fn sparse(&self) -> Result<(Pieces, bool, u64), TarFault> {
        if self.dialect() != Dialect::Gnu {
            return Err(TarFault::Sparse);
        }
        let real = number(&self.0[483..495]).ok_or(TarFault::Sparse)?;
        Ok((pieces(&self.0[386..482])?, self.0[482] != 0, real))
    }
}

/// The pieces of a block that continues a sparse map: at most 21, and whether another one follows.
pub(super) fn more_sparse(block: &[u8; BLOCK]) -> Result<(Pieces, bool), TarFault> {
    Ok((pieces(&block[..504])?, block[504] != 0))
}

fn pieces(table: &[u8]) -> Result<Pieces, TarFault> {
    let mut pieces = Vec::new();
    for pair in table.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        let offset = number(&pair[..12]).ok_or(TarFault::Sparse)?;
        let length = number(&pair[12..]).ok_or(TarFault::Sparse)?;
        pieces.push((offset, length));
    }
    Ok(pieces)
}

/// A field of text: up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// A number: octal digits between blanks and NULs, or base 256 where the first bit is set. None where
/// it is neither, negative, or beyond what a file can have (2^63 - 1).
fn number(field: &[u8]) -> Option<u64> {
    let value = match field.first() {
        Some(first) if first & 0x80 != 0 => {
            // The second bit is the sign: no size, offset or sum is negative.
            if first & 0x40 != 0 {
                return None;
            }
            field[1..]
                .iter()
                .try_fold(u64::from(first & 0x3f), |value, &byte| {
                    Some(value.checked_mul(256)? | u64::from(byte))
                })?
        }
        _ => octal(field)?,
    };
    i64::try_from(value).is_ok().then_some(value)
}

fn octal(field: &[u8]) -> Option<u64> {
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !blank(byte));
    let Some(start) = start else {
        return Some(0);
    };
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if !digits[end..].iter().all(blank) {
        return None;
    }
    digits[..end].iter().try_fold(0u64, |value, &digit| {
        if !(b'0'..=b'7').contains(&digit) {
            return None;
        }
        value.checked_mul(8)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_never_negative() {
        assert_eq!(number(b"00000001750\0"), Some(1000));
        assert_eq!(number(b" 1750 \0"), Some(1000));
        assert_eq!(number(b"\0\0\0"), Some(0));
        assert_eq!(number(b"77777777777\0"), Some((1 << 33) - 1));
        assert_eq!(number(b"12x"), None);
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b"1 2"), None);
        let mut big = [0u8; 12];
        big[0] = 0x80;
        big[7] = 2;
        assert_eq!(number(&big), Some(2 << 32));
        big[4] = 0x80;
        assert_eq!(number(&big), None, "2^63 and more");
        assert_eq!(number(&[0xff; 12]), None, "minus one");
        assert_eq!(number(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
