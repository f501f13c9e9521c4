//! The same content in every form shows the same files.

use crate::build::{Item, Made, PACKINGS, Packing, archive, file, layer, pack};
use crate::view::View;
use dunnage_device_plugin::check::image::{Source, open};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const LONG: &str = "opt/a-name-of-more-than-a-hundred-bytes/0123456789012345678901234567890123456789/\
                    0123456789012345678901234567890123456789/file";

/// Lowest first. Each change that a layer can make is here.
fn layers() -> Vec<Vec<Item>> {
    vec![
        vec![
            Item::Dir("./"),
            Item::Dir("usr/"),
            Item::Dir("usr/lib/"),
            file("usr/lib/libcuda.so.550", "the driver"),
            Item::Symlink("usr/lib/libcuda.so.1", "libcuda.so.550"),
            file("usr/lib/old", "removed by a whiteout"),
            Item::Symlink("lib", "usr/lib"),
            file("opaque/below", "hidden by an opaque directory"),
            file("gone/deep/er/x", "hidden with its directory"),
            file("was-dir/x", "hidden by a file"),
            file("was-file", "becomes a directory"),
            file("twice/x", "of a directory that was a file meanwhile"),
            file("shared-first", "one content, two names"),
            Item::HardLink("shared-second", "shared-first"),
            file("kept-first", "its first name is removed later"),
            Item::HardLink("kept-second", "./kept-first"),
            Item::HardLink("kept-third", "/kept-first"),
            Item::Device("dev-null"),
            file(LONG, "a long name"),
            Item::File("empty", Vec::new()),
            Item::File("big", vec![b'b'; 700_000]),
        ],
        vec![
            Item::Dir("usr/lib/"),
            file("usr/lib/.wh.old", ""),
            file("opaque/.wh..wh..opq", ""),
            file("opaque/new", "stays"),
            file(".wh.gone", ""),
            file("was-dir", "now a file"),
            file(".wh.was-file", ""),
            file("was-file/inside", "now a directory"),
            file("twice", "a file"),
            file(".wh.kept-first", ""),
            file("usr/lib/libcuda.so.550", "a newer driver"),
        ],
        vec![
            file(".wh.twice", ""),
            file("twice/y", "a directory again"),
            Item::Symlink("dangling", "/nowhere/at/all"),
            Item::Symlink("out", "../../../../etc/shadow"),
        ],
    ]
}

/// What must be seen, by hand from the rules.
fn expected() -> BTreeMap<String, Option<String>> {
    let big = "b".repeat(700_000);
    [
        ("/usr/lib/libcuda.so.550", Some("a newer driver")),
        ("/usr/lib/libcuda.so.1", Some("a newer driver")),
        ("/lib", None),
        ("/opaque/new", Some("stays")),
        ("/was-dir", Some("now a file")),
        ("/was-file/inside", Some("now a directory")),
        ("/twice/y", Some("a directory again")),
        ("/shared-first", Some("one content, two names")),
        ("/shared-second", Some("one content, two names")),
        ("/kept-second", Some("its first name is removed later")),
        ("/kept-third", Some("its first name is removed later")),
        (&format!("/{LONG}"), Some("a long name")),
        ("/empty", Some("")),
        ("/big", Some(&big)),
        ("/dangling", None),
        ("/out", None),
    ]
    .into_iter()
    .map(|(path, content)| (path.to_owned(), content.map(str::to_owned)))
    .collect()
}

fn see(source: &Source, what: &str) -> View {
    let view = View::of(source).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(view.contents(), expected(), "{what}");
    assert_eq!(view.walked.gaps, [], "{what}");
    view
}

fn described(view: &View, what: &str) {
    let meta = &view.meta;
    assert_eq!(meta.architecture.as_deref(), Some("amd64"), "{what}");
    assert_eq!(meta.os.as_deref(), Some("linux"), "{what}");
    assert_eq!(meta.env[1], ("A".to_owned(), "b=c".to_owned()), "{what}");
    assert_eq!(meta.cmd, ["/bin/x"], "{what}");
    assert_eq!(meta.labels["l"], "m", "{what}");
    assert!(
        meta.digest.as_ref().unwrap().starts_with("sha256:"),
        "{what}"
    );
}

#[test]
fn archives_of_docker_and_oci_show_the_same_however_they_are_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    for inner in PACKINGS {
        let made = Made::new(&layers(), inner);
        for outer in PACKINGS {
            for (form, files) in [("docker", made.saved_files()), ("oci", made.layout_files())] {
                let what = format!("{form}, layers {inner:?}, archive {outer:?}");
                fs::write(&path, pack(&archive(&files), outer)).unwrap();
                let view = see(&Source::Archive(path.clone()), &what);
                described(&view, &what);
                assert_eq!(view.meta.reference, "made:1", "{what}");
                assert_eq!(
                    view.meta.annotations.contains_key("made"),
                    form == "oci",
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn folders_and_registries_show_the_same() {
    for packing in PACKINGS {
        let dir = tempfile::tempdir().unwrap();
        let made = Made::new(&layers(), packing);
        made.write_layout(&dir.path().join("layout"));
        made.write_registry(&dir.path().join("registry"));
        let view = see(&Source::Layout(dir.path().join("layout")), "layout");
        described(&view, "layout");
        let digest = view.meta.digest.unwrap();
        for reference in [
            "made/it:1".to_owned(),
            "localhost:5000/made/it:1".to_owned(),
            format!("made/it@{digest}"),
        ] {
            let root = dir.path().join("registry");
            let source = Source::Registry {
                root,
                reference: reference.clone(),
            };
            let view = see(&source, &reference);
            described(&view, &reference);
            assert_eq!(view.meta.digest.as_deref(), Some(&*digest));
        }
    }
}

/// The merged content as one tar file and as a folder.
fn flat() -> Vec<Item> {
    vec![
        Item::Dir("usr/"),
        Item::Dir("usr/lib/"),
        Item::Symlink("usr/lib/libcuda.so.1", "libcuda.so.550"),
        file("usr/lib/libcuda.so.550", "a newer driver"),
        Item::Symlink("lib", "usr/lib"),
        file("opaque/new", "stays"),
        file("was-dir", "now a file"),
        file("was-file/inside", "now a directory"),
        file("twice/y", "a directory again"),
        file("shared-first", "one content, two names"),
        Item::HardLink("shared-second", "shared-first"),
        file("kept-second", "its first name is removed later"),
        Item::HardLink("kept-third", "kept-second"),
        file(LONG, "a long name"),
        Item::File("empty", Vec::new()),
        Item::File("big", vec![b'b'; 700_000]),
        Item::Symlink("dangling", "/nowhere/at/all"),
        Item::Symlink("out", "../../../../etc/shadow"),
        Item::Device("dev-null"),
    ]
}

fn plant(root: &Path) {
    for item in flat() {
        let at = |path: &str| {
            let full = root.join(path);
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            full
        };
        match item {
            Item::Dir(path) => fs::create_dir_all(at(path)).unwrap(),
            Item::File(path, content) => fs::write(at(path), content).unwrap(),
            Item::Symlink(path, target) => symlink(target, at(path)).unwrap(),
            Item::HardLink(path, first) => fs::hard_link(root.join(first), at(path)).unwrap(),
            // A fifo in the place of a device: that needs no privilege.
            Item::Device(path) => {
                nix::unistd::mkfifo(&at(path), nix::sys::stat::Mode::S_IRWXU).unwrap();
            }
        }
    }
}

#[test]
fn root_file_systems_show_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    plant(&root);
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let view = see(&Source::RootFs(root), "folder");
    assert_eq!(view.meta.architecture, None);
    for packing in PACKINGS {
        let path = dir.path().join("flat.tar");
        fs::write(&path, pack(&layer(&flat()), packing)).unwrap();
        see(&Source::Archive(path), "flat archive");
    }
}

#[test]
fn the_platform_is_chosen_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    Made::new(&layers(), Packing::None).write_layout(dir.path());
    let source = Source::Layout(dir.path().to_owned());
    assert!(open(&source, Some("linux/amd64")).is_ok());
    let error = open(&source, Some("linux/arm64"))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("linux/amd64") && error.contains("linux/s390x"),
        "{error}"
    );
    // Named in the index, and not stored.
    let error = open(&source, Some("linux/s390x"))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("not there"), "{error}");
}
