//! Podman: options of `podman run`. From 4.1 it reads CDI files without any settings; 4.3 reads them
//! up to version 0.5.0 of the format only (`Spec::without_groups`).

use super::{Wanted, docker};

/// The options with CDI. A container without root on the host keeps its user's groups, because there
/// the nodes are the host's own, bound into the container: whoever starts it must be able to open them.
#[must_use]
pub fn cdi(wanted: &Wanted, rootless: bool) -> Vec<String> {
    let mut options = docker::cdi(wanted);
    if rootless {
        options.push("--group-add=keep-groups".to_owned());
    }
    options
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
    use crate::offer::Edits;

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
            cdi(&wanted, true),
            ["--device=intel.com/gpu=0", "--group-add=keep-groups"]
        );
        assert_eq!(classic(&wanted, true).unwrap(), ["--group-add=keep-groups"]);
        assert_eq!(classic(&wanted, false).unwrap(), ["--group-add=104"]);
    }
}
