//! Tests of `code`.

use super::*;
use crate::check::testing::elf::{bundle, fatbin};
use proptest::prelude::*;

/// Feeds `bytes` in pieces of `size` bytes.
fn scan(bytes: &[u8], size: usize) -> Targets {
    let mut scanner = Scanner::new(None);
    let mut offset = 0;
    for piece in bytes.chunks(size) {
        scanner.feed(offset, piece);
        offset += piece.len() as u64;
    }
    scanner.finish()
}

fn names(targets: &Targets) -> Vec<String> {
    let nvidia = targets.nvidia.iter().map(|target| {
        let kind = if target.ptx { "compute" } else { "sm" };
        format!(
            "{kind}_{}{}@{}",
            target.arch, target.suffix, target.ptx_version
        )
    });
    nvidia.chain(targets.amd.iter().cloned()).collect()
}

const PTX: &[u8] = b"//\n.version 8.4\n.target sm_90a, debug\n.address_size 64\n";

fn two_containers() -> Vec<u8> {
    let mut file = vec![1; 8 * 37];
    file.extend(fatbin(&[(false, 80, 0, &[9; 70]), (true, 90, 0, PTX)]));
    file.extend([0; 64]);
    file.extend(fatbin(&[(false, 100, 0, b"x")]));
    file
}

#[test]
fn both_containers_are_found_whatever_the_pieces() {
    let file = two_containers();
    for size in [8, 16, 24, 64, 128, 4096] {
        let found = scan(&file, size);
        assert_eq!(
            names(&found),
            ["sm_80 @0", "sm_100?@0", "compute_90a@84"],
            "{size}"
        );
        assert!(!found.unread, "{size}");
    }
}

#[test]
fn a_container_that_is_cut_is_said_to_be_unread() {
    let mut file = fatbin(&[(false, 80, 0, &[9; 70]), (false, 90, 0, &[9; 70])]);
    file.truncate(file.len() - 100);
    let found = scan(&file, 64);
    assert_eq!(names(&found), ["sm_80 @0"]);
    assert!(found.unread);
}

#[test]
fn machine_code_without_a_function_asks_for_nothing() {
    let file = fatbin(&[
        (false, 52, 0, b"\x7fELF.shstrtab"),
        (false, 80, 0, b"\x7fELF.text.f"),
    ]);
    for size in [8, 64, 4096] {
        assert_eq!(names(&scan(&file, size)), ["sm_80 @0"], "{size}");
    }
}

#[test]
fn ptx_that_is_compressed_states_its_target() {
    // An LZ4 block of literals alone: the lengths are above 15, so that they take further bytes.
    let mut block = vec![0xf0, u8::try_from(PTX.len() - 15).unwrap()];
    block.extend_from_slice(PTX);
    let mut file = fatbin(&[(true, 90, 84, &block)]);
    // The flag is in the entry's word at 40.
    file[16 + 40..16 + 48].copy_from_slice(&0x2001u64.to_le_bytes());
    assert_eq!(names(&scan(&file, 64)), ["compute_90a@84"]);
}

#[test]
fn bundles_are_read_plain_and_compressed() {
    let plain = bundle(&["gfx90a:xnack-", "gfx1030"]);
    let mut file = vec![0; 4096];
    file.extend(&plain);
    for size in [8, 4096, 65536] {
        assert_eq!(
            names(&scan(&file, size)),
            ["gfx1030", "gfx90a:xnack-"],
            "{size}"
        );
    }
    let mut packed = b"CCOB\x02\0\0\0".to_vec();
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &plain).unwrap();
    let payload = encoder.finish().unwrap();
    packed.extend(u32::try_from(payload.len() + 24).unwrap().to_le_bytes());
    packed.extend([0; 12]);
    packed.extend(payload);
    packed.resize(packed.len().next_multiple_of(8), 0);
    // One right behind the other.
    let twice = [packed.clone(), bundle(&["gfx942"])].concat();
    for size in [8, 64, 65536] {
        assert_eq!(
            names(&scan(&twice, size)),
            ["gfx1030", "gfx90a:xnack-", "gfx942"],
            "{size}"
        );
    }
    packed.truncate(48);
    assert!(scan(&packed, 64).unread);
}

#[test]
fn code_that_stands_alone_shows_in_the_head() {
    let head = |machine, flags| Head {
        wide: true,
        big: false,
        machine,
        flags,
        sort: crate::check::facts::elf::Sort::Other,
        segments: Vec::new(),
    };
    let cubin = Scanner::new(Some(&head(190, 0x0056_0556))).finish();
    assert_eq!(names(&cubin), ["sm_86 @0"]);
    let object = Scanner::new(Some(&head(224, 0x0000_023f))).finish();
    assert_eq!(names(&object), ["gfx90a:xnack-"]);
    assert!(Scanner::new(Some(&head(224, 0xff))).finish().unread);
}

proptest! {
    #[test]
    fn any_bytes_behind_a_mark_are_survived(
        mark in 0usize..3,
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        size in 1usize..16,
    ) {
        let mut file: Vec<u8> = match mark {
            0 => b"\x50\xed\x55\xba\x01\0\x10\0".to_vec(),
            1 => b"__CLANG_OFFLOAD_BUNDLE__".to_vec(),
            _ => b"CCOB\x02\0\x01\0".to_vec(),
        };
        file.extend(bytes);
        let _ = scan(&file, size * 8);
    }

    #[test]
    fn the_pieces_do_not_matter(changes in prop::collection::vec((0usize..1024, any::<u8>()), 0..6), size in 1usize..64) {
        let mut file = two_containers();
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        let whole = scan(&file, file.len().next_multiple_of(8));
        prop_assert_eq!(scan(&file, size * 8), whole);
    }
}
