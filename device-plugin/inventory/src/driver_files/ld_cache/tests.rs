//! Tests of `ld_cache`.

use super::*;
use proptest::prelude::*;
use std::path::Path;

const NEW: &[u8] = include_bytes!("fixtures/new");
const OLD: &[u8] = include_bytes!("fixtures/old");
const COMPAT: &[u8] = include_bytes!("fixtures/compat");

/// A cache in the new format, as glibc lays it out.
fn written(entries: &[(String, String, u32, u64)], big: bool) -> Vec<u8> {
    let four = |value: u32| {
        if big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    };
    let mut strings = Vec::new();
    let base = NEW_HEADER + entries.len() * NEW_ENTRY;
    let mut table = Vec::new();
    for (name, path, flags, hwcap) in entries {
        let mut at = |text: &str| {
            let offset = u32::try_from(base + strings.len()).unwrap();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            four(offset)
        };
        let (key, value) = (at(name), at(path));
        table.extend_from_slice(&four(*flags));
        table.extend_from_slice(&key);
        table.extend_from_slice(&value);
        table.extend_from_slice(&four(0));
        table.extend_from_slice(&if big {
            hwcap.to_be_bytes()
        } else {
            hwcap.to_le_bytes()
        });
    }
    let mut bytes = NEW_MAGIC.to_vec();
    bytes.extend_from_slice(&four(u32::try_from(entries.len()).unwrap()));
    bytes.extend_from_slice(&four(u32::try_from(strings.len()).unwrap()));
    bytes.extend_from_slice(&[if big { 3 } else { 2 }, 0, 0, 0]);
    bytes.resize(NEW_HEADER, 0);
    bytes.extend_from_slice(&table);
    bytes.extend_from_slice(&strings);
    bytes
}

#[test]
fn what_ldconfig_wrote_reads_the_same_in_every_format() {
    let new = parse(NEW).unwrap();
    let wayland = new
        .iter()
        .find(|entry| entry.name == "libnvidia-egl-wayland.so.1")
        .unwrap();
    assert_eq!(
        wayland.path,
        Path::new("/usr/lib/x86_64-linux-gnu/libnvidia-egl-wayland.so.1")
    );
    assert!(wayland.is_64_bit());
    assert_eq!(new.len(), 3);
    assert_eq!(parse(OLD).unwrap(), new);
    assert_eq!(parse(COMPAT).unwrap(), new);
}

#[test]
fn a_table_that_does_not_fit_is_refused() {
    let mut bytes = NEW.to_vec();
    bytes[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(parse(&bytes), Err(LdCacheError::Table(u64::from(u32::MAX))));
    let mut bytes = OLD.to_vec();
    bytes[12..16].copy_from_slice(&1000_u32.to_le_bytes());
    assert_eq!(parse(&bytes), Err(LdCacheError::Table(1000)));
    for bad in [
        &b""[..],
        b"ld.so",
        b"ld.so-1.7.0\0",
        b"glibc-ld.so.cache1.2",
    ] {
        assert_eq!(parse(bad), Err(LdCacheError::Format), "{bad:?}");
    }
}

#[test]
fn an_entry_without_a_sensible_string_is_left_out() {
    let entry = |name: &str, path: &str| (name.to_owned(), path.to_owned(), 0x0303, 0);
    let bytes = written(
        &[
            entry("", "/lib/a"),
            entry("liba.so", "relative/liba.so"),
            entry("libb.so", &format!("/{}", "x".repeat(STRING_LIMIT))),
            entry("libc.so", "/lib/libc.so"),
        ],
        false,
    );
    let names: Vec<_> = parse(&bytes).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["libc.so"]);
    // The last string has lost its end.
    assert!(parse(&bytes[..bytes.len() - 1]).unwrap().is_empty());
}

#[test]
fn the_processor_is_told_by_the_flags() {
    let entry = |flags| Entry {
        name: "x".to_owned(),
        path: "/x".into(),
        flags,
        hwcap: 0,
    };
    assert!(entry(0x0303).is_64_bit());
    assert!(entry(0x0a03).is_64_bit());
    // i386, x32, 32-bit ARM with hard floats, a library of libc5.
    for flags in [0x0003, 0x0803, 0x0903, 0x0302] {
        assert!(!entry(flags).is_64_bit(), "{flags:#x}");
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        entries in prop::collection::vec(
            ("[a-zA-Z0-9_.+-]{1,40}", "/[a-zA-Z0-9_./+-]{1,60}", any::<u32>(), any::<u64>()),
            0..50,
        ),
        big: bool,
    ) {
        let read: Vec<_> = parse(&written(&entries, big))
            .unwrap()
            .into_iter()
            .map(|e| (e.name, e.path.to_str().unwrap().to_owned(), e.flags, e.hwcap))
            .collect();
        prop_assert_eq!(read, entries);
    }

    #[test]
    fn damaged_caches_never_panic(
        which in 0..3_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = [NEW, OLD, COMPAT][which].to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        for entry in parse(&bytes).unwrap_or_default() {
            prop_assert!(entry.path.is_absolute());
            prop_assert!(!entry.name.is_empty() && entry.name.len() <= STRING_LIMIT);
        }
    }

    #[test]
    fn any_bytes_behind_a_magic_never_panic(new: bool, tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = if new { NEW_MAGIC.to_vec() } else { OLD_MAGIC.to_vec() };
        bytes.extend(tail);
        let _ = parse(&bytes);
    }
}
