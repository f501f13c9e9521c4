//! ELF files of images: their tables, and the code for accelerators in them.

#![no_main]

use dunnage_device_plugin::check::facts::Collector;
use dunnage_device_plugin::check::facts::code::Scanner;
use dunnage_device_plugin::check::image::{ImageMeta, Interest, Look};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|file: &[u8]| {
    // The pieces must not matter.
    let scan = |size: usize| {
        let mut scanner = Scanner::new(None);
        let mut offset = 0;
        for piece in file.chunks(size) {
            scanner.feed(offset, piece);
            offset += piece.len() as u64;
        }
        scanner.finish()
    };
    assert_eq!(scan(64), scan(4096));
    // The first byte chooses what the file is called; the rest is what it holds.
    let names = ["/usr/lib/libcuda.so.1", "/usr/lib/libcudart.so.12", "/bin/x", "/a.xclbin"];
    let (name, content) = match file.split_first() {
        Some((first, rest)) => (names[usize::from(*first) % names.len()], rest),
        None => (names[0], file),
    };
    let mut collector = Collector::new(&ImageMeta::default());
    let size = content.len() as u64;
    let mut reader = content;
    if let Ok(found) = collector.look().at(Path::new(name), size, &mut reader) {
        collector.file(Path::new(name), size, found);
    }
    let facts = collector.finish();
    assert!(facts.wants.len() <= 512);
});
