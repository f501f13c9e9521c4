//! The committed eBPF objects are what the pinned compiler makes of their sources, byte for byte.
//!
//! Needs python3 with pip; the compiler is downloaded once (`build-ebpf.sh` says where to).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All files below `folder` whose names end in `ending`, relative to `top`.
fn files(top: &Path, folder: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(top.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            found.extend(files(top, &path, ending)?);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[test]
fn the_committed_objects_are_those_of_their_sources() {
    let profiler = Path::new(env!("CARGO_MANIFEST_DIR"));
    let top = profiler.parent().unwrap();
    let rebuilt = tempfile::tempdir().unwrap();
    let script = profiler.join("build-ebpf.sh");
    let output = Command::new(&script).arg(rebuilt.path()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} failed: {complaint}",
        script.display()
    );

    let folders = ["profiler/src", "bench/src"].map(Path::new);
    let all_of = |ending| {
        folders
            .iter()
            .flat_map(|f| files(top, f, ending).unwrap())
            .collect::<Vec<_>>()
    };
    let sources = all_of(".bpf.c");
    let objects = all_of(".bpf.o");
    assert!(
        !sources.is_empty(),
        "no eBPF source below {}",
        top.display()
    );
    let expected: Vec<PathBuf> = sources
        .iter()
        .map(|source| source.with_extension("o"))
        .collect();
    assert_eq!(
        objects, expected,
        "a source without an object, or an object without a source"
    );
    for object in &objects {
        let committed = fs::read(top.join(object)).unwrap();
        let fresh = fs::read(rebuilt.path().join(object)).unwrap();
        assert!(
            committed == fresh,
            "{} is not what its source gives: run profiler/build-ebpf.sh and commit what it makes",
            object.display()
        );
    }
}
