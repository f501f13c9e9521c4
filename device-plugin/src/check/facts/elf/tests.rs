//! Tests of `elf`.

use super::*;
use crate::check::testing::elf::Elf;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> (Head, Dynamic) {
    let head = head(bytes).unwrap();
    let dynamic = dynamic(bytes, &head, &|name| name.starts_with("cu"));
    (head, dynamic)
}

fn library() -> Elf {
    Elf {
        interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
        soname: Some("libx.so.1"),
        needed: vec!["libcuda.so.1", "libc.so.6"],
        undefined: vec!["cuInit", "malloc"],
        defined: vec!["cuMine", "other"],
        wants: vec![("libc.so.6", "GLIBC_2.17"), ("libm.so.6", "GLIBC_2.29")],
        defines: vec!["libx.so.1", "X_1.0"],
        blob: vec![7; 100],
        ..Elf::default()
    }
}

#[test]
fn everything_that_a_library_says_is_read() {
    let (head, dynamic) = read(&library().bytes());
    assert_eq!(
        (head.machine, head.sort, head.wide),
        (62, Sort::Shared, true)
    );
    let texts = |list: &[&str]| {
        list.iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(dynamic.soname.as_deref(), Some("libx.so.1"));
    assert_eq!(
        dynamic.interpreter.as_deref(),
        Some("/lib64/ld-linux-x86-64.so.2")
    );
    assert_eq!(dynamic.needed, texts(&["libcuda.so.1", "libc.so.6"]));
    assert_eq!(dynamic.undefined, texts(&["cuInit"]));
    assert_eq!(dynamic.exported, texts(&["cuMine"]));
    assert_eq!(
        dynamic.wants[1],
        ("libm.so.6".to_owned(), "GLIBC_2.29".to_owned())
    );
    assert_eq!(dynamic.defines, texts(&["libx.so.1", "X_1.0"]));
    assert!(!dynamic.incomplete);
}

#[test]
fn this_program_itself_is_read_from_the_disk() {
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let file = OnDisk(&file);
    let head = head(&file).unwrap();
    assert_eq!(head.machine, crate::check::machine::own());
    let dynamic = dynamic(&file, &head, &|name| name == "malloc" || name == "free");
    assert!(!dynamic.incomplete);
    // Tests are linked to the C library by cargo's default.
    if dynamic.interpreter.is_some() {
        assert!(
            dynamic.needed.iter().any(|name| name.starts_with("libc.")),
            "{dynamic:?}"
        );
        assert!(
            !dynamic.undefined.is_empty(),
            "an executable's undefined symbols are listed"
        );
    }
}

#[test]
fn a_file_that_is_cut_gives_no_head_or_an_incomplete_answer() {
    let whole = library().bytes();
    let (_, expected) = read(&whole);
    for length in 0..whole.len() - 100 {
        let bytes = &whole[..length];
        let Some(head) = head(bytes) else { continue };
        let found = dynamic(bytes, &head, &|_| true);
        assert!(
            found.incomplete || found.needed == expected.needed,
            "cut at {length}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_behind_the_mark_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.append(&mut bytes);
        if let Some(head) = head(&file[..]) {
            let _ = dynamic(&file[..], &head, &|_| true);
        }
    }

    #[test]
    fn any_change_to_a_library_is_survived(changes in prop::collection::vec((0usize..1024, any::<u8>()), 1..12)) {
        let mut file = library().bytes();
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        if let Some(head) = head(&file[..]) {
            let found = dynamic(&file[..], &head, &|_| true);
            prop_assert!(found.needed.len() <= MAX_NEEDED);
            prop_assert!(found.needed.iter().all(|name| name.len() <= MAX_NAME * 3));
        }
    }
}
