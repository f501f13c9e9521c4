//! Tests of `cache`.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn entry(folder: &Path, digest: &str) -> Entry {
    let meta = ImageMeta {
        digest: Some(digest.to_owned()),
        ..ImageMeta::default()
    };
    let source = Source::Engine {
        reference: "x".to_owned(),
    };
    Entry::of(folder, &source, &meta).unwrap()
}

fn some_facts() -> ImageFacts {
    ImageFacts {
        architecture: Some("amd64".to_owned()),
        ..ImageFacts::default()
    }
}

#[test]
fn what_was_kept_is_read_back_by_its_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/b");
    let one = entry(&folder, "sha256:1");
    assert_eq!(one.read(), None);
    one.write(&some_facts());
    assert_eq!(one.read(), Some(some_facts()));
    assert_eq!(entry(&folder, "sha256:2").read(), None);
    let mode = fs::metadata(one.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
        0o700
    );
    // Another image's entry under this name is not believed.
    fs::copy(one.path(), entry(&folder, "sha256:2").path()).unwrap();
    assert_eq!(entry(&folder, "sha256:2").read(), None);
}

#[test]
fn what_others_could_have_written_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let one = entry(dir.path(), "sha256:1");
    one.write(&some_facts());
    fs::set_permissions(one.path(), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(one.read(), None);
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(one.path(), &elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&elsewhere, one.path()).unwrap();
    assert_eq!(one.read(), None);
    fs::remove_file(one.path()).unwrap();
    for bad in [&b""[..], b"{", b"{\"format\":1}", &[b'['; 100_000]] {
        fs::write(one.path(), bad).unwrap();
        fs::set_permissions(one.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(one.read(), None);
    }
    nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::rename(dir.path().join("fifo"), one.path()).unwrap();
    assert_eq!(one.read(), None);
}

#[test]
fn the_cache_stays_small_and_fails_silently() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..MAX_ENTRIES + 20 {
        entry(dir.path(), &format!("sha256:{number}")).write(&some_facts());
    }
    assert!(fs::read_dir(dir.path()).unwrap().count() <= MAX_ENTRIES);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let blocked = entry(&file.join("x"), "sha256:1");
    blocked.write(&some_facts());
    assert_eq!(blocked.read(), None);
}

#[test]
fn a_file_that_was_written_again_has_another_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("image.tar");
    let meta = ImageMeta {
        digest: Some("sha256:1".to_owned()),
        ..ImageMeta::default()
    };
    let key = || {
        Entry::of(dir.path(), &Source::Archive(file.clone()), &meta)
            .unwrap()
            .key
    };
    fs::write(&file, "one").unwrap();
    let first = key();
    assert_eq!(key(), first);
    fs::write(&file, "other").unwrap();
    assert_ne!(key(), first);
    let root = Source::RootFs(dir.path().to_path_buf());
    assert!(Entry::of(dir.path(), &root, &meta).is_none());
}
