//! Walks an image as the check does, and says what that took.
//!
//! `walk_image archive|layout|rootfs PATH`, `walk_image registry|containerd ROOT REFERENCE`,
//! `walk_image engine REFERENCE`; `-a` in front reads the content of all files, not only of those that
//! have the name of a library. `/usr/bin/time -v` tells the memory.

use anyhow::{Context, bail};
use dunnage_device_plugin::check::image::{Interest, Look, Source, open};
use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

struct Reader {
    all: bool,
    wanted: u64,
    read: u64,
    links: u64,
}

struct Counter {
    all: bool,
}

impl Look for Counter {
    type Found = u64;

    fn wants(&self, path: &Path, _: u64) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.all || name.contains(".so")
    }

    fn file(&self, _: &Path, _: u64, content: &mut dyn Read) -> io::Result<u64> {
        io::copy(content, &mut io::sink())
    }

    fn weight(_: &u64) -> usize {
        0
    }
}

impl Interest for Reader {
    type Look = Counter;

    fn look(&self) -> Counter {
        Counter { all: self.all }
    }

    fn file(&mut self, _: &Path, _: u64, found: Option<u64>) {
        self.wanted += u64::from(found.is_some());
        self.read += found.unwrap_or(0);
    }

    fn link(&mut self, _: &Path, _: &Path) {
        self.links += 1;
    }
}

fn main() -> anyhow::Result<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let all = words.first().is_some_and(|word| word == "-a");
    if all {
        words.remove(0);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let source = match words[..] {
        ["archive", path] => Source::Archive(path.into()),
        ["layout", path] => Source::Layout(path.into()),
        ["rootfs", path] => Source::RootFs(path.into()),
        ["registry", root, reference] => Source::Registry {
            root: root.into(),
            reference: reference.to_owned(),
        },
        ["containerd", root, reference] => Source::Containerd {
            root: root.into(),
            reference: reference.to_owned(),
        },
        ["engine", reference] => Source::Engine {
            reference: reference.to_owned(),
        },
        _ => bail!("say which image: archive|layout|rootfs|registry|containerd|engine ..."),
    };
    let start = Instant::now();
    let image = open(&source, None).context("opening")?;
    let opened = start.elapsed();
    let mut reader = Reader {
        all,
        wanted: 0,
        read: 0,
        links: 0,
    };
    let walked = image.walk(&mut reader).context("walking")?;
    println!("{:#?}", image.meta());
    for gap in &walked.gaps {
        println!("gap: {}: {}", gap.what, gap.why);
    }
    println!(
        "{} files of {} bytes, {} links; read {} bytes of {} files; {:.3} s, {:.3} s of them to open",
        walked.files,
        walked.bytes,
        reader.links,
        reader.read,
        reader.wanted,
        start.elapsed().as_secs_f64(),
        opened.as_secs_f64()
    );
    Ok(())
}
