//! Extended headers (`x`): records `LENGTH KEY=VALUE\n`, after pax(1) of POSIX.1-2017.

use super::TarFault;
use super::sparse::SparseMap;

/// What an extended header says of the entry that follows; keys that nothing here needs are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) sparse: Sparse,
}

/// What GNU tar writes of a sparse file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// The file's name; that of the header says `GNUSparseFile` then.
    pub(super) name: Option<Vec<u8>>,
    /// The size with holes.
    pub(super) real_size: Option<u64>,
    /// The map, in formats 0.0 and 0.1.
    pub(super) pieces: Option<Vec<(u64, u64)>>,
    /// Format 1.0: the map stands at the beginning of the content.
    pub(super) map_in_content: bool,
}

/// Parses all records of an extended header.
///
/// # Errors
/// [`TarFault::Pax`] where a record is not of this form, or a value is none.
pub(super) fn parse(mut rest: &[u8]) -> Result<Extended, TarFault> {
    let mut extended = Extended::default();
    let mut version = (None, None);
    let mut offset = None;
    while !rest.is_empty() {
        let (key, value, after) = record(rest).ok_or(TarFault::Pax)?;
        rest = after;
        let sparse = &mut extended.sparse;
        match key {
            b"path" => extended.path = name(value)?,
            b"linkpath" => extended.link = name(value)?,
            b"size" => extended.size = Some(decimal(value)?),
            b"GNU.sparse.name" => sparse.name = name(value)?,
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                sparse.real_size = Some(decimal(value)?);
            }
            b"GNU.sparse.major" => version.0 = Some(decimal(value)?),
            b"GNU.sparse.minor" => version.1 = Some(decimal(value)?),
            b"GNU.sparse.map" => sparse.pieces = Some(listed(value)?),
            b"GNU.sparse.offset" => offset = Some(decimal(value)?),
            b"GNU.sparse.numbytes" => {
                let start = offset.take().ok_or(TarFault::Sparse)?;
                let pieces = sparse.pieces.get_or_insert_with(Vec::new);
                SparseMap::room(pieces.len())?;
                pieces.push((start, decimal(value)?));
            }
            _ => {}
        }
    }
    extended.sparse.map_in_content = match version {
        (Some(1), Some(0)) => true,
        (None | Some(0), _) => false,
        _ => return Err(TarFault::Sparse),
    };
    Ok(extended)
}

/// The first record: key, value, and what follows.
fn record(rest: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = rest.iter().take(20).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&rest[..space]).ok()?).ok()?;
    let record = rest.get(..length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &rest[length..]))
}

/// A name; an empty value takes an earlier one back.
fn name(value: &[u8]) -> Result<Option<Vec<u8>>, TarFault> {
    if value.contains(&0) {
        return Err(TarFault::Pax);
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

/// Format 0.1: `offset,length,offset,length`.
fn listed(value: &[u8]) -> Result<Vec<(u64, u64)>, TarFault> {
    let mut pieces = Vec::new();
    if value.is_empty() {
        return Ok(pieces);
    }
    let mut numbers = value.split(|&byte| byte == b',');
    while let Some(offset) = numbers.next() {
        let length = numbers.next().ok_or(TarFault::Sparse)?;
        SparseMap::room(pieces.len())?;
        pieces.push((decimal(offset)?, decimal(length)?));
    }
    Ok(pieces)
}

/// Digits alone, at most 2^63 - 1.
pub(super) fn decimal(digits: &[u8]) -> Result<u64, TarFault> {
    let value = (!digits.is_empty())
        .then(|| {
            digits.iter().try_fold(0u64, |value, &digit| {
                if !digit.is_ascii_digit() {
                    return None;
                }
                value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
            })
        })
        .flatten()
        .filter(|&value| i64::try_from(value).is_ok());
    value.ok_or(TarFault::Pax)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_by_their_length() {
        let text = b"20 path=usr/a b=c\n d\n11 size=12\n30 GNU.sparse.map=0,5,100,7\n\n";
        let found = parse(&text[..31]).err();
        assert_eq!(found, Some(TarFault::Pax), "the second length is wrong");
        let found =
            parse(b"21 path=usr/a b=c\n d\n11 size=12\n28 GNU.sparse.map=0,5,100,7\n").unwrap();
        assert_eq!(found.path.unwrap(), b"usr/a b=c\n d");
        assert_eq!(found.size, Some(12));
        assert_eq!(found.sparse.pieces, Some(vec![(0, 5), (100, 7)]));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            &b"5 a=b"[..],
            b"999999999999 a=b\n",
            b"0 a=b\n",
            b"6 abc\n",
            b"12 size=-10\n",
            b"10 path=\0\n",
            b"12 size=12x\n",
            b" 6 a=b\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
