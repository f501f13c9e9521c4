//! The same image in every form gets the same answer, and the second answer comes from the cache.

use crate::build::{Item, Made, Packing, archive, pack};
use crate::elf::{Elf, fatbin};
use crate::hosts;
use crate::pieces::Pieces;
use dunnage_device_plugin::check::image::Source;
use dunnage_device_plugin::check::{CheckOptions, check};
use dunnage_model::document::CompatibilityDocument;
use std::fs;
use std::time::{Duration, Instant};

fn made() -> Made {
    let libc = Elf {
        soname: Some("libc.so.6"),
        defines: vec!["GLIBC_2.2.5", "GLIBC_2.36"],
        ..Elf::default()
    };
    let runtime = Elf {
        soname: Some("libcudart.so.12"),
        blob: fatbin(&[(false, 80, 0, b"code")]),
        ..Elf::default()
    };
    let hidden = Elf {
        soname: Some("libcuda.so.1"),
        ..Elf::default()
    };
    Made::new(
        &[
            vec![
                Item::Dir("lib/"),
                Item::File("lib/libc.so.6", libc.bytes()),
                Item::File("lib/libcuda.so.1", hidden.bytes()),
            ],
            vec![
                // Removed above the layer that brought it.
                Item::File("lib/.wh.libcuda.so.1", Vec::new()),
                Item::File("lib/libcudart.so.12.4.127", runtime.bytes()),
                Item::Symlink("lib/libcudart.so.12", "libcudart.so.12.4.127"),
            ],
        ],
        Packing::Gzip,
    )
}

/// What must not differ: all but the image's name, and what a root folder has not, its configuration.
fn answer(document: &CompatibilityDocument) -> Vec<String> {
    let clauses = document
        .clauses
        .iter()
        .filter(|clause| clause.wanted_by.as_deref() != Some("the image's configuration"));
    let clauses = clauses.map(|clause| serde_json::to_string(clause).unwrap());
    std::iter::once(document.verdict.to_string())
        .chain(clauses)
        .collect()
}

#[test]
fn every_form_of_an_image_gets_the_same_answer() {
    let host = hosts::build("nvidia-a100-535-like", &Pieces::at_hand()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let made = made();
    made.write_layout(&path("layout"));
    made.write_registry(&path("registry"));
    fs::write(path("docker.tar"), archive(&made.saved_files())).unwrap();
    let packed = pack(&archive(&made.layout_files()), Packing::Zstd);
    fs::write(path("oci.tar.zst"), packed).unwrap();
    let folder = path("rootfs");
    for layer in &made.layers {
        tar::Archive::new(&layer[..]).unpack(&folder).unwrap();
    }
    fs::remove_file(folder.join("lib/libcuda.so.1")).unwrap();
    let options = CheckOptions {
        cache: Some(path("cache")),
        ..CheckOptions::default()
    };
    let sources = [
        Source::RootFs(folder),
        Source::Layout(path("layout")),
        Source::Archive(path("docker.tar")),
        Source::Archive(path("oci.tar.zst")),
        Source::Registry {
            root: path("registry"),
            reference: "made/it:1".to_owned(),
        },
    ];
    let mut expected: Option<Vec<String>> = None;
    for source in &sources {
        for round in 0..2 {
            let document = match check(&host.root(), &host.inventory, source, &options) {
                Ok(document) => document,
                // The registry's repository has a name of its own.
                Err(error) => panic!("{source:?}: {error}"),
            };
            assert_eq!(document.schema, "dunnage.check/1");
            let found = answer(&document);
            let expected = expected.get_or_insert_with(|| found.clone());
            assert_eq!(&found, expected, "{source:?}, round {round}");
            assert_eq!(document.verdict, "yes", "{found:#?}");
        }
    }
    // The root folder alone is not kept. A file that was written just now is not kept yet either: it
    // could be changed again within the same tick of the clock.
    let count = || fs::read_dir(path("cache")).map_or(0, Iterator::count);
    let until = Instant::now() + Duration::from_secs(20);
    while count() < sources.len() - 1 && Instant::now() < until {
        for source in &sources {
            check(&host.root(), &host.inventory, source, &options).unwrap();
        }
    }
    assert_eq!(count(), sources.len() - 1);
    for source in &sources {
        let document = check(&host.root(), &host.inventory, source, &options).unwrap();
        assert_eq!(Some(answer(&document)), expected, "{source:?}, kept");
    }
}

/// Checks until what was read is kept.
fn kept(host: &hosts::Built, source: &Source, options: &CheckOptions, count: usize) -> String {
    let folder = options.cache.clone().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let document = check(&host.root(), &host.inventory, source, options).unwrap();
        if fs::read_dir(&folder).is_ok_and(|folder| folder.count() >= count) {
            return document.verdict.to_string();
        }
        assert!(Instant::now() < until, "{source:?} is not kept");
    }
}

#[test]
fn an_image_that_was_replaced_in_place_is_read_again() {
    let host = hosts::build("nvidia-a100-535-like", &Pieces::at_hand()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = CheckOptions {
        cache: Some(dir.path().join("cache")),
        ..CheckOptions::default()
    };
    // Another GPU's code, of the same length, so that nothing but its time tells.
    let of = |arch| {
        let library = Elf {
            soname: Some("libcudart.so.12"),
            blob: fatbin(&[(false, arch, 0, b"code")]),
            ..Elf::default()
        };
        let libc = Elf {
            soname: Some("libc.so.6"),
            defines: vec!["GLIBC_2.2.5", "GLIBC_2.36"],
            ..Elf::default()
        };
        let items = vec![
            Item::File("lib/libc.so.6", libc.bytes()),
            Item::File("lib/libcudart.so.12.4.127", library.bytes()),
        ];
        Made::new(&[items], Packing::None)
    };
    let path = dir.path().join("image.tar");
    let source = Source::Archive(path.clone());
    let (good, bad) = (
        archive(&of(80).saved_files()),
        archive(&of(90).saved_files()),
    );
    assert_eq!(good.len(), bad.len());
    fs::write(&path, &good).unwrap();
    assert_eq!(kept(&host, &source, &options, 1), "yes");
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, &bad).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(times).unwrap();
    assert_eq!(kept(&host, &source, &options, 2), "no");
    // The same of a layer of a layout that is not compressed, and so not verified.
    let layout = dir.path().join("layout");
    of(80).write_layout(&layout);
    let source = Source::Layout(layout.clone());
    assert_eq!(kept(&host, &source, &options, 3), "yes");
    let (good, bad) = (&of(80).layers[0], &of(90).layers[0]);
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    let mut blobs = blobs.map(|entry| entry.unwrap().path());
    let blob = blobs.find(|path| &fs::read(path).unwrap() == good).unwrap();
    fs::write(&blob, bad).unwrap();
    assert_eq!(kept(&host, &source, &options, 4), "no");
}

#[test]
fn an_archive_that_is_cut_gets_no_yes_and_is_not_kept() {
    let host = hosts::build("nvidia-a100-535-like", &Pieces::at_hand()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let whole = archive(&made().layout_files());
    let options = CheckOptions {
        cache: Some(dir.path().join("cache")),
        ..CheckOptions::default()
    };
    for part in 1..8 {
        let path = dir.path().join(format!("{part}.tar"));
        fs::write(&path, &whole[..whole.len() * part / 8]).unwrap();
        let source = Source::Archive(path);
        if let Ok(document) = check(&host.root(), &host.inventory, &source, &options) {
            let read = document.gaps.is_empty();
            // The end of a tar file is empty: what is cut off there was nothing.
            assert!(document.verdict != "yes" || read, "{document:?}");
        }
    }
}
