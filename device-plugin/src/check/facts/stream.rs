//! A file of an image, read once from front to end: an ELF file's tables are kept as they pass, and
//! device code is found by its marks.
//!
//! Libraries of gigabytes pass through here, so that what is kept is bounded. Linkers put the tables
//! into the first loaded segment; tools that patch files afterwards add a small segment at the end.

use super::code::{NvidiaTarget, Scanner, Targets};
use super::elf::{self, DYNAMIC, Dynamic, Head, INTERPRETER, LOAD, Ranges, Segment};
use std::borrow::Cow;
use std::io::{self, Read};

/// Read at a time. A multiple of 8, as the scanner asks for.
const CHUNK: usize = 128 << 10;
/// Kept of the first loaded segment.
const FIRST_SEGMENT: u64 = 24 << 20;
/// Kept of any other segment that holds no code of the processor.
const OTHER_SEGMENT: u64 = 4 << 20;
/// Kept of one file at most.
const ALL_SEGMENTS: u64 = 32 << 20;

/// What one file showed.
pub(crate) struct Seen {
    /// The head; `None` where it is no ELF file, or a broken one.
    pub(crate) head: Option<Head>,
    /// The dynamic section.
    pub(crate) dynamic: Dynamic,
    /// Device code.
    pub(crate) targets: Targets,
    /// It begins like an ELF file and cannot be read as one, or ends too early.
    pub(crate) broken: bool,
}

impl Seen {
    /// The memory that it holds, in bytes and about.
    pub(crate) fn weight(&self) -> usize {
        let segments = self.head.as_ref().map_or(0, |head| head.segments.len());
        let dynamic = &self.dynamic;
        let names = [
            &dynamic.needed,
            &dynamic.defines,
            &dynamic.undefined,
            &dynamic.exported,
        ];
        let names = names.into_iter().flatten().map(String::len);
        let wants = dynamic.wants.iter().map(|(of, name)| of.len() + name.len());
        let amd = self.targets.amd.iter().map(String::len);
        let nvidia = self.targets.nvidia.len() * size_of::<NvidiaTarget>();
        let texts: usize = names
            .chain(wants)
            .chain(amd)
            .map(|text| text + STRING)
            .sum();
        size_of::<Seen>() + segments * size_of::<Segment>() + nvidia + texts
    }
}

/// What a text takes beside its bytes.
const STRING: usize = 2 * size_of::<String>();

/// Reads a file of `size` bytes to its end; `None` where it is no ELF file, of which only the first
/// bytes are then read.
///
/// # Errors
/// Those of the reader.
pub(crate) fn read(
    content: &mut dyn Read,
    size: u64,
    wanted: &dyn Fn(&str) -> bool,
) -> io::Result<Option<Seen>> {
    let mut chunk = vec![0; usize::try_from(size).unwrap_or(CHUNK).clamp(64, CHUNK)];
    let first = fill(content, &mut chunk[..64])?;
    if !elf::is_elf(&chunk[..first]) {
        return Ok(None);
    }
    let mut filled = first + fill(content, &mut chunk[first..])?;
    let head = elf::head(&chunk[..filled]);
    let mut kept = Kept::plan(head.as_ref(), size);
    let mut scanner = Scanner::new(head.as_ref());
    let mut offset = 0;
    while filled > 0 {
        kept.feed(offset, &chunk[..filled]);
        scanner.feed(offset, &chunk[..filled]);
        offset += filled as u64;
        filled = fill(content, &mut chunk)?;
    }
    let ends_early = head.as_ref().is_some_and(|head| {
        let end = |s: &elf::Segment| s.offset.checked_add(s.size).is_none_or(|end| end > offset);
        head.segments.iter().any(|s| s.kind == LOAD && end(s))
    });
    let dynamic = head
        .as_ref()
        .map(|head| elf::dynamic(&kept, head, wanted))
        .unwrap_or_default();
    Ok(Some(Seen {
        broken: head.is_none() || ends_early,
        head,
        dynamic,
        targets: scanner.finish(),
    }))
}

/// Reads until the buffer is full or the file ends.
fn fill(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The parts of a file that are kept.
struct Kept(Vec<Part>);

struct Part {
    start: u64,
    length: u64,
    bytes: Vec<u8>,
}

impl Kept {
    fn plan(head: Option<&Head>, size: u64) -> Kept {
        let mut kept = Kept(Vec::new());
        let Some(head) = head else {
            return kept;
        };
        let loads = || head.segments.iter().filter(|s| s.kind == LOAD);
        let lowest = loads().map(|s| s.offset).min();
        let mut left = ALL_SEGMENTS;
        let mut keep = |start: u64, length: u64| {
            let length = length.min(left).min(size.saturating_sub(start));
            if length > 0 {
                left -= length;
                kept.0.push(Part {
                    start,
                    length,
                    bytes: Vec::new(),
                });
            }
        };
        for segment in &head.segments {
            match segment.kind {
                DYNAMIC => keep(segment.offset, segment.size.min(1 << 20)),
                INTERPRETER => keep(segment.offset, segment.size.min(4096)),
                _ => {}
            }
        }
        for segment in loads() {
            if Some(segment.offset) == lowest {
                keep(segment.offset, segment.size.min(FIRST_SEGMENT));
            } else if !segment.executable {
                keep(segment.offset, segment.size.min(OTHER_SEGMENT));
            }
        }
        kept
    }

    fn feed(&mut self, offset: u64, chunk: &[u8]) {
        for part in &mut self.0 {
            // What comes next for this part, and how much of it is in the chunk.
            let next = part.start + part.bytes.len() as u64;
            let missing = part.length - part.bytes.len() as u64;
            let Some(skip) = next
                .checked_sub(offset)
                .and_then(|s| usize::try_from(s).ok())
            else {
                continue;
            };
            if missing == 0 || skip >= chunk.len() {
                continue;
            }
            let most = usize::try_from(missing).unwrap_or(usize::MAX);
            let end = skip.saturating_add(most).min(chunk.len());
            part.bytes.extend_from_slice(&chunk[skip..end]);
        }
    }
}

impl Ranges for Kept {
    fn range(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        self.0.iter().find_map(|part| {
            let start = usize::try_from(offset.checked_sub(part.start)?).ok()?;
            let bytes = part.bytes.get(start..start.checked_add(length)?)?;
            Some(Cow::from(bytes))
        })
    }
}
