//! What of a specification still stands: paths vanish and device numbers change while it is on disk.

use super::spec::{ContainerEdits, Spec, SpecNode};
use dunnage_host::HostRoot;
use dunnage_inventory::Role;
use dunnage_inventory::nodes;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A specification, and which of the paths that it names were there when it was made. One that was
/// never there (a node that only the kernel tells of) is not missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The specification.
    pub(super) spec: Spec,
    there: BTreeSet<PathBuf>,
}

impl Standing {
    /// `spec` as the host looks now.
    pub(super) fn now(host: &HostRoot, spec: Spec) -> Standing {
        let paths = spec.referenced_paths().into_iter();
        let there = paths.filter(|path| host.locate(path).is_ok()).collect();
        Standing { spec, there }
    }

    /// What is left of it, as the host looks now: without the devices of which something is gone, and
    /// nothing where something common to all is.
    pub(super) fn left(&self, host: &HostRoot) -> Option<Spec> {
        let whole = |edits: &ContainerEdits| self.stands(host, edits);
        if !whole(&self.spec.container_edits) {
            return None;
        }
        let devices = self.spec.devices.iter();
        let devices: Vec<_> = devices
            .filter(|device| whole(&device.container_edits))
            .cloned()
            .collect();
        if devices.is_empty() {
            return None;
        }
        let (kind, common) = (self.spec.kind.clone(), self.spec.container_edits.clone());
        Some(Spec::new(kind, devices, common))
    }

    fn stands(&self, host: &HostRoot, edits: &ContainerEdits) -> bool {
        let mounts = edits.mounts.iter().map(|mount| &mount.host_path);
        let hooks = edits.hooks.iter().map(|hook| &hook.path);
        let mut files = mounts
            .chain(hooks)
            .filter(|path| self.there.contains(*path));
        let mut nodes = edits.device_nodes.iter();
        files.all(|path| host.locate(path).is_ok()) && nodes.all(|node| self.is_node(host, node))
    }

    fn is_node(&self, host: &HostRoot, node: &SpecNode) -> bool {
        let path = node.host_path.as_ref().unwrap_or(&node.path);
        if !self.there.contains(path) {
            return true;
        }
        match nodes::at(host, path, Role::Own) {
            Some(now) => (now.major, now.minor) == (node.major, node.minor),
            // A tree of files has files where a host has nodes.
            None => {
                !host.is_own()
                    && host
                        .locate(path)
                        .is_ok_and(|there| there.metadata.is_file())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdi::spec::{SpecDevice, SpecMount};
    use std::fs;

    fn node(path: &str) -> SpecNode {
        SpecNode {
            path: "/dev/dri/renderD128".into(),
            host_path: Some(path.into()),
            kind: "c".to_owned(),
            major: 226,
            minor: 128,
            file_mode: None,
            permissions: "rw".to_owned(),
            uid: None,
            gid: None,
        }
    }

    fn device(name: &str, path: &str) -> SpecDevice {
        SpecDevice {
            name: name.to_owned(),
            container_edits: ContainerEdits {
                device_nodes: vec![node(path)],
                ..ContainerEdits::default()
            },
        }
    }

    #[test]
    fn a_device_goes_with_its_node_and_all_with_a_common_library() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("dev")).unwrap();
        for name in ["dev/a", "dev/b", "libgpu.so"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let host = HostRoot::new(dir.path());
        let common = ContainerEdits {
            mounts: vec![SpecMount {
                host_path: "/libgpu.so".into(),
                container_path: "/usr/lib/libgpu.so".into(),
                options: Vec::new(),
            }],
            ..ContainerEdits::default()
        };
        let devices = vec![
            device("a", "/dev/a"),
            device("b", "/dev/b"),
            device("c", "/dev/never"),
        ];
        let spec = Spec::new("test.com/gpu".to_owned(), devices, common);
        let standing = Standing::now(&host, spec.clone());
        assert_eq!(standing.left(&host), Some(spec));
        fs::remove_file(dir.path().join("dev/a")).unwrap();
        let left = standing.left(&host).unwrap();
        let names: Vec<_> = left.devices.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["b", "c"]);
        fs::remove_file(dir.path().join("libgpu.so")).unwrap();
        assert_eq!(standing.left(&host), None);
    }

    #[test]
    fn a_node_with_another_number_is_another_device() {
        let host = HostRoot::default();
        let mut null = device("null", "/dev/null");
        let numbers = |device: &mut SpecDevice, minor| {
            let node = &mut device.container_edits.device_nodes[0];
            (node.major, node.minor) = (1, minor);
        };
        numbers(&mut null, 3);
        let spec = |device: &SpecDevice| {
            Spec::new(
                "test.com/x".to_owned(),
                vec![device.clone()],
                ContainerEdits::default(),
            )
        };
        assert!(Standing::now(&host, spec(&null)).left(&host).is_some());
        numbers(&mut null, 5);
        assert!(Standing::now(&host, spec(&null)).left(&host).is_none());
    }
}
