//! Compose: what to paste below a service.

use super::{Wanted, docker, shell::yaml};
use crate::offer::{DeviceNode, Mount};
use std::fmt::Write as _;

/// The service's part where the engine reads CDI files (Docker from 28.2, or 25 with the feature).
#[must_use]
pub fn cdi(service: &str, wanted: &Wanted) -> String {
    let mut text = head(service);
    entries(
        &mut text,
        "devices",
        wanted.names.iter().map(|n| by_name(n)),
    );
    // Docker loses those of the CDI files; see `docker::cdi`.
    groups(&mut text, wanted);
    text
}

/// Compose takes a device for one of CDI where its source is its target, and its short form for a source
/// and a target where there is a colon, as in the name of a MIG instance.
fn by_name(name: &str) -> String {
    let quoted = quoted(name);
    if name.contains(':') {
        format!("source: {quoted}\n        target: {quoted}")
    } else {
        quoted
    }
}

/// The service's part for every engine, also for `podman compose`, which ignores CDI names; `None`
/// where the changes have a hook, which cannot be said.
#[must_use]
pub fn classic(service: &str, wanted: &Wanted) -> Option<String> {
    let edits = &wanted.edits;
    if !edits.hooks.is_empty() {
        return None;
    }
    let mut text = head(service);
    entries(&mut text, "devices", edits.nodes.iter().map(device));
    entries(&mut text, "volumes", edits.mounts.iter().map(volume));
    groups(&mut text, wanted);
    let env = edits
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    list(&mut text, "environment", env);
    Some(text)
}

/// A device by its two paths. The short form is what every Compose knows; it has no way to say a colon
/// in a path.
fn device(node: &DeviceNode) -> String {
    let (host, inside) = (node.host_path.display(), node.path.display());
    let permissions = node.permissions;
    let (host, inside) = (host.to_string(), inside.to_string());
    if host.contains(':') || inside.contains(':') {
        let (host, inside) = (quoted(&host), quoted(&inside));
        let permissions = quoted(permissions);
        format!("source: {host}\n        target: {inside}\n        permissions: {permissions}")
    } else {
        quoted(&format!("{host}:{inside}:{permissions}"))
    }
}

/// A mount. Its short form has no way to say a colon, and none to say `${`: it looks for the end of a
/// variable then.
fn volume(mount: &Mount) -> String {
    let host = mount.host_path.display().to_string();
    let inside = mount.container_path.display().to_string();
    let unsaid = |path: &str| path.contains(':') || path.contains("${");
    if !unsaid(&host) && !unsaid(&inside) {
        return quoted(&docker::volume(mount));
    }
    let (host, inside) = (quoted(&host), quoted(&inside));
    let read_only = mount.options.contains(&"ro");
    format!(
        "type: bind\n        source: {host}\n        target: {inside}\n        read_only: {read_only}"
    )
}

fn groups(text: &mut String, wanted: &Wanted) {
    let gids = wanted.edits.additional_gids.iter().map(u32::to_string);
    list(text, "group_add", gids);
}

fn head(service: &str) -> String {
    format!("services:\n  {service}:\n")
}

fn list(text: &mut String, name: &str, items: impl Iterator<Item = String>) {
    entries(text, name, items.map(|item| quoted(&item)));
}

/// Quoted, because a number would be no string, and a colon would make a map; `$` is doubled, because
/// Compose would put in a variable.
fn quoted(item: &str) -> String {
    yaml(&item.replace('$', "$$"))
}

/// A list of what is YAML already.
fn entries(text: &mut String, name: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    // Writing to a string does not fail.
    let _ = writeln!(text, "    {name}:");
    for item in items {
        let _ = writeln!(text, "      - {item}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::{Edits, NodeKind};

    #[test]
    fn no_value_is_taken_for_a_variable() {
        let mut edits = Edits::default();
        edits.env.insert("A".to_owned(), "a${B}$".to_owned());
        let wanted = Wanted {
            names: Vec::new(),
            edits,
        };
        let text = classic("app", &wanted).unwrap();
        assert!(text.contains("- \"A=a$${B}$$\"\n"), "{text}");
    }

    #[test]
    fn a_name_with_a_colon_is_no_source_and_target() {
        let wanted = Wanted {
            names: vec!["nvidia.com/gpu=0:1".to_owned()],
            edits: Edits::default(),
        };
        let name = "\"nvidia.com/gpu=0:1\"";
        assert_eq!(
            cdi("app", &wanted),
            format!(
                "services:\n  app:\n    devices:\n      - source: {name}\n        target: {name}\n"
            )
        );
    }

    fn node(path: &str, host_path: &str) -> DeviceNode {
        DeviceNode {
            path: path.into(),
            host_path: host_path.into(),
            kind: NodeKind::Char,
            major: 226,
            minor: 129,
            mode: None,
            uid: None,
            gid: None,
            permissions: "rw",
        }
    }

    #[test]
    fn a_path_with_a_colon_is_one_path() {
        let mut edits = Edits::default();
        edits.nodes.push(node("/dev/a", "/dev/pci-0000:00"));
        edits.mounts.push(Mount {
            host_path: "/dev/b".into(),
            container_path: "/dev/c:${d".into(),
            options: vec!["ro"],
        });
        let wanted = Wanted {
            names: Vec::new(),
            edits,
        };
        assert_eq!(
            classic("app", &wanted).unwrap(),
            "services:\n  app:\n    devices:\n      - source: \"/dev/pci-0000:00\"\n        target: \"/dev/a\"\n        \
             permissions: \"rw\"\n    volumes:\n      - type: bind\n        source: \"/dev/b\"\n        target: \
             \"/dev/c:$${d\"\n        read_only: true\n"
        );
    }

    #[test]
    fn both_forms_are_whole_services() {
        let mut edits = Edits::default();
        edits
            .nodes
            .push(node("/dev/dri/renderD128", "/dev/dri/renderD129"));
        edits.additional_gids.push(104);
        let wanted = Wanted {
            names: vec!["intel.com/gpu=1".to_owned()],
            edits,
        };
        assert_eq!(
            cdi("app", &wanted),
            "services:\n  app:\n    devices:\n      - \"intel.com/gpu=1\"\n    group_add:\n      - \"104\"\n"
        );
        assert_eq!(
            classic("app", &wanted).unwrap(),
            "services:\n  app:\n    devices:\n      - \"/dev/dri/renderD129:/dev/dri/renderD128:rw\"\n    \
             group_add:\n      - \"104\"\n"
        );
    }
}
