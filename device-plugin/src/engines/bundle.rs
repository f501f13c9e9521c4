//! OCI bundles, for runc and crun: the changes applied to a `config.json` (runtime-spec, config.md and
//! config-linux.md), the way the CDI library applies them (`pkg/cdi/container-edits.go`).

use crate::offer::{DeviceNode, Edits, Mount};
use serde_json::{Value, json};
use std::path::Path;

/// Why a configuration cannot be changed.
#[derive(Debug, thiserror::Error)]
#[error("the bundle's config.json: {path} is no {wanted}")]
pub struct NotOci {
    path: &'static str,
    wanted: &'static str,
}

/// Applies `edits` to an OCI configuration in place.
///
/// A node replaces one of the same path, a mount one of the same destination, a variable one of the same
/// name. Each node gets a rule in the device cgroup. Where there is no rule at all, one that refuses
/// everything is put in front: not every runtime does that by itself.
///
/// # Errors
/// [`NotOci`] where a part that must change has another shape than the specification gives it.
pub fn apply(config: &mut Value, edits: &Edits) -> Result<(), NotOci> {
    if !config.is_object() {
        return Err(NotOci {
            path: "the whole",
            wanted: "object",
        });
    }
    let user = user(config);
    if !edits.env.is_empty() {
        let env = array(config, &["process", "env"], "process.env")?;
        for (name, value) in &edits.env {
            let prefix = format!("{name}=");
            env.retain(|entry| !entry.as_str().is_some_and(|text| text.starts_with(&prefix)));
            env.push(json!(format!("{name}={value}")));
        }
    }
    if !edits.nodes.is_empty() {
        nodes(config, &edits.nodes, user)?;
    }
    if !edits.mounts.is_empty() {
        mounts(config, &edits.mounts)?;
    }
    for hook in &edits.hooks {
        array(config, &["hooks", hook.name], "hooks")?
            .push(json!({"path": hook.path, "args": hook.args}));
    }
    if !edits.additional_gids.is_empty() {
        let gids = array(
            config,
            &["process", "user", "additionalGids"],
            "process.user.additionalGids",
        )?;
        for gid in edits.additional_gids.iter().filter(|gid| **gid != 0) {
            if !gids.contains(&json!(gid)) {
                gids.push(json!(gid));
            }
        }
    }
    Ok(())
}

/// The user and group of the container's process.
fn user(config: &Value) -> (Option<u64>, Option<u64>) {
    let id = |name| {
        config["process"]["user"][name]
            .as_u64()
            .filter(|id| *id > 0)
    };
    (id("uid"), id("gid"))
}

fn nodes(
    config: &mut Value,
    nodes: &[DeviceNode],
    (uid, gid): (Option<u64>, Option<u64>),
) -> Result<(), NotOci> {
    let devices = array(config, &["linux", "devices"], "linux.devices")?;
    for node in nodes {
        devices.retain(|entry| entry["path"].as_str().map(Path::new) != Some(&*node.path));
        let mut entry = json!({
            "path": node.path, "type": node.kind.letter(), "major": node.major, "minor": node.minor,
        });
        let owner = [
            ("fileMode", node.mode.map(u64::from)),
            ("uid", node.uid.map(u64::from).or(uid)),
            ("gid", node.gid.map(u64::from).or(gid)),
        ];
        for (name, value) in owner {
            if let Some(value) = value {
                entry[name] = json!(value);
            }
        }
        devices.push(entry);
    }
    let rules = array(
        config,
        &["linux", "resources", "devices"],
        "linux.resources.devices",
    )?;
    if rules.is_empty() {
        rules.push(json!({"allow": false, "access": "rwm"}));
    }
    rules.extend(nodes.iter().map(|node| {
        json!({
            "allow": true, "type": node.kind.letter(), "major": node.major, "minor": node.minor,
            "access": node.permissions,
        })
    }));
    Ok(())
}

fn mounts(config: &mut Value, more: &[Mount]) -> Result<(), NotOci> {
    let mounts = array(config, &["mounts"], "mounts")?;
    for mount in more {
        let place = mount.container_path.as_path();
        mounts.retain(|entry| entry["destination"].as_str().map(Path::new) != Some(place));
        mounts.push(json!({
            "destination": mount.container_path, "source": mount.host_path, "type": "bind",
            "options": mount.options,
        }));
    }
    // What lies deeper is mounted later, or it would be hidden.
    mounts.sort_by_key(|entry| {
        entry["destination"]
            .as_str()
            .map_or(0, |path| Path::new(path).components().count())
    });
    Ok(())
}

/// The array at this path, made where it is missing or null.
fn array<'v>(
    config: &'v mut Value,
    keys: &[&str],
    path: &'static str,
) -> Result<&'v mut Vec<Value>, NotOci> {
    let mut place = config;
    for key in keys {
        if place.is_null() {
            *place = json!({});
        }
        let object = place.as_object_mut().ok_or(NotOci {
            path,
            wanted: "part of an object",
        })?;
        place = object.entry((*key).to_owned()).or_insert(Value::Null);
    }
    if place.is_null() {
        *place = json!([]);
    }
    place.as_array_mut().ok_or(NotOci {
        path,
        wanted: "array",
    })
}

#[cfg(test)]
mod tests;
