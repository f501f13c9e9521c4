//! Images: archives of any form, and layers beside each other. No bytes make the reader panic, show a
//! path that is not clean, or show a path twice.
//!
//! The first byte chooses: `a` an archive as it is; else the rest is cut into layers at each `==NEXT==`,
//! and put into an archive of `docker save`.

#![no_main]

use dunnage_device_plugin::check::image::{Interest, Look, Source, open};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

const NEXT: &[u8] = b"==NEXT==";

#[derive(Default)]
struct Checker {
    seen: BTreeSet<PathBuf>,
    twice: bool,
}

impl Checker {
    fn note(&mut self, path: &Path) {
        assert!(path.is_absolute(), "{path:?}");
        assert!(
            path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_))),
            "{path:?}"
        );
        self.twice |= !self.seen.insert(path.to_owned());
    }
}

struct Reader;

impl Look for Reader {
    type Found = ();

    fn wants(&self, path: &Path, size: u64) -> bool {
        assert!(path.is_absolute(), "{path:?}");
        size % 3 != 1
    }

    fn file(&self, _: &Path, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let read = io::copy(&mut content.take(1 << 20), &mut io::sink())?;
        assert_eq!(read, size.min(1 << 20));
        Ok(())
    }

    fn weight((): &()) -> usize {
        0
    }
}

impl Interest for Checker {
    type Look = Reader;

    fn look(&self) -> Reader {
        Reader
    }

    fn file(&mut self, path: &Path, size: u64, found: Option<()>) {
        self.note(path);
        assert_eq!(found.is_some(), size % 3 != 1);
    }

    fn link(&mut self, path: &Path, _: &Path) {
        self.note(path);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let archive = if *choice == b'a' { bytes.to_vec() } else { saved(bytes) };
    let path = std::env::temp_dir().join(format!("dunnage-fuzz-image-{}", std::process::id()));
    let mut file = std::fs::File::create(&path).expect("the fuzzed image cannot be written");
    file.write_all(&archive).expect("the fuzzed image cannot be written");
    if let Ok(image) = open(&Source::Archive(path), None) {
        let mut checker = Checker::default();
        if let Ok(walked) = image.walk(&mut checker) {
            let told = walked.gaps.iter().any(|gap| gap.why.contains("twice") || gap.why.contains("more of"));
            assert!(!checker.twice || told, "shown twice, and nobody said so: {:?}", checker.seen);
        }
    }
});

/// `bytes` as the layers of an archive.
fn saved(bytes: &[u8]) -> Vec<u8> {
    let mut layers = vec![Vec::new()];
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(NEXT) {
            Some(after) if layers.len() < 16 => {
                layers.push(Vec::new());
                rest = after;
            }
            _ => {
                layers.last_mut().expect("there is one").push(*first);
                rest = after;
            }
        }
    }
    let names: Vec<String> = (0..layers.len()).map(|at| format!("\"{at}/layer.tar\"")).collect();
    let manifest = format!("[{{\"Config\":\"c.json\",\"Layers\":[{}]}}]", names.join(","));
    let mut archive = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        put(&mut archive, &format!("{at}/layer.tar"), layer);
    }
    put(&mut archive, "c.json", b"{}");
    put(&mut archive, "manifest.json", manifest.as_bytes());
    archive
}

/// A file as the simplest tar entry.
fn put(archive: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut block = [0u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[148..156].fill(b' ');
    block[156] = b'0';
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    block[154] = 0;
    archive.extend(block);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}
