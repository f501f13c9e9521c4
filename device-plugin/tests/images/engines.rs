//! What real engines made of one image; and engines that answer oddly.

use crate::view::View;
use dunnage_device_plugin::check::image::{ImageError, Source};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/fixtures");
    folder.join(name)
}

fn unpacked(name: &str) -> Vec<u8> {
    let packed = fs::File::open(fixture(name)).unwrap();
    let mut bytes = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(packed);
    std::io::Read::read_to_end(&mut decoder, &mut bytes).unwrap();
    bytes
}

fn contents(source: &Source) -> BTreeMap<String, Option<String>> {
    let view = View::of(source).unwrap();
    assert_eq!(view.walked.gaps, []);
    view.contents()
}

#[test]
fn layers_are_merged_as_docker_merges_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut merged = contents(&Source::Archive(fixture("docker-20.10.24-export.tar.gz")));
    // Put there by Docker for each container.
    for name in [
        "/.dockerenv",
        "/dev/console",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/mtab",
    ] {
        assert!(merged.remove(name).is_some(), "{name}");
    }
    merged.remove("/etc/resolv.conf");
    assert_eq!(merged["/kept-second"].as_deref(), Some("kept"));
    assert_eq!(merged["/twice/y"].as_deref(), Some("again"));
    assert!(!merged.contains_key("/twice/x"));
    for name in [
        "docker-20.10.24-save.tar.gz",
        "podman-4.3.1-oci.tar.gz",
        "podman-4.3.1-docker.tar.gz",
    ] {
        assert_eq!(contents(&Source::Archive(fixture(name))), merged, "{name}");
        let plain = dir.path().join(name);
        fs::write(&plain, unpacked(name)).unwrap();
        assert_eq!(contents(&Source::Archive(plain)), merged, "{name}, plain");
    }
}

#[test]
fn the_store_of_containerd_is_read_by_names_of_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = unpacked("containerd-1.6.20.tar.gz");
    tar::Archive::new(&bytes[..]).unpack(dir.path()).unwrap();
    let source = |reference: &str| Source::Containerd {
        root: dir.path().to_owned(),
        reference: reference.to_owned(),
    };
    let wanted = contents(&Source::Archive(fixture("docker-20.10.24-save.tar.gz")));
    let digest = View::of(&source("made-images:1"))
        .unwrap()
        .meta
        .digest
        .unwrap();
    for reference in [
        "made-images:1",
        "docker.io/library/made-images:1",
        "registry.example/some/repository-001:tag",
        "registry.example/some/repository-125:tag",
        "registry.example/some/repository-250:tag",
        &digest,
    ] {
        assert_eq!(contents(&source(reference)), wanted, "{reference}");
    }
    for reference in ["registry.example/some/repository-251:tag", "a:1", "zzz:1"] {
        let error = View::of(&source(reference)).unwrap_err();
        assert!(matches!(error, ImageError::Absent { .. }), "{error}");
    }
    // Any byte of the database may be another: an answer or an error, and an end.
    let database = dir.path().join("io.containerd.metadata.v1.bolt/meta.db");
    let whole = fs::read(&database).unwrap();
    let used: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] != 0).collect();
    for at in used.iter().step_by(used.len() / 300 + 1) {
        let mut broken = whole.clone();
        broken[*at] ^= 0xff;
        fs::write(&database, broken).unwrap();
        let _ = View::of(&source("registry.example/some/repository-125:tag"));
    }
    for length in [0, 10, 100, 4096, 8192, whole.len() / 2] {
        fs::write(&database, &whole[..length]).unwrap();
        let _ = View::of(&source("registry.example/some/repository-125:tag"));
    }
}
