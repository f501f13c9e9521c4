//! Offload bundles of Clang and HIP, plain and compressed, and AMD's code objects that stand alone.
//!
//! Layout: LLVM's `ClangOffloadBundler` documentation. Plain: `__CLANG_OFFLOAD_BUNDLE__`, u64 count,
//! then for each entry u64 offset, u64 size, u64 length of its id, and the id
//! (`hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-`). Compressed: `CCOB`, u16 version, u16 method, sizes and a
//! hash, then zlib or zstd.

use super::{Next, Targets};
use std::io::Read;

/// `__CLANG_`.
pub(super) const MARK: u64 = u64::from_le_bytes(*b"__CLANG_");
const MAGIC: &[u8] = b"__CLANG_OFFLOAD_BUNDLE__";
/// `CCOB`.
pub(super) const COMPRESSED_MARK: u64 = u32::from_le_bytes(*b"CCOB") as u64;

/// Taken of a plain bundle. Bundles are aligned to as much, so that no other one lies within, and
/// the lists that compilers write fit.
const PLAIN: usize = 4096;
/// Taken of a compressed one: zstd is decompressed by blocks of at most 128 KiB.
const COMPRESSED: usize = 256 << 10;
/// Enough of any bundle to know how much more is wanted.
const HEAD: usize = 24;
/// Entries in one bundle.
const MAX_ENTRIES: u64 = 256;
/// The longest id.
const MAX_ID: u64 = 256;

/// Whether a word is the beginning of a compressed bundle: versions 1 to 3, zlib or zstd.
pub(super) fn is_compressed(word: u64) -> bool {
    let (version, method) = ((word >> 32) & 0xffff, word >> 48);
    word & 0xffff_ffff == COMPRESSED_MARK && (1..=3).contains(&version) && method <= 1
}

/// A bundle whose head is being collected.
pub(super) struct Collect {
    at: u64,
    held: Vec<u8>,
}

impl Collect {
    pub(super) fn new(at: u64) -> Collect {
        Collect {
            at,
            held: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, offset: u64, piece: &[u8], targets: &mut Targets) -> Next {
        loop {
            let wanted = wanted(&self.held);
            let Some(skip) = (self.at + self.held.len() as u64).checked_sub(offset) else {
                return Next::From(offset);
            };
            let Some(rest) = usize::try_from(skip).ok().and_then(|s| piece.get(s..)) else {
                return Next::More;
            };
            let take = (wanted - self.held.len()).min(rest.len());
            self.held.extend_from_slice(&rest[..take]);
            if self.held.len() < wanted {
                return Next::More;
            }
            // The head alone says how much more is wanted.
            if wanted > HEAD {
                break;
            }
        }
        read(&self.held, targets);
        Next::From(self.at + self.held.len() as u64)
    }

    /// The file ended while collecting.
    pub(super) fn finish(self, targets: &mut Targets) {
        read(&self.held, targets);
    }
}

/// How much of a bundle is collected, as far as its first bytes tell.
fn wanted(held: &[u8]) -> usize {
    if held.len() < HEAD {
        return HEAD;
    }
    if !held.starts_with(b"CCOB") {
        return PLAIN;
    }
    let field = |at: usize| held.get(at..at + 4).and_then(|b| b.try_into().ok());
    // From version 2 on the length of the whole stands behind the method.
    let total = match held[4] {
        1 => None,
        _ => field(8).map(u32::from_le_bytes).filter(|&total| total > 0),
    };
    let total = total.and_then(|total| usize::try_from(total).ok());
    total.map_or(COMPRESSED, |total| total.clamp(HEAD + 1, COMPRESSED))
}

fn read(bytes: &[u8], targets: &mut Targets) {
    let found = if bytes.starts_with(b"CCOB") {
        decompressed(bytes).and_then(|plain| entries(&plain, targets))
    } else if bytes.starts_with(MAGIC) {
        entries(bytes, targets)
    } else {
        Some(())
    };
    targets.unread |= found.is_none();
}

/// The first kilobytes of a compressed bundle.
fn decompressed(bytes: &[u8]) -> Option<Vec<u8>> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let header = match u16_at(4)? {
        1 => 20,
        2 => 24,
        _ => 32,
    };
    let payload = bytes.get(header..)?;
    let mut plain = Vec::new();
    let most = u64::try_from(PLAIN).ok()?;
    // A cut stream gives an error behind what was wanted: what came before it counts.
    if u16_at(6)? == 0 {
        let _ = flate2::read::ZlibDecoder::new(payload)
            .take(most)
            .read_to_end(&mut plain);
    } else {
        let mut decoder = structured_zstd::decoding::FrameDecoder::new();
        let mut source = payload;
        decoder.init(&mut source).ok()?;
        let strategy = structured_zstd::decoding::BlockDecodingStrategy::UptoBytes(PLAIN);
        decoder.decode_blocks(&mut source, strategy).ok()?;
        let _ = decoder.take(most).read_to_end(&mut plain);
    }
    plain.starts_with(MAGIC).then_some(plain)
}

/// The targets of a plain bundle's list; `None` where the list is cut or makes no sense.
fn entries(bytes: &[u8], targets: &mut Targets) -> Option<()> {
    let u64_at = |at: usize| {
        let bytes = bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let count = u64_at(MAGIC.len())?;
    if count > MAX_ENTRIES {
        return None;
    }
    let mut at = MAGIC.len() + 8;
    for _ in 0..count {
        let size = u64_at(at + 8)?;
        let length = u64_at(at + 16).filter(|&length| length <= MAX_ID)?;
        let start = at + 24;
        let end = start + usize::try_from(length).ok()?;
        let id = std::str::from_utf8(bytes.get(start..end)?).ok()?;
        if let Some(target) = gfx(id).filter(|_| size > 0) {
            targets.add_amd(target);
        }
        at = end;
    }
    Some(())
}

/// `hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-` is for `gfx90a:xnack-`; what is for the host has none.
fn gfx(id: &str) -> Option<&str> {
    let target = &id[id.find("-gfx")? + 1..];
    let plain = |c: char| c.is_ascii_alphanumeric() || ":+-".contains(c);
    target.chars().all(plain).then_some(target)
}

/// The target of a code object by `e_flags` (`EF_AMDGPU_MACH`, LLVM's AMDGPU usage document); `None`
/// for one that is not in the table.
pub(super) fn of_flags(flags: u32) -> Option<String> {
    let name = match flags & 0xff {
        0x2c => "gfx900",
        0x2f => "gfx906",
        0x30 => "gfx908",
        0x33 => "gfx1010",
        0x36 => "gfx1030",
        0x37 => "gfx1031",
        0x38 => "gfx1032",
        0x3f => "gfx90a",
        0x40 => "gfx940",
        0x41 => "gfx1100",
        0x46 => "gfx1101",
        0x47 => "gfx1102",
        0x48 => "gfx1200",
        0x4b => "gfx941",
        0x4c => "gfx942",
        0x4e => "gfx1201",
        0x4f => "gfx950",
        _ => return None,
    };
    // Bits 8 and 9 are xnack, 10 and 11 sramecc: 2 is off, 3 is on, else either will do.
    let mut name = name.to_owned();
    for (feature, shift) in [("sramecc", 10), ("xnack", 8)] {
        match (flags >> shift) & 3 {
            2 => name.push_str(&format!(":{feature}-")),
            3 => name.push_str(&format!(":{feature}+")),
            _ => {}
        }
    }
    Some(name)
}
