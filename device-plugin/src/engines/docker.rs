//! Docker: options of `docker run`.
//!
//! With CDI (25 with the feature `cdi` in daemon.json, 28.2 and later as it is) a name says all. Else
//! each node, mount and group is an option of its own. Hooks have no option: devices that need one
//! need CDI or the OCI runtime.

use super::Wanted;
use crate::offer::Edits;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The options where the daemon reads CDI files. The groups are said beside: Docker (seen with 28.5)
/// sets the process's user and groups after it has applied the CDI files, so that theirs are lost, and
/// `docker exec` knows only these.
#[must_use]
pub fn cdi(wanted: &Wanted) -> Vec<String> {
    let mut options = names(wanted);
    options.extend(groups(&wanted.edits));
    options
}

/// The names alone.
pub(super) fn names(wanted: &Wanted) -> Vec<String> {
    let option = |name: &String| format!("--device={name}");
    wanted.names.iter().map(option).collect()
}

fn groups(edits: &Edits) -> impl Iterator<Item = String> {
    edits
        .additional_gids
        .iter()
        .map(|gid| format!("--group-add={gid}"))
}

/// The options where it does not. `None` where the changes have a hook or a path with a colon, which
/// cannot be said.
#[must_use]
pub fn classic(edits: &Edits) -> Option<Vec<String>> {
    let nodes = (edits.nodes.iter()).flat_map(|node| [&node.host_path, &node.path]);
    let mounts = (edits.mounts.iter()).flat_map(|mount| [&mount.host_path, &mount.container_path]);
    let has_colon = |path: &PathBuf| path.as_os_str().as_bytes().contains(&b':');
    if !edits.hooks.is_empty() || nodes.chain(mounts).any(has_colon) {
        return None;
    }
    let mut options = Vec::new();
    for node in &edits.nodes {
        let (host, inside) = (node.host_path.display(), node.path.display());
        options.push(format!("--device={host}:{inside}:{}", node.permissions));
    }
    for mount in &edits.mounts {
        options.push(format!("--volume={}", volume(mount)));
    }
    options.extend(groups(edits));
    options.extend(
        edits
            .env
            .iter()
            .map(|(name, value)| format!("--env={name}={value}")),
    );
    Some(options)
}

/// A mount as `--volume` takes it.
pub(super) fn volume(mount: &crate::offer::Mount) -> String {
    let read_only = if mount.options.contains(&"ro") {
        ":ro"
    } else {
        ""
    };
    format!(
        "{}:{}{read_only}",
        mount.host_path.display(),
        mount.container_path.display()
    )
}

/// What stands in daemon.json for the OCI runtime of this program, which knows no other configuration
/// than the one that it is told.
#[must_use]
pub fn runtime(program: &str, config: Option<&Path>) -> serde_json::Value {
    let config = config.map(|path| format!("--config={}", path.display()));
    let mut words = vec!["runtime".to_owned()];
    words.extend(config);
    words.push("--".to_owned());
    serde_json::json!({ "dunnage": { "path": program, "runtimeArgs": words } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::tests::gpu;
    use crate::offer::{Hook, Options, edits_for};
    use dunnage_host::HostRoot;
    use dunnage_inventory::Inventory;

    #[test]
    fn every_change_is_an_option() {
        let dir = tempfile::tempdir().unwrap();
        let inventory = Inventory {
            devices: vec![gpu("intel_gpu", "i915", 0), gpu("intel_gpu", "i915", 1)],
            gaps: Vec::new(),
        };
        let device = &inventory.devices[1];
        let host = HostRoot::new(dir.path());
        let edits = edits_for(&host, &inventory, &[device], &Options::default()).unwrap();
        let mut wanted = Wanted::new(&[device], &inventory, edits);
        assert_eq!(
            cdi(&wanted),
            [
                "--device=intel.com/gpu=1",
                "--group-add=44",
                "--group-add=104"
            ]
        );
        let options = classic(&wanted.edits).unwrap();
        assert_eq!(
            options[0],
            "--device=/dev/dri/renderD129:/dev/dri/renderD128:rw"
        );
        assert_eq!(options[1], "--device=/dev/dri/card1:/dev/dri/card0:rw");
        assert!(options[2].starts_with("--volume=/var/lib/dunnage/links/by-path-"));
        assert!(options[2].ends_with(":/dev/dri/by-path:ro"), "{options:?}");
        assert_eq!(
            options[3..],
            [
                "--group-add=44",
                "--group-add=104",
                "--env=LIBVA_DRIVER_NAME=iHD"
            ]
        );
        let mut colon = wanted.edits.clone();
        colon.nodes[0].host_path = "/dev/pci-0000:00".into();
        assert_eq!(classic(&colon), None);
        wanted.edits.hooks.push(Hook {
            name: "createContainer",
            path: "/h".into(),
            args: Vec::new(),
        });
        assert_eq!(classic(&wanted.edits), None);
    }
}
