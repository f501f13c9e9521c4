//! `ld.so.cache`: where the dynamic linker finds libraries by name.
//!
//! The format is glibc's (`sysdeps/generic/dl-cache.h`, `elf/cache.c`). A file is in the old format
//! (`ld.so-1.7.0`), in the new one (`glibc-ld.so.cache1.1`, the default since glibc 2.32), or in both,
//! the old first and the new behind it at the next multiple of eight. Offsets of strings count from
//! the start of the new header, in the old format from the end of the table.

use dunnage_host::HostRoot;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where the file is.
pub const PATH: &str = "/etc/ld.so.cache";
/// The most that is read of it, in bytes: a full desktop has 200 KiB.
const FILE_LIMIT: usize = 16 << 20;
/// The most entries that are taken.
const ENTRIES_LIMIT: usize = 200_000;
/// The longest name or path that is taken, in bytes.
const STRING_LIMIT: usize = 4096;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const NEW_HEADER: usize = 48;
const NEW_ENTRY: usize = 24;

/// `FLAG_ELF_LIBC6`, the only type that is still in use; the upper byte tells the processor.
const TYPE_MASK: u32 = 0x00ff;
const TYPE_ELF_LIBC6: u32 = 0x0003;
const MACHINE_MASK: u32 = 0xff00;

/// One library in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name that is asked for, as a rule the soname: `libcuda.so.1`.
    pub name: String,
    /// Where it is: `/usr/lib/x86_64-linux-gnu/libcuda.so.1`, as a rule a link.
    pub path: PathBuf,
    /// `FLAG_*` of glibc's `ldconfig.h`.
    pub flags: u32,
    /// The processor features that it needs; zero for a library that runs everywhere.
    pub hwcap: u64,
}

impl Entry {
    /// Whether it is an ELF library of glibc 2 for 64-bit x86 or ARM.
    #[must_use]
    pub fn is_64_bit(&self) -> bool {
        const X86_64: u32 = 0x0300;
        const AARCH64: u32 = 0x0a00;
        self.flags & TYPE_MASK == TYPE_ELF_LIBC6
            && matches!(self.flags & MACHINE_MASK, X86_64 | AARCH64)
    }
}

/// Why a cache could not be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LdCacheError {
    /// It begins with neither magic.
    #[error("neither of the two formats of ld.so.cache")]
    Format,
    /// The table is longer than the file, or than anything sensible.
    #[error("a table of {0} libraries does not fit")]
    Table(u64),
}

/// The entries of the host's cache, in its order.
///
/// # Errors
/// As [`HostRoot::read`]; `InvalidData` where it cannot be parsed.
pub fn read(host: &HostRoot) -> io::Result<Vec<Entry>> {
    let bytes = host.read(PATH, FILE_LIMIT)?;
    parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Parses a cache. An entry whose name or path is no sensible string is left out: the linker would
/// not find anything by it either.
///
/// # Errors
/// Where the file is in neither format, or its table does not fit into it.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, LdCacheError> {
    if bytes.starts_with(NEW_MAGIC) {
        return parse_new(bytes);
    }
    if !bytes.starts_with(OLD_MAGIC) {
        return Err(LdCacheError::Format);
    }
    let count = number(bytes, OLD_MAGIC.len(), false).ok_or(LdCacheError::Format)?;
    let end = table(bytes, count, OLD_HEADER, OLD_ENTRY)?;
    // glibc aligns the new part as its structure is aligned: to eight on 64-bit machines.
    let new = end.next_multiple_of(8);
    if let Some(rest) = bytes.get(new..).filter(|rest| rest.starts_with(NEW_MAGIC)) {
        return parse_new(rest);
    }
    let strings = bytes.get(end..).unwrap_or_default();
    let entries = bytes[OLD_HEADER..end].chunks_exact(OLD_ENTRY);
    Ok(entries
        .filter_map(|entry| entry_of(entry, strings, false, 0))
        .collect())
}

fn parse_new(bytes: &[u8]) -> Result<Vec<Entry>, LdCacheError> {
    // Byte 28 says the byte order: 2 little, 3 big; 0 in files of glibc before 2.33, which is little on
    // the machines that are of interest here.
    let big = bytes.get(28).is_some_and(|flags| flags & 3 == 3);
    let count = number(bytes, NEW_MAGIC.len(), big).ok_or(LdCacheError::Format)?;
    let end = table(bytes, count, NEW_HEADER, NEW_ENTRY)?;
    let entries = bytes[NEW_HEADER..end].chunks_exact(NEW_ENTRY);
    Ok(entries
        .filter_map(|entry| {
            let (low, high) = (number(entry, 16, big)?, number(entry, 20, big)?);
            let (low, high) = if big { (high, low) } else { (low, high) };
            let hwcap = u64::from(high) << 32 | u64::from(low);
            entry_of(entry, bytes, big, hwcap)
        })
        .collect())
}

/// Where a table of `count` entries ends, if it fits.
fn table(bytes: &[u8], count: u32, header: usize, entry: usize) -> Result<usize, LdCacheError> {
    usize::try_from(count)
        .ok()
        .filter(|count| *count <= ENTRIES_LIMIT)
        .and_then(|count| count.checked_mul(entry)?.checked_add(header))
        .filter(|end| *end <= bytes.len())
        .ok_or(LdCacheError::Table(u64::from(count)))
}

fn entry_of(entry: &[u8], strings: &[u8], big: bool, hwcap: u64) -> Option<Entry> {
    let name = string(strings, number(entry, 4, big)?)?;
    let path = PathBuf::from(OsStr::from_bytes(string(strings, number(entry, 8, big)?)?));
    Some(Entry {
        name: std::str::from_utf8(name).ok()?.to_owned(),
        path: path.is_absolute().then_some(path)?,
        flags: number(entry, 0, big)?,
        hwcap,
    })
}

/// The string at `offset`, without its NUL; `None` where it is empty, too long or has no end.
fn string(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    let rest = &rest[..rest.len().min(STRING_LIMIT + 1)];
    let length = rest.iter().position(|byte| *byte == 0)?;
    (length > 0).then_some(&rest[..length])
}

fn number(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(if big {
        u32::from_be_bytes(four)
    } else {
        u32::from_le_bytes(four)
    })
}

#[cfg(test)]
mod tests;
