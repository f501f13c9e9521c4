//! The beginning of a library for x86-64, with what a loader reads of it.

/// `PT_LOAD` and `PT_DYNAMIC`.
const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;

/// Sizes of the head, of one program header, and of one entry of the dynamic section.
const HEAD: u64 = 64;
const HEADER: u64 = 56;
const ENTRY: u64 = 16;

/// The head, the dynamic section and its texts, of a file of `size` bytes that is loaded whole.
pub(super) fn library(name: &str, needs: &str, size: u64) -> Vec<u8> {
    let texts = format!("\0{name}\0{needs}\0");
    let dynamic_at = HEAD + 2 * HEADER;
    let texts_at = dynamic_at + 5 * ENTRY;
    let size = size.max(texts_at + texts.len() as u64);

    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    put16(&mut bytes, 3); // ET_DYN
    put16(&mut bytes, 62); // EM_X86_64
    put32(&mut bytes, 1); // the version
    put64(&mut bytes, [0, HEAD, 0]); // no entry point, the program headers, no sections
    put32(&mut bytes, 0);
    // The sizes of both heads, the number of program headers, and no sections.
    for field in [64, 56, 2, 64, 0, 0] {
        put16(&mut bytes, field);
    }
    for (kind, flags, offset, length) in [(LOAD, 4, 0, size), (DYNAMIC, 4, dynamic_at, 5 * ENTRY)] {
        put32(&mut bytes, kind);
        put32(&mut bytes, flags);
        put64(&mut bytes, [offset, offset, offset, length, length, 8]);
    }
    let needed_at = name.len() as u64 + 2;
    // DT_SONAME, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_NULL.
    for entry in [
        [14, 1],
        [1, needed_at],
        [5, texts_at],
        [10, texts.len() as u64],
        [0, 0],
    ] {
        put64(&mut bytes, entry);
    }
    bytes.extend_from_slice(texts.as_bytes());
    bytes
}

fn put16(bytes: &mut Vec<u8>, value: u16) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn put32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn put64<const N: usize>(bytes: &mut Vec<u8>, values: [u64; N]) {
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}
