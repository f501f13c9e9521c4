//! Tests of `elf`.

use super::*;
use proptest::prelude::*;
use std::fs;

/// The smallest library that has a soname: one segment that is loaded at `BASE`, with the dynamic
/// section and its strings in it (System V ABI, chapters 4 and 5).
pub(in super::super) fn with_soname(soname: &str) -> Vec<u8> {
    const BASE: u64 = 0x1000;
    let (dynamic_at, strings_at) = (64 + 2 * 56, 64 + 2 * 56 + 3 * 16);
    let length = strings_at + 1 + soname.len() as u64 + 1;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let short = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    // ET_DYN, EM_X86_64, version, entry, program headers at 64, no sections.
    short(&mut file, 3);
    short(&mut file, 62);
    word(&mut file, 1);
    long(&mut file, 0);
    long(&mut file, 64);
    long(&mut file, 0);
    word(&mut file, 0);
    for value in [64, 56, 2, 64, 0, 0] {
        short(&mut file, value);
    }
    for (kind, at, size) in [(1, 0, length), (2, dynamic_at, 48)] {
        word(&mut file, kind);
        word(&mut file, 4);
        for value in [at, BASE + at, BASE + at, size, size, 8] {
            long(&mut file, value);
        }
    }
    for value in [5, BASE + strings_at, 14, 1, 0, 0] {
        long(&mut file, value);
    }
    file.push(0);
    file.extend_from_slice(soname.as_bytes());
    file.push(0);
    file
}

fn read(bytes: &[u8]) -> Option<Library> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("lib"), bytes).unwrap();
    library(&HostRoot::new(dir.path()), Path::new("/lib"))
}

#[test]
fn the_soname_is_read() {
    let library = read(&with_soname("libcuda.so.1")).unwrap();
    assert_eq!(library.soname.as_deref(), Some("libcuda.so.1"));
    assert_eq!(library.machine, Machine::X86_64);
}

#[test]
fn a_soname_that_leads_elsewhere_is_none() {
    for bad in ["../../etc/passwd", "/etc/passwd", "", "a b", "a\nb", ".."] {
        assert_eq!(read(&with_soname(bad)).unwrap().soname, None, "{bad:?}");
    }
    let long = "x".repeat(300);
    assert_eq!(read(&with_soname(&long)).unwrap().soname, None);
}

#[test]
fn what_is_no_library_is_none() {
    assert_eq!(read(b""), None);
    assert_eq!(read(b"\x7fELF"), None);
    let mut other = with_soname("libx.so");
    other[18] = 243;
    assert_eq!(read(&other), None, "RISC-V");
}

#[test]
fn a_giant_dynamic_section_is_not_read() {
    let mut file = with_soname("libcuda.so.1");
    let size = 64 + 56 + 32;
    file[size..size + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(read(&file).unwrap().soname, None);
}

proptest! {
    #[test]
    fn damaged_libraries_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = with_soname("libcuda.so.1");
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len() + 1));
        if let Some(soname) = read(&file).and_then(|library| library.soname) {
            prop_assert!(is_file_name(&soname));
        }
    }
}
