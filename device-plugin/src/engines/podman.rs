//! Podman: options of `podman run`. From 4.1 it reads CDI files without any settings; 4.3 reads them
//! up to version 0.5.0 of the format only (`Spec::without_groups`).

use super::{Wanted, docker};

/// The options with CDI.
#[must_use]
pub fn cdi(wanted: &Wanted) -> Vec<String> {
    docker::names(wanted)
}

/// The same without root on the host. There the nodes are the host's own, bound into the container: whoever
/// starts it must be able to open them, so it keeps its user's groups. And the runtime binds what it finds
/// under the node's name *inside*, the only one that it is given: `None` where that is another than the
/// host's, because another device would be there.
#[must_use]
pub fn rootless_cdi(wanted: &Wanted) -> Option<Vec<String>> {
    let nodes = &wanted.edits.nodes;
    if nodes.iter().any(|node| node.path != node.host_path) {
        return None;
    }
    let mut options = docker::names(wanted);
    options.push("--group-add=keep-groups".to_owned());
    Some(options)
}

/// The options without CDI; `None` where the changes have a hook.
#[must_use]
pub fn classic(wanted: &Wanted, rootless: bool) -> Option<Vec<String>> {
    let mut options = docker::classic(&wanted.edits)?;
    if rootless {
        options.retain(|option| !option.starts_with("--group-add="));
        options.push("--group-add=keep-groups".to_owned());
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::{DeviceNode, Edits, NodeKind};

    #[test]
    fn without_root_the_users_own_groups_are_kept() {
        let wanted = Wanted {
            names: vec!["intel.com/gpu=0".to_owned()],
            edits: Edits {
                additional_gids: vec![104],
                ..Edits::default()
            },
        };
        assert_eq!(
            rootless_cdi(&wanted).unwrap(),
            ["--device=intel.com/gpu=0", "--group-add=keep-groups"]
        );
        assert_eq!(classic(&wanted, true).unwrap(), ["--group-add=keep-groups"]);
        assert_eq!(classic(&wanted, false).unwrap(), ["--group-add=104"]);
    }

    #[test]
    fn without_root_no_node_is_given_by_cdi_that_has_another_name_inside() {
        let node = |path: &str, host_path: &str| DeviceNode {
            path: path.into(),
            host_path: host_path.into(),
            kind: NodeKind::Char,
            major: 226,
            minor: 129,
            mode: None,
            uid: None,
            gid: None,
            permissions: "rw",
        };
        let wanted = |node| Wanted {
            names: vec!["intel.com/gpu=1".to_owned()],
            edits: Edits {
                nodes: vec![node],
                ..Edits::default()
            },
        };
        let renamed = wanted(node("/dev/dri/renderD128", "/dev/dri/renderD129"));
        assert_eq!(rootless_cdi(&renamed), None);
        assert!(!cdi(&renamed).is_empty());
        let same = wanted(node("/dev/dri/renderD128", "/dev/dri/renderD128"));
        assert!(rootless_cdi(&same).is_some());
    }
}
