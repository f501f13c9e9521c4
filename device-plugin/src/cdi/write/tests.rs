//! Tests of `write`.

use super::*;
use crate::cdi::spec::{ContainerEdits, SpecDevice};
use std::os::unix::fs::{PermissionsExt, symlink};

fn spec(kind: &str, names: &[&str]) -> Spec {
    let device = |name: &&str| SpecDevice {
        name: (*name).to_owned(),
        container_edits: ContainerEdits {
            env: vec!["A=1".to_owned()],
            ..ContainerEdits::default()
        },
    };
    Spec::new(
        kind.to_owned(),
        names.iter().map(device).collect(),
        ContainerEdits::default(),
    )
}

fn update(path: &Path, specs: &[Spec]) -> Report {
    Store::open(path).unwrap().update(specs).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

const GPU: &str = "dunnage-test.com-gpu.json";

#[test]
fn a_file_is_written_once_and_removed_when_nothing_stands_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run/cdi");
    let gpu = spec("test.com/gpu", &["0"]);
    assert_eq!(update(&folder, std::slice::from_ref(&gpu)).written, [GPU]);
    assert_eq!(update(&folder, std::slice::from_ref(&gpu)).unchanged, [GPU]);
    let text = fs::read_to_string(folder.join(GPU)).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), gpu);
    let mode = fs::metadata(folder.join(GPU)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let more = spec("test.com/gpu", &["0", "1"]);
    assert_eq!(update(&folder, &[more]).written, [GPU]);
    assert_eq!(update(&folder, &[]).removed, [GPU]);
    assert!(names(&folder).is_empty());
}

#[test]
fn what_others_wrote_is_left_alone_and_what_a_killed_one_left_is_not() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "vendor.json",
        "nvidia.yaml",
        "dunnage-notes.txt",
        ".dunnage-x",
    ] {
        fs::write(dir.path().join(name), "{}").unwrap();
    }
    fs::write(dir.path().join("dunnage-old.com-gpu.json"), "{}").unwrap();
    fs::write(dir.path().join(".dunnage-dunnage-old.json.tmp"), "{").unwrap();
    fs::create_dir(dir.path().join("dunnage-folder.json")).unwrap();
    symlink("vendor.json", dir.path().join("dunnage-link.json")).unwrap();
    let report = update(dir.path(), &[]);
    assert_eq!(report.removed, ["dunnage-old.com-gpu.json"]);
    assert!(report.failed.is_empty());
    assert_eq!(
        names(dir.path()),
        [
            ".dunnage-x",
            "dunnage-folder.json",
            "dunnage-link.json",
            "dunnage-notes.txt",
            "nvidia.yaml",
            "vendor.json"
        ]
    );
}

#[test]
fn a_device_that_another_file_names_withholds_the_kind() {
    let dir = tempfile::tempdir().unwrap();
    let gpu = spec("test.com/gpu", &["0", "all"]);
    let npu = spec("test.com/npu", &["0"]);
    update(dir.path(), &[gpu.clone(), npu.clone()]);
    let yaml = "kind: test.com/gpu\ndevices:\n- name: all\n";
    fs::write(dir.path().join("vendor.yaml"), yaml).unwrap();
    let report = update(dir.path(), &[gpu.clone(), npu.clone()]);
    let expected = Withheld {
        kind: "test.com/gpu".to_owned(),
        by: dir.path().join("vendor.yaml"),
        name: "all".to_owned(),
    };
    assert_eq!(report.withheld, [expected]);
    assert_eq!(report.removed, [GPU]);
    assert!(report.withheld[0].why().contains("test.com/gpu=all"));
    fs::remove_file(dir.path().join("vendor.yaml")).unwrap();
    assert_eq!(update(dir.path(), &[gpu, npu]).written, [GPU]);
}

#[test]
fn links_are_never_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cdi");
    fs::create_dir(&folder).unwrap();
    let victim = dir.path().join("shadow");
    fs::write(&victim, "secret").unwrap();
    symlink(&victim, folder.join(GPU)).unwrap();
    let gpu = spec("test.com/gpu", &["0"]);
    let report = update(&folder, std::slice::from_ref(&gpu));
    assert_eq!(report.failed.len(), 1);
    assert!(report.failed[0].to_string().contains("no regular file"));
    fs::remove_file(folder.join(GPU)).unwrap();
    // The name under which it is written first.
    symlink(&victim, folder.join(format!(".dunnage-{GPU}.tmp"))).unwrap();
    assert_eq!(update(&folder, &[gpu]).written, [GPU]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "secret");
    assert!(fs::symlink_metadata(folder.join(GPU)).unwrap().is_file());
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(GPU)).unwrap();
    let specs = [spec("test.com/gpu", &["0"]), spec("test.com/npu", &["0"])];
    let report = update(dir.path(), &specs);
    assert_eq!(report.written, ["dunnage-test.com-npu.json"]);
    assert_eq!(report.failed.len(), 1);
}

#[test]
fn a_folder_that_is_none_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file).err().unwrap().to_string();
    assert!(error.contains("file"), "{error}");
    let error = Store::open(&file.join("below")).err().unwrap().to_string();
    assert!(error.contains("below"), "{error}");
}

#[test]
fn a_writer_waits_for_another_and_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("another program writes there"), "{error}");
    drop(first);
    Store::open(dir.path()).unwrap();
}

#[test]
fn what_happens_says_what_to_do() {
    let error = |errno: i32| {
        let source = io::Error::from_raw_os_error(errno);
        WriteError::new("write", Path::new("/x"), source).to_string()
    };
    assert!(error(nix::libc::ENOSPC).contains("make room"));
    assert!(error(nix::libc::EROFS).contains("--output"));
    assert!(error(nix::libc::EACCES).contains("root"));
}
