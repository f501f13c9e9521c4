//! All captured paths, and the parties made of them without any engine.

use super::names::Names;
use dunnage_model::party::Party;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cgroups")
}

/// The paths of a `/proc/PID/cgroup`, each once.
fn paths(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .map(str::to_owned)
        .collect()
}

/// Every captured path with the place it was captured in.
fn captured() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(fixtures()).unwrap().flatten() {
        if !folder.path().is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
            let (folder, name) = (folder.file_name(), file.file_name());
            let name = name.to_str().unwrap().strip_suffix(".cgroup").unwrap();
            let source = format!("{}/{name}", folder.to_str().unwrap());
            for path in paths(&std::fs::read_to_string(file.path()).unwrap()) {
                found.push((source.clone(), path));
            }
        }
    }
    for line in std::fs::read_to_string(fixtures().join("known-not-run.tsv"))
        .unwrap()
        .lines()
    {
        if let Some((source, line)) = line.split_once('\t')
            && !source.starts_with('#')
        {
            found.extend(
                paths(line)
                    .into_iter()
                    .map(|path| (source.to_owned(), path)),
            );
        }
    }
    found.sort();
    found
}

fn row(source: &str, path: &str, party: &Party) -> String {
    let pod = party
        .pod
        .as_ref()
        .and_then(|pod| pod.uid.clone())
        .unwrap_or_default();
    format!(
        "{source}\t{path}\t{}\t{}\t{}\t{}\t{pod}\t{}",
        party.kind.as_str(),
        party.engine.as_deref().unwrap_or("-"),
        party.name,
        party.id,
        party.cgroup.as_deref().unwrap_or("-"),
    )
}

#[test]
fn every_captured_path_has_its_party() {
    let names = Names::default();
    let mut seen = String::new();
    for (source, path) in captured() {
        let _ = writeln!(seen, "{}", row(&source, &path, &names.party(&path)));
    }
    let golden = fixtures().join("parties.tsv");
    if std::env::var_os("DUNNAGE_BLESS").is_some() {
        std::fs::write(&golden, &seen).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap();
    for (seen, wanted) in seen.lines().zip(wanted.lines()) {
        assert_eq!(seen, wanted);
    }
    assert_eq!(seen.lines().count(), wanted.lines().count());
}

mod fake_engine;
