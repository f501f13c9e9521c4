//! NVIDIA's fat binaries: a header, then entries of machine code and PTX.
//!
//! The layout is published in NVIDIA's `fatbinary.h` of older toolkits; what later toolkits added was
//! checked against their libraries. All numbers are little-endian:
//! header `{u32 magic, u16 version, u16 header size, u64 size of all entries}`, entry
//! `{u16 kind, u16, u32 header size, u64 payload size, u32 compressed size, u32, u16 minor, u16 major,
//! u32 arch, .., u64 flags at 40, .., u64 decompressed size at 56}`.

use super::{Next, NvidiaTarget, Targets};

/// Magic, version 1 and header size 16.
pub(super) const MARK: u64 = 0x0010_0001_ba55_ed50;
/// The header's length.
const HEADER: u64 = 16;
/// The least length of an entry's header.
const ENTRY: usize = 64;
/// The greatest.
const ENTRY_MAX: u64 = 4096;
/// Taken of an entry's payload: the target of PTX is in its first lines, and code of the processor's
/// linker that has no function in it is shorter.
const TAKEN: u64 = 2048;
/// Entries in one container.
const MAX_ENTRIES: u32 = 1 << 16;

const KIND_PTX: u16 = 1;
const FLAG_LZ4: u64 = 0x2000;
const FLAG_ZSTD: u64 = 0x8000;

/// A container that is being walked through.
pub(super) struct Walk {
    /// Where what is collected begins.
    at: u64,
    held: Vec<u8>,
    /// The container's end, once its header was read.
    end: Option<u64>,
    entries: u32,
}

impl Walk {
    pub(super) fn new(at: u64) -> Walk {
        Walk {
            at,
            held: Vec::new(),
            end: None,
            entries: 0,
        }
    }

    pub(super) fn feed(&mut self, offset: u64, piece: &[u8], targets: &mut Targets) -> Next {
        loop {
            let wanted = self.wanted();
            let Some(skip) = (self.at + self.held.len() as u64).checked_sub(offset) else {
                return Next::From(offset);
            };
            let Some(rest) = usize::try_from(skip).ok().and_then(|s| piece.get(s..)) else {
                return Next::More;
            };
            let take = wanted.saturating_sub(self.held.len()).min(rest.len());
            self.held.extend_from_slice(&rest[..take]);
            if self.held.len() < wanted {
                return Next::More;
            }
            // The header alone says how much of the entry is wanted.
            if self.held.len() < self.wanted() {
                continue;
            }
            if let Some(from) = self.step(targets) {
                return Next::From(from);
            }
        }
    }

    /// How many bytes are wanted at `at`: never more than the entry has, so that the next one is not
    /// passed over.
    fn wanted(&self) -> usize {
        let Some(end) = self.end else {
            return usize::try_from(HEADER).unwrap_or(16);
        };
        let text = entry(&self.held);
        let wanted = text.map_or(ENTRY as u64, |(_, length)| {
            let header = u32_at(&self.held, 4).map_or(0, u64::from);
            length.min(header + TAKEN).min(end.saturating_sub(self.at))
        });
        usize::try_from(wanted).unwrap_or(ENTRY).max(ENTRY)
    }

    /// Reads what was collected; where to search on once the container is done.
    fn step(&mut self, targets: &mut Targets) -> Option<u64> {
        let held = std::mem::take(&mut self.held);
        let Some(end) = self.end else {
            let size = u64_at(&held, 8)?;
            let Some(end) = (self.at + HEADER).checked_add(size) else {
                return Some(self.at + HEADER);
            };
            self.at += HEADER;
            self.end = Some(end);
            return (size < ENTRY as u64).then_some(self.at);
        };
        self.entries += 1;
        match entry(&held) {
            Some((target, length)) if self.entries < MAX_ENTRIES => {
                if let Some(target) = target {
                    targets.add_nvidia(target);
                }
                let next = self.at.saturating_add(length);
                if next.saturating_add(ENTRY as u64) > end {
                    return Some(end.max(self.at));
                }
                self.at = next;
                None
            }
            _ => {
                targets.unread = true;
                Some(self.at + held.len() as u64)
            }
        }
    }
}

/// The target of an entry (`None` for kinds that are no code), and how long it is with its payload.
fn entry(bytes: &[u8]) -> Option<(Option<NvidiaTarget>, u64)> {
    let kind = u16_at(bytes, 0)?;
    let header = u64::from(u32_at(bytes, 4)?);
    let payload = u64_at(bytes, 8)?;
    if header < ENTRY as u64 || header > ENTRY_MAX {
        return None;
    }
    let length = header.checked_add(payload)?;
    let arch = u32_at(bytes, 28)?;
    let is_ptx = kind == KIND_PTX;
    // 0x10 is machine code that newer compilers write beside 2; others are not code.
    if !(is_ptx || kind == 2 || kind == 0x10) || arch == 0 || arch > 9999 {
        return Some((None, length));
    }
    let content = bytes.get(usize::try_from(header).ok()?..);
    if content.is_some_and(|content| !is_ptx && is_empty(content, payload)) {
        return Some((None, length));
    }
    let text = content
        .filter(|_| is_ptx)
        .and_then(|payload| ptx_text(payload, u64_at(bytes, 40)?));
    let (suffix, stated) = match &text {
        Some(text) => of_ptx(text),
        // Machine code for one chip alone exists from 9.0 on, and the header does not tell it apart.
        None if arch < 90 => (' ', None),
        None => ('?', None),
    };
    let version = u32::from(u16_at(bytes, 26)?) * 10 + u32::from(u16_at(bytes, 24)?);
    Some((
        Some(NvidiaTarget {
            ptx: is_ptx,
            arch,
            suffix,
            ptx_version: stated.unwrap_or(if is_ptx { version } else { 0 }),
        }),
        length,
    ))
}

/// Whether machine code has no function in it: linking with nvcc leaves such a piece for the default
/// target in libraries that have no device code at all.
fn is_empty(content: &[u8], payload: u64) -> bool {
    let whole = usize::try_from(payload)
        .ok()
        .and_then(|length| content.get(..length));
    whole.is_some_and(|whole| {
        whole.starts_with(b"\x7fELF") && !whole.windows(6).any(|part| part == b".text.")
    })
}

/// The target of a cubin that stands alone, by `e_flags`: the low byte in files of older toolkits, the
/// second byte in those of the newer ABI (`EF_CUDA_SM`).
pub(super) fn of_flags(flags: u32) -> NvidiaTarget {
    let old = flags & 0xff;
    let new = (flags >> 8) & 0xff;
    // Newer files keep other bits in the low byte, far below any target.
    let arch = if new >= 75 && old < 20 { new } else { old };
    NvidiaTarget {
        ptx: false,
        arch,
        suffix: if arch < 90 { ' ' } else { '?' },
        ptx_version: 0,
    }
}

/// The beginning of the PTX text, decompressed where it must be.
fn ptx_text(payload: &[u8], flags: u64) -> Option<String> {
    let bytes = if flags & FLAG_ZSTD != 0 || payload.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        // Only whole blocks can be decompressed, and they are longer than what is taken.
        return None;
    } else if flags & FLAG_LZ4 != 0 {
        lz4(payload, 1024)
    } else {
        payload[..payload.len().min(1024)].to_vec()
    };
    Some(String::from_utf8_lossy(&bytes).into_owned()).filter(|text| text.contains(".target"))
}

/// The suffix and the version that PTX states: `.version 8.4`, `.target sm_90a`.
fn of_ptx(text: &str) -> (char, Option<u32>) {
    let word = |mark: &str| {
        let rest = &text[text.find(mark)? + mark.len()..];
        rest.split_whitespace().next()
    };
    let suffix = word(".target")
        .map(|target| target.trim_end_matches(','))
        .and_then(|target| target.split(',').next())
        .and_then(|target| target.chars().last())
        .map_or('?', |last| if last.is_ascii_digit() { ' ' } else { last });
    let version = word(".version").and_then(|version| {
        let (major, minor) = version.split_once('.')?;
        let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
        (major < 100 && minor < 10).then_some(major * 10 + minor)
    });
    (suffix, version)
}

/// The first `most` bytes of an LZ4 block; fewer where it is cut or broken.
fn lz4(block: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(most);
    let mut at = 0;
    let _ = lz4_into(block, &mut at, &mut out, most);
    out.truncate(most);
    out
}

fn lz4_into(block: &[u8], at: &mut usize, out: &mut Vec<u8>, most: usize) -> Option<()> {
    while out.len() < most {
        let token = *block.get(*at)?;
        *at += 1;
        let literals = lz4_length(block, at, usize::from(token >> 4))?;
        let end = at.checked_add(literals)?.min(block.len());
        out.extend_from_slice(&block[*at..end]);
        *at = end;
        let distance = usize::from(u16_at(block, *at)?);
        *at += 2;
        let length = lz4_length(block, at, usize::from(token & 15))?.checked_add(4)?;
        for _ in 0..length.min(most.saturating_sub(out.len())) {
            let from = out.len().checked_sub(distance).filter(|_| distance > 0)?;
            out.push(out[from]);
        }
    }
    Some(())
}

fn lz4_length(block: &[u8], at: &mut usize, nibble: usize) -> Option<usize> {
    let mut length = nibble;
    if nibble == 15 {
        loop {
            let more = *block.get(*at)?;
            *at += 1;
            length = length.checked_add(usize::from(more))?;
            if more != 255 {
                break;
            }
        }
    }
    Some(length)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}
