//! The same image in every form gets the same answer, and the second answer comes from the cache.

use crate::build::{Item, Made, Packing, archive, pack};
use crate::elf::{Elf, fatbin};
use crate::hosts;
use crate::pieces::Pieces;
use dunnage_device_plugin::check::image::Source;
use dunnage_device_plugin::check::{CheckOptions, check};
use dunnage_model::document::CompatibilityDocument;
use std::fs;

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
    // The root folder alone is not kept.
    assert_eq!(
        fs::read_dir(path("cache")).unwrap().count(),
        sources.len() - 1
    );
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
