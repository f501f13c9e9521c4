//! What an ELF file says of itself, from the parts of it that could be kept or can be read.
//!
//! The layout is that of the System V ABI (`elf(5)`), the tables of versions that of the LSB. Files
//! come from an attacker: every offset and count is checked, every table bounded.

mod symbols;

use std::borrow::Cow;
use symbols::Symbols;

/// The most libraries that one file may need.
const MAX_NEEDED: usize = 1024;
/// The longest name that is taken.
const MAX_NAME: usize = 512;
/// Program headers that are looked at.
const MAX_HEADERS: usize = 256;
/// Entries of the dynamic section that are looked at.
const MAX_DYNAMIC: usize = 4096;

/// The longest string table that is read: the largest libraries have some tens of megabytes.
const MAX_STRINGS: u64 = 32 << 20;

/// The header's length in 64-bit files.
pub(crate) const HEADER: usize = 64;

/// Parts of a file, by offset.
pub trait Ranges {
    /// `length` bytes from `offset`; `None` where they are not at hand or beyond the end.
    fn range(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>>;
}

impl Ranges for [u8] {
    fn range(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(length)?).map(Cow::from)
    }
}

/// A file that can be read at any place.
pub struct OnDisk<'a>(pub &'a std::fs::File);

impl Ranges for OnDisk<'_> {
    fn range(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, offset).ok()?;
        Some(Cow::from(bytes))
    }
}

/// The sort of file (`e_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// `ET_EXEC`.
    Program,
    /// `ET_DYN`: a library, or a program that can be loaded anywhere.
    Shared,
    /// Anything else.
    Other,
}

/// The head of a file: what the program headers say.
#[derive(Clone, Debug)]
pub struct Head {
    /// 64-bit, else 32-bit.
    pub wide: bool,
    /// Big-endian.
    pub big: bool,
    /// `e_machine`: 62 is x86-64.
    pub machine: u16,
    /// `e_flags`.
    pub flags: u32,
    /// What sort of file.
    pub sort: Sort,
    /// The program headers.
    pub segments: Vec<Segment>,
}

/// One program header.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `PF_X`.
    pub executable: bool,
    /// Where it is in the file.
    pub offset: u64,
    /// Where it is in memory.
    pub address: u64,
    /// How much of it is in the file.
    pub size: u64,
}

/// `PT_LOAD`.
pub const LOAD: u32 = 1;
/// `PT_DYNAMIC`.
pub const DYNAMIC: u32 = 2;
/// `PT_INTERP`.
pub const INTERPRETER: u32 = 3;

/// `DF_1_PIE`.
const FLAG_PIE: u64 = 0x0800_0000;

/// What is taken from a file's dynamic section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dynamic {
    /// The program that loads it.
    pub interpreter: Option<String>,
    /// Whether it is a program that can be loaded anywhere (`DF_1_PIE`): a static one has no
    /// interpreter, and nothing else tells it from a library.
    pub is_program: bool,
    /// Its own name.
    pub soname: Option<String>,
    /// The libraries that it must have.
    pub needed: Vec<String>,
    /// The versions that it wants of a library: (library, version).
    pub wants: Vec<(String, String)>,
    /// The versions that it defines.
    pub defines: Vec<String>,
    /// Symbols that are asked for by the caller's choice and not defined here.
    pub undefined: Vec<String>,
    /// Symbols of the caller's choice that are defined here.
    pub exported: Vec<String>,
    /// A part that could not be read.
    pub incomplete: bool,
}

/// Integers in the file's byte order.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
    wide: bool,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes: [u8; 8] = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        Some(if self.big {
            u64::from_be_bytes(bytes)
        } else {
            u64::from_le_bytes(bytes)
        })
    }

    /// An address-sized number: 8 bytes in 64-bit files, else 4.
    fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        if self.wide {
            self.u64(bytes, at)
        } else {
            self.u32(bytes, at).map(u64::from)
        }
    }

    fn pick(self, wide: usize, narrow: usize) -> usize {
        if self.wide { wide } else { narrow }
    }
}

/// Whether the bytes begin an ELF file.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// The head of a file; `None` where it is no ELF file or its program headers are not at hand.
#[must_use]
pub fn head<R: Ranges + ?Sized>(file: &R) -> Option<Head> {
    let start = file.range(0, 52)?;
    if !is_elf(&start) {
        return None;
    }
    let order = Order {
        wide: match start[4] {
            1 => false,
            2 => true,
            _ => return None,
        },
        big: match start[5] {
            1 => false,
            2 => true,
            _ => return None,
        },
    };
    let header = file.range(0, order.pick(HEADER, 52))?;
    let count = usize::from(order.u16(&header, order.pick(56, 44))?).min(MAX_HEADERS);
    let size = usize::from(order.u16(&header, order.pick(54, 42))?);
    let offset = order.word(&header, order.pick(32, 28))?;
    if count > 0 && size < order.pick(56, 32) {
        return None;
    }
    let table = file.range(offset, count.checked_mul(size)?)?;
    Some(Head {
        wide: order.wide,
        big: order.big,
        machine: order.u16(&header, 18)?,
        flags: order.u32(&header, order.pick(48, 36))?,
        sort: match order.u16(&header, 16)? {
            2 => Sort::Program,
            3 => Sort::Shared,
            _ => Sort::Other,
        },
        segments: (0..count)
            .map_while(|index| segment(order, &table, index * size))
            .collect(),
    })
}

fn segment(order: Order, table: &[u8], at: usize) -> Option<Segment> {
    Some(Segment {
        kind: order.u32(table, at)?,
        executable: order.u32(table, at + order.pick(4, 24))? & 1 != 0,
        offset: order.word(table, at + order.pick(8, 4))?,
        address: order.word(table, at + order.pick(16, 8))?,
        size: order.word(table, at + order.pick(32, 16))?,
    })
}

/// The dynamic section of a file whose head is known. `wanted` chooses the symbols that are listed,
/// at most some thousands.
#[must_use]
pub fn dynamic<R: Ranges + ?Sized>(
    file: &R,
    head: &Head,
    wanted: &dyn Fn(&str) -> bool,
) -> Dynamic {
    let mut found = Dynamic::default();
    if let Some(segment) = head.segments.iter().find(|s| s.kind == INTERPRETER) {
        found.interpreter = text(file, segment.offset, segment.size);
    }
    if !head.segments.iter().any(|s| s.kind == DYNAMIC) {
        return found;
    }
    match Tables::of(file, head) {
        Some(tables) => {
            let flags = tables.entry(tag::FLAGS_1).unwrap_or(0);
            found.is_program = flags & FLAG_PIE != 0;
            tables.read(wanted, &mut found);
        }
        None => found.incomplete = true,
    }
    found
}

fn text<R: Ranges + ?Sized>(file: &R, offset: u64, size: u64) -> Option<String> {
    let length = usize::try_from(size).ok()?.min(MAX_NAME);
    Some(until_nul(&file.range(offset, length)?))
}

fn until_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    let end = end.unwrap_or(bytes.len()).min(MAX_NAME);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The dynamic section, its entries by tag.
struct Tables<'a, R: ?Sized> {
    file: &'a R,
    head: &'a Head,
    order: Order,
    entries: Vec<(u64, u64)>,
    strings: Option<Cow<'a, [u8]>>,
}

mod tag {
    pub(super) const NEEDED: u64 = 1;
    pub(super) const HASH: u64 = 4;
    pub(super) const STRTAB: u64 = 5;
    pub(super) const SYMTAB: u64 = 6;
    pub(super) const STRSZ: u64 = 10;
    pub(super) const SONAME: u64 = 14;
    pub(super) const GNU_HASH: u64 = 0x6fff_fef5;
    pub(super) const FLAGS_1: u64 = 0x6fff_fffb;
    pub(super) const VERDEF: u64 = 0x6fff_fffc;
    pub(super) const VERDEFNUM: u64 = 0x6fff_fffd;
    pub(super) const VERNEED: u64 = 0x6fff_fffe;
    pub(super) const VERNEEDNUM: u64 = 0x6fff_ffff;
}

impl<'a, R: Ranges + ?Sized> Tables<'a, R> {
    fn of(file: &'a R, head: &'a Head) -> Option<Tables<'a, R>> {
        let order = Order {
            big: head.big,
            wide: head.wide,
        };
        let segment = head.segments.iter().find(|s| s.kind == DYNAMIC)?;
        let size = order.pick(16, 8);
        let length = usize::try_from(segment.size).ok()?.min(MAX_DYNAMIC * size);
        let bytes = file.range(segment.offset, length / size * size)?;
        let entries = bytes
            .chunks_exact(size)
            .map_while(|entry| Some((order.word(entry, 0)?, order.word(entry, size / 2)?)))
            .take_while(|&(tag, _)| tag != 0)
            .collect();
        let mut tables = Tables {
            file,
            head,
            order,
            entries,
            strings: None,
        };
        let size = tables.entry(tag::STRSZ)?;
        if size <= MAX_STRINGS {
            let start = tables.table(tag::STRTAB)?;
            tables.strings = file.range(start, usize::try_from(size).ok()?);
        }
        Some(tables)
    }

    fn entry(&self, tag: u64) -> Option<u64> {
        self.entries.iter().find(|e| e.0 == tag).map(|e| e.1)
    }

    /// Where an address in memory is in the file.
    fn offset(&self, address: u64) -> Option<u64> {
        let segment = self
            .head
            .segments
            .iter()
            .find(|s| s.kind == LOAD && address >= s.address && address - s.address < s.size)?;
        segment.offset.checked_add(address - segment.address)
    }

    fn table(&self, tag: u64) -> Option<u64> {
        self.offset(self.entry(tag)?)
    }

    /// A name of the string table.
    fn name(&self, index: u64) -> Option<String> {
        let strings = self.strings.as_ref()?;
        let rest = strings.get(usize::try_from(index).ok()?..)?;
        Some(until_nul(&rest[..rest.len().min(MAX_NAME)]))
    }

    fn read(&self, wanted: &dyn Fn(&str) -> bool, found: &mut Dynamic) {
        let needed = self.entries.iter().filter(|e| e.0 == tag::NEEDED);
        for &(_, index) in needed.take(MAX_NEEDED) {
            match self.name(index) {
                Some(name) => found.needed.push(name),
                None => found.incomplete = true,
            }
        }
        found.soname = self.entry(tag::SONAME).and_then(|index| self.name(index));
        let versions = self.version_needs(&mut found.wants);
        let definitions = self.version_definitions(&mut found.defines);
        let symbols = Symbols { tables: self }.read(wanted, found);
        found.incomplete |= versions.is_none() || definitions.is_none() || symbols.is_none();
    }

    /// `Elf64_Verneed` and its `Vernaux`; `None` where the table is there and cannot be read.
    fn version_needs(&self, wants: &mut Vec<(String, String)>) -> Option<()> {
        let Some(count) = self.entry(tag::VERNEEDNUM) else {
            return Some(());
        };
        let mut at = self.table(tag::VERNEED)?;
        for _ in 0..count.min(1024) {
            let need = self.file.range(at, 16)?;
            let library = self.name(u64::from(self.order.u32(&need, 4)?))?;
            let mut auxiliary = at.checked_add(u64::from(self.order.u32(&need, 8)?))?;
            for _ in 0..self.order.u16(&need, 2)?.min(512) {
                let bytes = self.file.range(auxiliary, 16)?;
                let version = self.name(u64::from(self.order.u32(&bytes, 8)?))?;
                if wants.len() < MAX_DYNAMIC {
                    wants.push((library.clone(), version));
                }
                match self.order.u32(&bytes, 12)? {
                    0 => break,
                    next => auxiliary = auxiliary.checked_add(u64::from(next))?,
                }
            }
            match self.order.u32(&need, 12)? {
                0 => break,
                next => at = at.checked_add(u64::from(next))?,
            }
        }
        Some(())
    }

    /// `Elf64_Verdef` and the first `Verdaux` of each; `None` as above.
    fn version_definitions(&self, defines: &mut Vec<String>) -> Option<()> {
        let Some(count) = self.entry(tag::VERDEFNUM) else {
            return Some(());
        };
        let mut at = self.table(tag::VERDEF)?;
        for _ in 0..count.min(1024) {
            let definition = self.file.range(at, 20)?;
            let auxiliary = at.checked_add(u64::from(self.order.u32(&definition, 12)?))?;
            let bytes = self.file.range(auxiliary, 8)?;
            defines.push(self.name(u64::from(self.order.u32(&bytes, 0)?))?);
            match self.order.u32(&definition, 16)? {
                0 => break,
                next => at = at.checked_add(u64::from(next))?,
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
