//! What the image holds: a framework's library of gigabytes, a thousand libraries, and a language's many
//! small files, in a layer each. The same for the same program and size.
//!
//! Contents are pieces of the program that is measured, in an order drawn by a generator of its own, so
//! that they shrink as programs do; libraries have the tables of real ones in front.

mod elf;

use anyhow::Context;
use std::io::{self, Write};
use std::path::Path;

/// Contents are put together of such pieces. More than the 32 KiB that deflate looks back, so that it
/// does not see them repeat.
const PIECE: usize = 64 << 10;

/// Of 5 GB, as the largest images of frameworks have them.
const LIBRARIES: u64 = 1_000;
const SMALL_FILES: u64 = 130_000;
const WHOLE: u64 = 5_000_000_000;

/// The parts of the image that the framework's library and the other libraries take; small files have
/// the rest.
const FRAMEWORK_PERCENT: u64 = 40;
const LIBRARIES_PERCENT: u64 = 28;

/// Layers; the lowest is the first.
pub(super) const LAYERS: usize = 3;

/// What an image of some size holds.
pub(super) struct Content {
    pool: Vec<u8>,
    bytes: u64,
}

/// A file of the image.
pub(super) struct Entry {
    /// Without the slash in front.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) mode: u32,
    /// The bytes that it begins with.
    head: Vec<u8>,
    seed: u64,
}

impl Content {
    /// An image of about so many bytes, of pieces of `program`.
    pub(super) fn new(program: &Path, bytes: u64) -> anyhow::Result<Content> {
        let pool = std::fs::read(program).with_context(|| {
            format!(
                "{}, which the image is made of; build it with cargo build --release -p dunnage-device-plugin",
                program.display()
            )
        })?;
        anyhow::ensure!(
            pool.len() > 2 * PIECE,
            "{} is too small to make images of",
            program.display()
        );
        Ok(Content { pool, bytes })
    }

    /// The files of a layer, in their order.
    pub(super) fn layer(&self, layer: usize) -> Vec<Entry> {
        let of_whole = |count: u64| (count * self.bytes / WHOLE).max(16);
        match layer {
            0 => {
                let size = self.bytes * FRAMEWORK_PERCENT / 100;
                vec![library(
                    "usr/lib/framework",
                    "libframework.so",
                    "libcuda.so.1",
                    size,
                    0,
                )]
            }
            1 => {
                let count = of_whole(LIBRARIES);
                let mean = self.bytes * LIBRARIES_PERCENT / 100 / count;
                let each = |number| {
                    let name = if number + 1 == count {
                        // Habana's, which asks for a device by its name.
                        "libSynapse.so".to_owned()
                    } else {
                        format!("libpart{number}.so.1")
                    };
                    let size = uneven(mean, number);
                    library("usr/lib/parts", &name, "libc.so.6", size, number)
                };
                (0..count).map(each).collect()
            }
            _ => {
                let count = of_whole(SMALL_FILES);
                let percent = 100 - FRAMEWORK_PERCENT - LIBRARIES_PERCENT;
                let mean = self.bytes * percent / 100 / count;
                (0..count)
                    .map(|number| small(uneven(mean, number), number, count))
                    .collect()
            }
        }
    }

    /// The last file of each layer, which the answer of a host without accelerators must speak of: each asks
    /// for another sort of device.
    pub(super) fn must_be_seen(&self) -> Vec<String> {
        (0..LAYERS)
            .filter_map(|layer| Some(format!("/{}", self.layer(layer).pop()?.path)))
            .collect()
    }

    /// Writes what is in a file.
    pub(super) fn write(&self, entry: &Entry, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&entry.head)?;
        let mut left = entry.size - entry.head.len() as u64;
        let mut random = Random(entry.seed);
        let places = self.pool.len() - PIECE;
        while left > 0 {
            let from = random.place(places);
            let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            out.write_all(&self.pool[from..from + length])?;
            left -= length as u64;
        }
        Ok(())
    }
}

/// A library in `folder` that needs another one.
fn library(folder: &str, name: &str, needs: &str, size: u64, seed: u64) -> Entry {
    let head = elf::library(name, needs, size);
    Entry {
        path: format!("{folder}/{name}"),
        size: size.max(head.len() as u64),
        mode: 0o755,
        head,
        seed,
    }
}

/// One of the small files: most are sources, some are data with names that say nothing, few are modules.
fn small(size: u64, number: u64, count: u64) -> Entry {
    let folder = format!(
        "opt/language/packages/p{}/m{}",
        number / 400,
        number / 20 % 20
    );
    if number + 1 == count {
        // Of QuickAssist, and so it asks for another device.
        return library(&folder, "libqat.so.4", "libc.so.6", size, number);
    }
    match number % 16 {
        0 => library(&folder, &format!("f{number}.so"), "libc.so.6", size, number),
        kind => Entry {
            path: match kind {
                1..=10 => format!("{folder}/f{number}.py"),
                11 => format!("{folder}/f{number}.h"),
                _ => format!("{folder}/data{number}"),
            },
            size,
            mode: 0o644,
            // No program, so that looking at the beginning is enough.
            head: b"\x80\x04 data".to_vec(),
            seed: number,
        },
    }
}

/// A size from a quarter of the mean to seven quarters.
fn uneven(mean: u64, number: u64) -> u64 {
    (mean / 4 + Random(number).below(mean * 3 / 2)).max(64)
}

/// Numbers that are the same each time: splitmix64.
struct Random(u64);

impl Random {
    fn place(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_as_large_as_asked_and_the_same_each_time() {
        let content = Content {
            pool: (0..=u8::MAX).cycle().take(300_000).collect(),
            bytes: 40_000_000,
        };
        let entries: Vec<Entry> = (0..LAYERS).flat_map(|layer| content.layer(layer)).collect();
        let bytes: u64 = entries.iter().map(|entry| entry.size).sum();
        assert!((35_000_000..45_000_000).contains(&bytes), "{bytes}");
        let mut paths: Vec<&str> = entries.iter().map(|entry| &*entry.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), entries.len());
        for entry in &entries[..40] {
            let (mut once, mut again) = (Vec::new(), Vec::new());
            content.write(entry, &mut once).unwrap();
            content.write(entry, &mut again).unwrap();
            assert_eq!(once.len() as u64, entry.size);
            assert!(once == again);
        }
    }
}
