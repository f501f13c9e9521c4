//! What other writers put into a folder of specifications: which names they have.
//!
//! Engines drop a device that two files of one folder name (`pkg/cdi/cache.go`), so the names of others
//! must be known. JSON is read as it is. Of YAML only the form that generators write is understood:
//! a `kind` at the left edge and a list of devices with a `name` each. A file that is not understood
//! says nothing; the engines' parser may find more in it.

use super::spec::Spec;
use super::write::is_ours;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest file that is looked into, in bytes. That of a host with eight GPUs has some 100 KiB.
const SIZE_LIMIT: u64 = 4 << 20;

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
        let understood: fn(&str) -> Option<Named> =
            match Path::new(name).extension().and_then(|e| e.to_str()) {
                Some("json") => of_json,
                Some("yaml") => of_yaml,
                _ => continue,
            };
        let Some(text) = content(folder, name) else {
            continue;
        };
        if let Some((kind, names)) = understood(&text) {
            others.push(Other {
                path: path.join(name),
                kind,
                names,
            });
        }
    }
    others
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

fn content(folder: &File, name: &str) -> Option<String> {
    // Links are followed, as engines do.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(SIZE_LIMIT).read_to_end(&mut bytes).ok()?;
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
