//! Tests of `cache`.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn entry(folder: &Path, name: &str) -> Entry {
    Entry {
        folder: folder.to_path_buf(),
        key: format!("{name:0>64}"),
    }
}

fn some_meta() -> ImageMeta {
    ImageMeta {
        reference: "a/b:1".to_owned(),
        env: vec![("A".to_owned(), "b".to_owned())],
        ..ImageMeta::default()
    }
}

fn some() -> Kept {
    Kept {
        meta: some_meta(),
        facts: some_facts(),
    }
}

impl Entry {
    fn keep(&self) {
        self.write(&some_meta(), &some_facts());
    }
}

fn some_facts() -> ImageFacts {
    ImageFacts {
        architecture: Some("amd64".to_owned()),
        machines: [(62, "/bin/x".to_owned())].into(),
        ..ImageFacts::default()
    }
}

#[test]
fn what_was_kept_is_read_back_by_its_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/b");
    let one = entry(&folder, "1");
    assert_eq!(one.read(), None);
    one.keep();
    assert_eq!(one.read(), Some(some()));
    assert_eq!(entry(&folder, "2").read(), None);
    let mode = fs::metadata(one.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
        0o700
    );
    // Another image's entry under this name is not believed.
    fs::copy(one.path(), entry(&folder, "2").path()).unwrap();
    assert_eq!(entry(&folder, "2").read(), None);
}

#[test]
fn what_others_could_have_written_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let one = entry(dir.path(), "1");
    one.keep();
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
        entry(dir.path(), &format!("{number}")).keep();
    }
    assert!(fs::read_dir(dir.path()).unwrap().count() <= MAX_ENTRIES);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let blocked = entry(&file.join("x"), "1");
    blocked.keep();
    assert_eq!(blocked.read(), None);
}

#[test]
fn only_what_was_made_here_is_removed_and_only_from_an_own_folder() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..MAX_ENTRIES + 5)
        .map(|n| format!("letter-{n}.json"))
        .collect();
    for name in &names {
        fs::write(dir.path().join(name), "mine").unwrap();
    }
    entry(dir.path(), "1").keep();
    assert!(entry(dir.path(), "1").read().is_some());
    assert!(names.iter().all(|name| dir.path().join(name).exists()));
    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    entry(&open, "1").keep();
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0);
    // A link to a folder is not that folder.
    let link = dir.path().join("link");
    symlink(dir.path(), &link).unwrap();
    let through = entry(&link, "2");
    through.keep();
    assert_eq!(through.read(), None);
}

#[test]
fn large_entries_make_room_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut facts = some_facts();
    facts.os = Some("x".repeat(usize::try_from(MAX_ENTRY).unwrap() - 10_000));
    for number in 0..12 {
        entry(dir.path(), &number.to_string()).write(&some_meta(), &facts);
    }
    let kept = |number: u32| entry(dir.path(), &number.to_string()).read().is_some();
    assert!(kept(11) && kept(10) && !kept(0));
    let bytes: u64 = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= MAX_BYTES, "{bytes}");
    facts.os = Some("x".repeat(usize::try_from(MAX_ENTRY).unwrap()));
    entry(dir.path(), "20").write(&some_meta(), &facts);
    assert!(!kept(20));
}
