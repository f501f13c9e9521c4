//! Nomad: the part of a task for its docker driver. Nomad's own device plugin protocol is not spoken:
//! the scheduler does not count these devices, the job is bound to the node that has them.

use super::Wanted;
use std::fmt::Write as _;

/// A task's `config` block for the docker driver; `None` where the changes have a hook.
#[must_use]
pub fn docker_task(wanted: &Wanted) -> Option<String> {
    let edits = &wanted.edits;
    if !edits.hooks.is_empty() {
        return None;
    }
    let mut text = String::from("config {\n");
    for node in &edits.nodes {
        let _ = write!(
            text,
            "  devices {{\n    host_path          = {}\n    container_path     = {}\n    cgroup_permissions = {}\n  }}\n",
            hcl(&node.host_path.to_string_lossy()),
            hcl(&node.path.to_string_lossy()),
            hcl(node.permissions)
        );
    }
    for mount in &edits.mounts {
        let _ = write!(
            text,
            "  mount {{\n    type     = \"bind\"\n    source   = {}\n    target   = {}\n    readonly = {}\n  }}\n",
            hcl(&mount.host_path.to_string_lossy()),
            hcl(&mount.container_path.to_string_lossy()),
            mount.options.contains(&"ro")
        );
    }
    if !edits.additional_gids.is_empty() {
        let gids: Vec<String> = edits
            .additional_gids
            .iter()
            .map(|gid| hcl(&gid.to_string()))
            .collect();
        let _ = writeln!(text, "  group_add = [{}]", gids.join(", "));
    }
    text.push_str("}\n");
    if !edits.env.is_empty() {
        text.push_str("env {\n");
        for (name, value) in &edits.env {
            let _ = writeln!(text, "  {name} = {}", hcl(value));
        }
        text.push_str("}\n");
    }
    Some(text)
}

/// A string of HCL: as in JSON, and `${` is doubled because it would begin an expression.
fn hcl(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace("${", "$${")
        .replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::{Edits, Mount};

    #[test]
    fn a_task_has_its_devices_mounts_and_groups() {
        let wanted = Wanted {
            names: Vec::new(),
            edits: Edits {
                mounts: vec![Mount {
                    host_path: "/a${b}".into(),
                    container_path: "/c".into(),
                    options: vec!["ro"],
                }],
                additional_gids: vec![104],
                ..Edits::default()
            },
        };
        let text = docker_task(&wanted).unwrap();
        assert!(text.contains("source   = \"/a$${b}\""), "{text}");
        assert!(text.contains("readonly = true") && text.contains("group_add = [\"104\"]"));
    }
}
