//! What unit tests share: written ELF files, and an image in memory.

#[path = "../../tests/elf/mod.rs"]
pub(crate) mod elf;

use super::facts::{Collector, ImageFacts};
use super::image::{ImageMeta, Interest, Look};
use std::path::Path;

/// The facts of an image with these files.
pub(crate) fn facts(meta: &ImageMeta, files: &[(&str, Vec<u8>)]) -> ImageFacts {
    let mut collector = Collector::new(meta);
    for (path, content) in files {
        let path = Path::new(path);
        let size = content.len() as u64;
        let found = collector.look().at(path, size, &mut &content[..]).unwrap();
        collector.file(path, size, found);
    }
    collector.finish()
}
