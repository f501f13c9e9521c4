//! Tar files: written by the crate `tar`, by hand, and at random.

use super::*;
use ::tar::{Builder, EntryType, Header as Other};
use proptest::prelude::*;

/// All entries and their contents, or the first error.
fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, String> {
    let mut entries = Entries::new(bytes, Budget::default());
    let mut all = Vec::new();
    while let Some(entry) = entries.next_entry().map_err(|error| error.to_string())? {
        let mut content = Vec::new();
        entries
            .read_to_end(&mut content)
            .map_err(|error| error.to_string())?;
        all.push((entry, content));
    }
    Ok(all)
}

/// A block with the given fields and a checksum that is right.
fn block(name: &str, kind: u8, size: &[u8], more: impl FnOnce(&mut [u8; BLOCK])) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar  \0");
    more(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(BLOCK), 0);
    padded
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in records {
        let body = format!(" {key}={value}\n");
        let mut length = body.len() + 1;
        while length != body.len() + length.to_string().len() {
            length = body.len() + length.to_string().len();
        }
        text.push_str(&format!("{length}{body}"));
    }
    let header = block("x", b'x', format!("{:o}", text.len()).as_bytes(), |_| {});
    [&header[..], &padded(text.as_bytes())].concat()
}

#[test]
fn extended_headers_override_names_and_sizes() {
    let mut bytes = pax(&[
        ("path", "a/long/one"),
        ("size", "3"),
        ("SCHILY.xattr.x", "y=\n"),
    ]);
    bytes.extend(block("short", b'0', b"777", |_| {}));
    bytes.extend(padded(b"abc"));
    bytes.extend(pax(&[("linkpath", "target")]));
    bytes.extend(block("link", b'2', b"777", |_| {}));
    bytes.extend(block("global", b'g', b"0", |_| {}));
    bytes.extend(block("last", b'0', b"0", |_| {}));
    let all = read(&bytes).unwrap();
    assert_eq!((&all[0].0.path[..], all[0].0.size), (&b"a/long/one"[..], 3));
    assert_eq!(all[0].1, b"abc");
    assert_eq!(&all[1].0.link[..], b"target");
    assert_eq!(all[1].0.kind, Kind::Symlink);
    assert_eq!(&all[2].0.path[..], b"last");
}

#[test]
fn sparse_files_of_every_format_have_their_holes() {
    let mut wanted = vec![0; 3000];
    wanted[512..517].copy_from_slice(b"first");
    wanted[2048..2054].copy_from_slice(b"second");
    let stored = padded(b"firstsecond");
    let map = [
        ("GNU.sparse.name", "sparse"),
        ("GNU.sparse.realsize", "3000"),
    ];
    let old = block("sparse", b'S', b"13", |block| {
        for (at, number) in [(386, 512), (398, 5), (410, 2048), (422, 6)] {
            block[at..at + 11].copy_from_slice(format!("{number:011o}").as_bytes());
        }
        block[483..494].copy_from_slice(format!("{:011o}", 3000).as_bytes());
    });
    let plain = |size: &str| block("GNUSparseFile.1/sparse", b'0', size.as_bytes(), |_| {});
    let in_content = padded(b"2\n512\n5\n2048\n6\n");
    let forms = [
        ("old GNU", [&old[..], &stored].concat()),
        (
            "0.0",
            [
                &pax(&[
                    &map[..],
                    &[
                        ("GNU.sparse.offset", "512"),
                        ("GNU.sparse.numbytes", "5"),
                        ("GNU.sparse.offset", "2048"),
                        ("GNU.sparse.numbytes", "6"),
                    ],
                ]
                .concat())[..],
                &plain("13"),
                &stored,
            ]
            .concat(),
        ),
        (
            "0.1",
            [
                &pax(&[&map[..], &[("GNU.sparse.map", "512,5,2048,6")]].concat())[..],
                &plain("13"),
                &stored,
            ]
            .concat(),
        ),
        (
            "1.0",
            [
                &pax(&[
                    &map[..],
                    &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")],
                ]
                .concat())[..],
                &plain("1013"),
                &in_content,
                &stored,
            ]
            .concat(),
        ),
    ];
    for (form, mut bytes) in forms {
        bytes.extend(block("after", b'0', b"0", |_| {}));
        let all = read(&bytes).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!(&all[0].0.path[..], b"sparse", "{form}");
        assert!(all[0].0.sparse && all[0].1 == wanted, "{form}");
        assert_eq!(&all[1].0.path[..], b"after", "{form}");
    }
}

#[test]
fn sizes_and_names_that_cannot_be_are_errors() {
    let base256 = |bytes: [u8; 12]| block("f", b'0', &bytes, |_| {}).to_vec();
    let mut cut = block("f", b'0', b"1000", |_| {}).to_vec();
    cut.extend([1; 100]);
    let long = [
        &block("n", b'L', b"20000", |_| {})[..],
        &padded(&[b'n'; 8192]),
    ]
    .concat();
    let mut lone = vec![0; BLOCK];
    lone.extend(block("f", b'0', b"0", |_| {}));
    for (what, bytes) in [
        ("minus one", base256([0xff; 12])),
        ("2^90", base256([0x80, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        (
            "2^63 - 1 of nothing",
            base256([0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ),
        ("no number", block("f", b'0', b"abc", |_| {}).to_vec()),
        ("cut", cut),
        ("a long name", long),
        (
            "a size in pax",
            [
                &pax(&[("size", "99999999999999999999")])[..],
                &block("f", b'0', b"0", |_| {}),
            ]
            .concat(),
        ),
        (
            "a path in pax",
            [
                &pax(&[("path", &"p".repeat(5000))])[..],
                &block("f", b'0', b"0", |_| {}),
            ]
            .concat(),
        ),
        (
            "an endless pax header",
            block("x", b'x', b"77777777777", |_| {}).to_vec(),
        ),
        ("zeros in between", lone),
        ("no tar", vec![b'x'; 2048]),
        (
            "half a header",
            block("f", b'0', b"0", |_| {})[..300].to_vec(),
        ),
    ] {
        assert!(read(&bytes).is_err(), "{what}");
    }
    assert_eq!(read(b"").unwrap(), []);
    assert_eq!(read(&[0; 1024]).unwrap(), []);
}

#[test]
fn passing_over_content_is_the_same_as_reading_it() {
    let mut bytes = block("a", b'0', b"2000", |_| {}).to_vec();
    bytes.extend(padded(&[7; 1024]));
    bytes.extend(block("b", b'0', b"1", |_| {}));
    bytes.extend(padded(b"b"));
    let mut entries = Entries::new(&bytes[..], Budget::default());
    entries.next_entry().unwrap();
    entries.skim(1000).unwrap();
    let mut rest = Vec::new();
    entries.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 24);
    let second = entries.next_entry().unwrap().unwrap();
    assert_eq!((&second.path[..], second.offset), (&b"b"[..], 2048));
    assert!(entries.skim(2).is_err());
}

fn names() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-z0-9./é]{1,40}(/[a-z]{60,120}){0,3}").unwrap()
}

proptest! {
    #[test]
    fn what_another_program_writes_is_read(
        files in proptest::collection::vec((names(), proptest::collection::vec(any::<u8>(), 0..2000)), 0..12)
    ) {
        let mut builder = Builder::new(Vec::new());
        let mut written = Vec::new();
        for (name, content) in files {
            let mut header = Other::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_size(content.len() as u64);
            // The other program refuses some names; those are no matter here.
            if builder.append_data(&mut header, &name, &content[..]).is_ok() {
                written.push(content);
            }
        }
        let bytes = builder.into_inner().unwrap();
        let mut other = ::tar::Archive::new(&bytes[..]);
        let paths: Vec<Vec<u8>> = other.entries().unwrap()
            .map(|entry| entry.unwrap().path_bytes().into_owned()).collect();
        let all = read(&bytes).unwrap();
        prop_assert_eq!(all.len(), written.len());
        for (((entry, content), wanted), path) in all.iter().zip(&written).zip(&paths) {
            prop_assert_eq!(&entry.path, path);
            if entry.kind == Kind::File {
                prop_assert_eq!(content, wanted);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_run_on(
        kind in any::<u8>(),
        size in proptest::collection::vec(any::<u8>(), 0..12),
        noise in proptest::collection::vec(any::<u8>(), 0..2000),
        at in 0..BLOCK,
        flip in any::<u8>(),
    ) {
        let mut bytes = block("n", kind, &size, |block| {
            if !(148..156).contains(&at) {
                block[at] ^= flip;
            }
        }).to_vec();
        bytes.extend(padded(&noise));
        if let Ok(all) = read(&bytes) {
            prop_assert!(all.len() <= bytes.len() / BLOCK);
        }
    }
}
