//! What other writers put into a folder of specifications: which names they have.
//!
//! Engines drop a device that two files of one folder name (`pkg/cdi/cache.go`), so the names of others
//! must be known. JSON is read as it is. Of YAML only the form that generators write is understood:
//! a `kind` at the left edge and a list of devices with a `name` each. A file that is not understood
//! says nothing; the engines' parser may find more in it.

use super::spec::Spec;
use super::write::is_ours;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest file that is looked into, in bytes. That of a host with eight GPUs has some 100 KiB.
const SIZE_LIMIT: usize = 4 << 20;

/// Somebody else's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Other {
    path: PathBuf,
    kind: String,
    names: BTreeSet<String>,
}

/// A kind and the names of its devices.
type Named = (String, BTreeSet<String>);

/// Reads what is not ours of the files `names` of `folder`, which is at `path`.
pub(super) fn read(folder: &File, path: &Path, names: &[String]) -> Vec<Other> {
    let mut others = Vec::new();
    for name in names.iter().filter(|name| !is_ours(name)) {
        if !is_read(name) {
            continue;
        }
        let text = content(folder, name);
        if let Some((kind, names)) = text.and_then(|text| understand(name, &text)) {
            others.push(Other {
                path: path.join(name),
                kind,
                names,
            });
        }
    }
    others
}

/// Whether engines read a file of this name.
fn is_read(name: &str) -> bool {
    name.ends_with(".json") || name.ends_with(".yaml")
}

fn understand(name: &str, text: &str) -> Option<Named> {
    match name.rsplit_once('.')?.1 {
        "json" => of_json(text),
        "yaml" => of_yaml(text),
        _ => None,
    }
}

/// The first of `others` that names a device of `spec` too, and the name.
pub(super) fn clash(others: &[Other], spec: &Spec) -> Option<(PathBuf, String)> {
    others
        .iter()
        .filter(|other| other.kind == spec.kind)
        .find_map(|other| {
            let devices = spec.devices.iter().map(|device| &device.name);
            let name = devices
                .into_iter()
                .find(|name| other.names.contains(*name))?;
            Some((other.path.clone(), name.clone()))
        })
}

/// Where administrators and installers put specifications; read before `/var/run/cdi`.
const STATIC: &str = "/etc/cdi";

/// The most files of `/etc/cdi` that are looked at.
const FILES_LIMIT: usize = 4096;

/// Files of `/etc/cdi` that name devices of the kinds of `specs`, which are in the other folder: for a
/// name that both have ours counts, for any other theirs does, however old it is.
#[must_use]
pub fn shadowed(host: &HostRoot, specs: &[Spec]) -> Vec<Gap> {
    // That it is not there is the rule.
    let (names, _) = host.entries(STATIC, FILES_LIMIT).unwrap_or_default();
    let mut gaps = Vec::new();
    for name in names.iter().filter_map(|name| name.to_str()) {
        let path = Path::new(STATIC).join(name);
        let read = |text: Vec<u8>| understand(name, &String::from_utf8(text).ok()?);
        let Some((kind, theirs)) = host.read(&path, SIZE_LIMIT).ok().and_then(read) else {
            continue;
        };
        let Some(spec) = specs.iter().find(|spec| spec.kind == kind) else {
            continue;
        };
        let ours: BTreeSet<&String> = spec.devices.iter().map(|device| &device.name).collect();
        let alone: Vec<&str> = theirs
            .iter()
            .filter(|name| !ours.contains(name))
            .map(String::as_str)
            .collect();
        let why = if alone.is_empty() {
            format!("names devices of {kind} too; those of this host as it is now go before it")
        } else {
            format!(
                "names devices of {kind} that are not among those of this host as it is now: {}. \
                 Engines take them from there, and they may be stale: remove the file, or write it anew",
                shortened(&alone)
            )
        };
        gaps.push(Gap::new(path.display().to_string(), why));
    }
    gaps
}

fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}

fn content(folder: &File, name: &str) -> Option<String> {
    // Links are followed, as engines do.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(SIZE_LIMIT as u64).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

fn of_json(text: &str) -> Option<Named> {
    let document: Value = serde_json::from_str(text).ok()?;
    let devices = document["devices"].as_array()?.iter();
    let names = devices.filter_map(|device| Some(device["name"].as_str()?.to_owned()));
    Some((document["kind"].as_str()?.to_owned(), names.collect()))
}

fn of_yaml(text: &str) -> Option<Named> {
    if text.trim_start().starts_with('{') {
        // Flow style is JSON in all that generators write.
        return of_json(text);
    }
    let mut kind = None;
    let mut names = BTreeSet::new();
    let mut in_devices = false;
    let mut item = None;
    for line in text.lines() {
        let bare = line.trim_start_matches(' ');
        let indent = line.len() - bare.len();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let (dash, key) = match bare.strip_prefix("- ") {
            Some(rest) => (true, rest.trim_start_matches(' ')),
            None => (false, bare),
        };
        if indent == 0 && !dash {
            in_devices = key.trim_end() == "devices:";
            item = None;
            if let Some(value) = key.strip_prefix("kind:") {
                kind = Some(scalar(value));
            }
            continue;
        }
        if !in_devices {
            continue;
        }
        // The keys of one item stand in one column; what is further right is inside of them.
        let column = line.len() - key.len();
        if dash && item.is_none_or(|first| column <= first) {
            item = Some(column);
        }
        if item == Some(column) {
            names.extend(key.strip_prefix("name:").map(scalar));
        }
    }
    Some((kind?, names))
}

fn scalar(value: &str) -> String {
    let value = value.split(" #").next().unwrap_or(value).trim();
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    quoted('"')
        .or_else(|| quoted('\''))
        .unwrap_or(value)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// In the form that `nvidia-ctk cdi generate` writes.
    const NVIDIA: &str = r#"---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  env:
  - name: not-a-device
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      name: neither
  name: "0"
- name: all # both
  containerEdits:
    hooks:
    - args:
      - name: nor-this
kind: nvidia.com/gpu
"#;

    #[test]
    fn the_names_of_a_generators_yaml_are_read() {
        let (kind, names) = of_yaml(NVIDIA).unwrap();
        assert_eq!(kind, "nvidia.com/gpu");
        assert_eq!(names, BTreeSet::from(["0".to_owned(), "all".to_owned()]));
    }

    #[test]
    fn an_indented_list_is_read_as_well() {
        let text = "kind: 'a.b/c'\ndevices:\n  - name: x\n    containerEdits: {}\n  - name: y\n";
        let (kind, names) = of_yaml(text).unwrap();
        assert_eq!(kind, "a.b/c");
        assert_eq!(names, BTreeSet::from(["x".to_owned(), "y".to_owned()]));
    }

    #[test]
    fn json_is_read_and_nonsense_is_nothing() {
        let text = r#"{"kind":"a.b/c","devices":[{"name":"x"},{"name":1}]}"#;
        assert_eq!(of_json(text).unwrap().1, BTreeSet::from(["x".to_owned()]));
        assert_eq!(of_yaml(text), of_json(text));
        assert_eq!(of_json("[]"), None);
        assert_eq!(of_yaml("just text"), None);
    }

    #[test]
    fn an_old_file_in_the_other_folder_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/cdi")).unwrap();
        std::fs::write(dir.path().join("etc/cdi/nvidia.yaml"), NVIDIA).unwrap();
        let host = HostRoot::new(dir.path());
        let device = |name: &str| crate::cdi::spec::SpecDevice {
            name: name.to_owned(),
            container_edits: crate::cdi::spec::ContainerEdits::default(),
        };
        let spec = |devices| {
            Spec::new(
                "nvidia.com/gpu".to_owned(),
                devices,
                crate::cdi::spec::ContainerEdits::default(),
            )
        };
        let gaps = shadowed(&host, &[spec(vec![device("0")])]);
        assert_eq!(gaps[0].what, "/etc/cdi/nvidia.yaml");
        assert!(gaps[0].why.contains("now: all."), "{}", gaps[0].why);
        let gaps = shadowed(&host, &[spec(vec![device("0"), device("all")])]);
        assert!(gaps[0].why.contains("go before it"), "{}", gaps[0].why);
        assert!(shadowed(&host, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (of_json(&text), of_yaml(&text));
        }

        #[test]
        fn no_lines_panic(lines in proptest::collection::vec(" {0,4}(- )?(kind|name|devices|x):( .{0,6})?", 0..20)) {
            let _ = of_yaml(&lines.join("\n"));
        }
    }
}
