//! Hostile images: a clear error or a gap, never a panic, never a file of this machine.

use crate::build::{Item, Made, Packing, archive, file, gzip, header, hex, layer, pack};
use crate::view::View;
use dunnage_device_plugin::check::image::{ImageError, Interest, Look, Source, open};
use serde_json::json;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType};

/// What reading the file of these bytes says.
fn read(bytes: &[u8]) -> Result<View, ImageError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    fs::write(&path, bytes).unwrap();
    View::of(&Source::Archive(path))
}

fn read_layers(layers: &[Vec<Item>]) -> Result<View, ImageError> {
    read(&archive(&Made::new(layers, Packing::None).saved_files()))
}

fn why(view: &View) -> String {
    format!("{:?}", view.walked.gaps)
}

/// An archive of `docker save` with this manifest and no blobs.
fn saved(manifest: &str) -> Vec<u8> {
    archive(&[("manifest.json".to_owned(), manifest.as_bytes().to_vec())])
}

#[test]
fn names_that_climb_stay_in_the_image_and_are_told() {
    let view = read_layers(&[vec![
        file("../../etc/shadow", "a"),
        file("/etc/passwd", "b"),
        file("a/../../b", "c"),
        Item::HardLink("hard", "../../etc/shadow"),
        Item::Symlink("soft", "../../../etc/shadow"),
    ]])
    .unwrap();
    let contents = view.contents();
    assert_eq!(contents["/etc/shadow"].as_deref(), Some("a"));
    assert_eq!(contents["/hard"].as_deref(), Some("a"));
    assert_eq!(contents["/soft"].as_deref(), Some("a"));
    assert_eq!(contents["/b"].as_deref(), Some("c"));
    assert_eq!(view.walked.gaps.len(), 2, "{}", why(&view));
    assert!(why(&view).contains("leads out"));
}

#[test]
fn odd_whiteouts_hide_what_they_may_and_no_more() {
    let lower = || vec![file("a/x", "x"), file("y", "y"), Item::Dir("etc")];
    let view = read_layers(&[lower(), vec![file(".wh..wh..opq", ""), file("new", "n")]]).unwrap();
    assert_eq!(view.contents().into_keys().collect::<Vec<_>>(), ["/new"]);
    for odd in ["a/.wh..", "a/.wh...", "a/.wh."] {
        let view = read_layers(&[lower(), vec![file(odd, "")]]).unwrap();
        assert_eq!(view.seen.len(), 2, "{odd}");
        assert!(why(&view).contains("no name"), "{odd}");
    }
    let view = read_layers(&[lower(), vec![file(".wh.a/x", "inside")]]).unwrap();
    assert!(why(&view).contains("below a whiteout"));
    let aufs = vec![file(".wh..wh.plnk/1.2", ""), file(".wh..wh.aufs", "")];
    let view = read_layers(&[lower(), aufs]).unwrap();
    assert_eq!((view.seen.len(), view.walked.gaps.len()), (2, 0));
    let view = read_layers(&[lower(), vec![Item::Device("a"), file(".", "root")]]).unwrap();
    assert_eq!(view.contents().into_keys().collect::<Vec<_>>(), ["/y"]);
    assert!(why(&view).contains("replace the root"));
}

#[test]
fn what_engines_take_differently_is_a_gap() {
    let lower = vec![Item::Dir("usr/lib"), Item::Symlink("lib", "usr/lib")];
    let view = read_layers(&[lower, vec![file("lib/x", "x")]]).unwrap();
    assert!(why(&view).contains("some engines"), "{}", why(&view));
    let twice = vec![file("same", "first"), Item::Dir("etc")];
    let mut bytes = layer(&twice);
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(layer(&[Item::Symlink("same", "second")]));
    let made = Made {
        layers: vec![bytes],
        packing: Packing::Gzip,
    };
    let mut view = NoMatter;
    let dir = tempfile::tempdir().unwrap();
    made.write_layout(dir.path());
    let image = open(&Source::Layout(dir.path().to_owned()), None).unwrap();
    let walked = image.walk(&mut view).unwrap();
    assert!(
        walked.gaps[0].why.contains("named twice"),
        "{:?}",
        walked.gaps
    );
}

/// Reads everything and keeps nothing.
struct NoMatter;

impl Look for NoMatter {
    type Found = ();

    fn wants(&self, _: &Path, _: u64) -> bool {
        true
    }

    fn file(&self, _: &Path, _: u64, content: &mut dyn Read) -> io::Result<()> {
        io::copy(content, &mut io::sink()).map(drop)
    }

    fn weight((): &()) -> usize {
        0
    }
}

impl Interest for NoMatter {
    type Look = NoMatter;

    fn look(&self) -> NoMatter {
        NoMatter
    }

    fn file(&mut self, _: &Path, _: u64, _: Option<()>) {}

    fn link(&mut self, _: &Path, _: &Path) {}
}

#[test]
fn hard_links_that_lead_nowhere_or_in_circles_end() {
    let many: Vec<Item> = vec![
        Item::HardLink("self", "self"),
        Item::HardLink("a", "b"),
        Item::HardLink("b", "a"),
        Item::HardLink("none", "nothing"),
        Item::Symlink("loop", "loop"),
    ];
    let view = read_layers(std::slice::from_ref(&many)).unwrap();
    assert!(view.contents().values().all(Option::is_none));
    assert!(why(&view).contains("to itself"));
    // Their target is hidden above, and not there either.
    let hides = vec![file(".wh.nothing", ""), file(".wh.a", ""), Item::Dir("etc")];
    let view = read_layers(&[many, hides]).unwrap();
    assert!(why(&view).contains("does not have"), "{}", why(&view));
}

#[test]
fn bombs_are_refused_before_they_burst() {
    // 4 GiB of zeros are 4 MiB of gzip; made once, and the member repeated.
    let member = gzip(&vec![0; 64 << 20]);
    let head = header("bomb", EntryType::Regular, 4 << 30);
    let mut packed = gzip(head.as_bytes());
    for _ in 0..64 {
        packed.extend(&member);
    }
    let error = read(&packed).unwrap_err();
    assert!(error.to_string().contains("bomb"), "{error}");
    let made = Made {
        layers: vec![Vec::new()],
        packing: Packing::None,
    };
    let mut files = made.saved_files();
    files[0].1 = packed;
    let error = read(&archive(&files)).unwrap_err();
    assert!(
        matches!(&error, ImageError::Refused { why, .. } if why.contains("bomb")),
        "{error}"
    );
}

#[test]
fn giant_documents_and_lists_are_refused() {
    let big = format!("[{}", " ".repeat(5 << 20));
    assert!(matches!(
        read(&saved(&big)).unwrap_err(),
        ImageError::Refused { .. }
    ));
    let layers = vec!["\"l/layer.tar\""; 100_000].join(",");
    let many = format!("[{{\"Config\":\"c.json\",\"Layers\":[{layers}]}}]");
    let error = read(&saved(&many)).unwrap_err().to_string();
    assert!(error.contains("more than the 1000"), "{error}");
    for deep in ["[", "[{\"Config\":[", "[{\"other\":[", "{\"a\":"] {
        let error = read(&saved(&deep.repeat(1 << 17))).unwrap_err();
        assert!(
            matches!(error, ImageError::Broken { .. }),
            "{deep}: {error}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let index = fs::File::create(dir.path().join("index.json")).unwrap();
    index.set_len(100 << 30).unwrap();
    let error = View::of(&Source::Layout(dir.path().to_owned())).unwrap_err();
    assert!(matches!(error, ImageError::Refused { .. }), "{error}");
}

#[test]
fn digests_that_do_not_match_are_found() {
    for packing in [Packing::Gzip, Packing::Zstd] {
        let made = Made::new(&[vec![file("a", "a")], vec![file("b", "b")]], packing);
        let files = made.layout_files();
        for changed in 0..4 {
            let mut files = files.clone();
            // Another blob of the same kind: whole in itself.
            files[changed].1 = match changed {
                0 | 1 => made.layout_files()[1 - changed].1.clone(),
                _ => [&files[changed].1[..], b" "].concat(),
            };
            let error = read(&archive(&files)).unwrap_err();
            assert!(
                matches!(error, ImageError::Digest { .. }),
                "{changed}: {error}"
            );
        }
    }
    let mut files = Made::new(&[vec![file("a", "a")]], Packing::None).saved_files();
    files[1].1.push(b' ');
    assert!(matches!(
        read(&archive(&files)).unwrap_err(),
        ImageError::Digest { .. }
    ));
}

#[test]
fn every_cut_of_an_archive_is_an_error_or_the_same() {
    let layers = [vec![file("a", "a"), Item::Dir("etc")], vec![file("b", "b")]];
    for packing in [Packing::None, Packing::Gzip] {
        let whole = archive(&Made::new(&layers, packing).saved_files());
        let seen = read(&whole).unwrap().contents();
        for length in (0..whole.len()).step_by(97) {
            if let Ok(view) = read(&whole[..length]) {
                assert_eq!(view.contents(), seen, "{length} of {}", whole.len());
            }
        }
    }
}

#[test]
fn links_out_of_a_layout_or_a_registry_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    let layout = dir.path().join("layout");
    let made = Made::new(&[vec![file("a", "a")]], Packing::None);
    made.write_layout(&layout);
    let first = made.layout_files()[0].0.clone();
    fs::rename(layout.join(&first), &outside).unwrap();
    symlink(&outside, layout.join(&first)).unwrap();
    let error = View::of(&Source::Layout(layout)).unwrap_err();
    assert!(matches!(error, ImageError::Absent { .. }), "{error}");
    let root = dir.path().to_owned();
    for reference in [
        "../../etc:1",
        "a/../b",
        "x:../y",
        "x@sha256:../../etc/shadow",
    ] {
        let source = Source::Registry {
            root: root.clone(),
            reference: reference.to_owned(),
        };
        let error = View::of(&source).unwrap_err();
        assert!(
            matches!(error, ImageError::Unsupported { .. }),
            "{reference}: {error}"
        );
    }
}

#[test]
fn links_out_of_a_root_folder_are_shown_and_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("a")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    symlink(dir.path(), root.join("up")).unwrap();
    symlink("../secret", root.join("leak")).unwrap();
    symlink("..", root.join("a/loop")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut deep = root.clone();
    for _ in 0..300 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let view = View::of(&Source::RootFs(root)).unwrap();
    let paths: Vec<PathBuf> = view.seen.keys().cloned().collect();
    assert_eq!(paths, ["/a/loop", "/leak", "/up"].map(PathBuf::from));
    assert!(why(&view).contains("too deep"));
    assert!(View::of(&Source::RootFs(dir.path().join("secret"))).is_err());
}

#[test]
fn a_folder_that_is_no_root_file_system_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::RootFs(dir.path().to_path_buf());
    fs::create_dir(dir.path().join("photos")).unwrap();
    fs::write(dir.path().join("readme"), "x").unwrap();
    let error = View::of(&source).err().unwrap().to_string();
    assert!(error.contains("no root file system"), "{error}");
    // On file systems without modes every file may be run.
    let program = dir.path().join("photos/server");
    fs::write(&program, "#!x").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(View::of(&source).is_err());
    fs::write(&program, "\x7fELF").unwrap();
    assert!(View::of(&source).is_ok(), "an image of one static program");
}

#[test]
fn an_archive_of_one_static_program_is_a_root_file_system() {
    let program = |path| layer(&[file("readme", "x"), file(path, "\x7fELF\x02")]);
    for path in ["server", "./app/server"] {
        for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
            let view = read(&pack(&program(path), packing)).unwrap();
            assert_eq!(view.walked.files, 2, "{path} {packing:?}");
        }
    }
    let mut unmarked = header("server", EntryType::Regular, 4);
    unmarked.set_mode(0o644);
    unmarked.set_cksum();
    let mut tar = Builder::new(Vec::new());
    tar.append(&unmarked, &b"\x7fELF"[..]).unwrap();
    for bytes in [
        tar.into_inner().unwrap(),
        layer(&[file("server", "#!/bin/sh")]),
        program("a/folder/further/down/server"),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains("docker export"), "{error}");
    }
}

#[test]
fn what_is_no_image_says_so() {
    for (bytes, part) in [
        (b"".to_vec(), "neither an image"),
        (vec![b'x'; 4096], "no tar header"),
        (layer(&[file("readme", "x")]), "neither an image"),
        (b"\xfd7zXZ\0\0\0".to_vec(), "xz"),
        (saved("[]"), "names no image"),
        (saved("{}"), "broken"),
        (
            saved("[{\"Config\":\"c.json\"},{\"Config\":\"d.json\"}]"),
            "several images",
        ),
        (
            saved("[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]"),
            "not there",
        ),
        (
            archive(&[("index.json".to_owned(), b"{\"schemaVersion\":1}".to_vec())]),
            "schema 1",
        ),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    for (path, part) in [
        ("/dev/zero", "no regular file"),
        ("/proc", "--rootfs"),
        ("/no/such", "No such file"),
    ] {
        let error = View::of(&Source::Archive(path.into())).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let registry = Source::Registry {
        root: dir.path().to_owned(),
        reference: "a:1".to_owned(),
    };
    let error = View::of(&registry).unwrap_err().to_string();
    assert!(error.contains("no registry's storage"), "{error}");
    for reference in ["", "Image.tar", "a b"] {
        let reference = reference.to_owned();
        let error = View::of(&Source::Engine { reference }).unwrap_err();
        assert!(
            error.to_string().contains("no file of this name"),
            "{error}"
        );
    }
}

#[test]
fn what_only_looks_like_an_image_says_what_it_is() {
    let tar = layer(&[file("chart/values.yaml", "x")]);
    let config = b"{}".to_vec();
    let blob = |bytes: &[u8], kind: &str| json!({"mediaType": kind, "size": bytes.len(), "digest": format!("sha256:{}", hex(bytes))});
    let of = |config_kind: &str, layer_kind: &str| {
        let manifest = json!({"schemaVersion": 2, "config": blob(&config, config_kind),
            "layers": [blob(&tar, layer_kind)]});
        let manifest = manifest.to_string().into_bytes();
        let index = json!({"schemaVersion": 2,
            "manifests": [blob(&manifest, "application/vnd.oci.image.manifest.v1+json")]});
        let mut files = vec![("index.json".to_owned(), index.to_string().into_bytes())];
        for bytes in [&config, &tar, &manifest] {
            files.push((format!("blobs/sha256/{}", hex(bytes)), bytes.clone()));
        }
        read(&archive(&files))
    };
    let image = "application/vnd.oci.image.config.v1+json";
    let plain = "application/vnd.oci.image.layer.v1.tar";
    for kind in [image, "", "application/octet-stream"] {
        assert!(of(kind, plain).is_ok(), "{kind}");
    }
    for (config, layer, part) in [
        ("application/vnd.cncf.helm.config.v1+json", plain, "helm"),
        ("application/vnd.docker.plugin.v1+json", plain, "no image"),
        (
            image,
            "application/vnd.oci.image.layer.v1.tar+encrypted",
            "decrypt",
        ),
    ] {
        let error = of(config, layer).unwrap_err();
        assert!(matches!(error, ImageError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn indexes_in_circles_and_links_in_circles_end() {
    // A digest cannot be its own; so deep ones are made, each around the last.
    let mut files = Vec::new();
    let mut inner = "0".repeat(64);
    for _ in 0..10 {
        let index = json!({"schemaVersion": 2, "manifests": [
            {"digest": format!("sha256:{inner}"), "mediaType": "application/vnd.oci.image.index.v1+json"}
        ]});
        let bytes = index.to_string().into_bytes();
        inner = hex(&bytes);
        files.push((format!("blobs/sha256/{inner}"), bytes));
    }
    let last = files.last().unwrap().1.clone();
    files.push(("index.json".to_owned(), last));
    let error = read(&archive(&files)).unwrap_err();
    assert!(matches!(error, ImageError::Refused { .. }), "{error}");
    let mut tar = Builder::new(Vec::new());
    for (name, target) in [("manifest.json", "other"), ("other", "manifest.json")] {
        let mut link = header(name, EntryType::Symlink, 0);
        link.set_link_name(target).unwrap();
        link.set_cksum();
        tar.append(&link, &[][..]).unwrap();
    }
    let error = read(&tar.into_inner().unwrap()).unwrap_err();
    assert!(matches!(error, ImageError::Absent { .. }), "{error}");
}
