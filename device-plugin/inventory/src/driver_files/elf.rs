//! What a shared library says of itself: the name by which others ask for it, and for which processor
//! it is. Reads a few kilobytes of a file that may have hundreds of megabytes.

use dunnage_host::HostRoot;
use object::Endianness;
use object::elf::{
    DT_NULL, DT_SONAME, DT_STRTAB, DynamicTag, EM_AARCH64, EM_X86_64, FileHeader64, PT_DYNAMIC,
};
use object::read::ReadCache;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use std::path::Path;

/// The most program headers that are looked at; real libraries have about a dozen.
const HEADERS_LIMIT: u32 = 256;
/// The longest dynamic section that is read, in bytes; real ones have less than 2 KiB.
const DYNAMIC_LIMIT: u64 = 64 << 10;
/// The longest soname that is taken, in bytes.
const NAME_LIMIT: u64 = 255;

/// The instruction set of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Machine {
    /// `EM_X86_64`.
    X86_64,
    /// `EM_AARCH64`.
    Aarch64,
}

impl Machine {
    /// The folder name that Debian and its descendants give to libraries of this machine.
    #[must_use]
    pub fn triplet(self) -> &'static str {
        match self {
            Machine::X86_64 => "x86_64-linux-gnu",
            Machine::Aarch64 => "aarch64-linux-gnu",
        }
    }
}

/// What is read of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Library {
    pub(super) machine: Machine,
    /// `DT_SONAME`; absent where there is none, or none that is a plain file name.
    pub(super) soname: Option<String>,
}

/// Reads the library at `path`; `None` where it is no 64-bit ELF file for a processor that is known
/// here, or cannot be read.
pub(super) fn library(host: &HostRoot, path: &Path) -> Option<Library> {
    let cache = ReadCache::new(host.open(path).ok()?);
    let data = &cache;
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let machine = match header.e_machine(endian) {
        EM_X86_64 => Machine::X86_64,
        EM_AARCH64 => Machine::Aarch64,
        _ => return None,
    };
    Some(Library {
        machine,
        soname: soname(header, endian, data),
    })
}

fn soname(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    data: &ReadCache<std::fs::File>,
) -> Option<String> {
    if header.phnum(endian, data).ok()? > HEADERS_LIMIT {
        return None;
    }
    let segments = header.program_headers(endian, data).ok()?;
    let dynamic = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_DYNAMIC)
        .find(|segment| segment.p_filesz(endian) <= DYNAMIC_LIMIT)?
        .dynamic(endian, data)
        .ok()??;
    let value = |tag: DynamicTag| {
        dynamic
            .iter()
            .map(|entry| (entry.d_tag(endian), entry.d_val(endian)))
            .take_while(|(found, _)| *found != DT_NULL)
            .find(|(found, _)| *found == tag)
            .map(|(_, value)| value)
    };
    let address = value(DT_STRTAB)?.checked_add(value(DT_SONAME)?)?;
    let offset = segments.iter().find_map(|segment| {
        let within = address.checked_sub(segment.p_vaddr(endian))?;
        (segment.p_type(endian) == object::elf::PT_LOAD && within < segment.p_filesz(endian))
            .then(|| segment.p_offset(endian).checked_add(within))?
    })?;
    name_at(data, offset)
}

fn name_at(data: &ReadCache<std::fs::File>, offset: u64) -> Option<String> {
    use object::read::ReadRef;
    let end = offset.checked_add(NAME_LIMIT + 1)?.min(data.len().ok()?);
    let bytes = data.read_bytes_at_until(offset..end, 0).ok()?;
    let name = std::str::from_utf8(bytes).ok()?;
    is_file_name(name).then(|| name.to_owned())
}

/// Whether `name` can be a file in a folder, and can be printed and written into any file as it is.
pub(super) fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

#[cfg(test)]
pub(super) mod tests;
