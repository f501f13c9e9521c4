//! What we print for Compose and Nomad before a referee: Compose's own loader, and the parser of Nomad's
//! language with the fields that its docker driver documents.

use anyhow::{Context, Result, ensure};
use dunnage_device_plugin::engines::{Wanted, compose, nomad};
use dunnage_device_plugin::offer::{DeviceNode, Edits, Mount, NodeKind, Options, edits_for};
use dunnage_host::HostRoot;
use dunnage_inventory::{Config, scan};
use dunnage_tests::engine::said;
use dunnage_tests::keeper::own_folder;
use dunnage_tests::rack::Rack;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Command;

/// What the referee makes of each text.
fn read_by(language: &str, texts: &[String]) -> Result<Vec<Value>> {
    let mut build = Command::new(dunnage_tests::script("snippet-referee.sh"));
    let referee = said(&mut build)?;
    let folder = own_folder(&format!("snippets-{language}"))?;
    let mut command = Command::new(referee);
    command.arg(language);
    for (number, text) in texts.iter().enumerate() {
        let file = folder.join(format!("{number}.yaml"));
        std::fs::write(&file, text)?;
        command.arg(file);
    }
    let read: Vec<Value> = said(&mut command)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    std::fs::remove_dir_all(folder)?;
    ensure!(
        read.len() == texts.len(),
        "{} of {}",
        read.len(),
        texts.len()
    );
    Ok(read)
}

/// A path or value that means something else to a careless writer.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._-]{1,8}",
        r#"[ -~]{0,6}[a-z$]"#,
        r#"[$%{}"'\\#:]{1,5}[a-z]"#,
        "[à-üß一-三]{1,3}",
    ]
}

fn any_path() -> impl Strategy<Value = std::path::PathBuf> {
    // Compose cleans paths, and ours are clean: no empty names, no dots alone.
    any_text().prop_map(|text| format!("/dev/x{}", text.replace('/', "_")).into())
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let node = (any_path(), any_path(), prop_oneof![Just("rw"), Just("r")]).prop_map(
        |(path, host_path, permissions)| DeviceNode {
            path,
            host_path,
            kind: NodeKind::Char,
            major: 226,
            minor: 128,
            mode: None,
            uid: None,
            gid: None,
            permissions,
        },
    );
    let mount = (any_path(), any_path(), any::<bool>()).prop_map(
        |(host_path, container_path, read_only)| Mount {
            host_path,
            container_path,
            options: if read_only { vec!["ro"] } else { Vec::new() },
        },
    );
    let env = proptest::collection::btree_map("[A-Z][A-Z0-9_]{0,6}", any_text(), 0..3);
    (
        proptest::collection::vec(node, 0..3),
        proptest::collection::vec(mount, 0..3),
        env,
        proptest::collection::vec(1_u32..70_000, 0..3),
        "vendor\\.com/class=[a-z0-9][a-z0-9._:-]{0,6}[a-z0-9]",
    )
        .prop_map(|(nodes, mounts, env, additional_gids, name)| {
            let edits = Edits {
                nodes,
                mounts: without_repeats(mounts),
                env,
                additional_gids,
                ..Edits::default()
            };
            Wanted {
                names: vec![name],
                edits,
            }
        })
}

/// Two mounts at one place are a collision, which an offer never holds.
fn without_repeats(mounts: Vec<Mount>) -> Vec<Mount> {
    let mut kept: Vec<Mount> = Vec::new();
    for mount in mounts {
        if kept
            .iter()
            .all(|other| other.container_path != mount.container_path)
        {
            kept.push(mount);
        }
    }
    kept
}

/// What is offered for each device of the rack and for all together, and odd things.
fn all_wanted(rack: &Rack) -> Result<Vec<Wanted>> {
    let host = HostRoot::new(rack.root());
    let inventory = scan(&host, &Config::default());
    let mut sets: Vec<Vec<_>> = inventory
        .devices
        .iter()
        .map(|device| vec![device])
        .collect();
    sets.push(inventory.devices.iter().collect());
    let mut wanted = Vec::new();
    for set in &sets {
        let edits = edits_for(&host, &inventory, set, &Options::default())?;
        wanted.push(Wanted::new(set, &inventory, edits));
    }
    ensure!(wanted.len() > 3, "only {} sets of devices", wanted.len());
    let mut runner = TestRunner::deterministic();
    for _ in 0..100 {
        let tree = any_wanted()
            .new_tree(&mut runner)
            .map_err(|why| anyhow::anyhow!("nothing wanted: {why}"))?;
        wanted.push(tree.current());
    }
    Ok(wanted)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Its own fields of an object, in our order, and absent lists as empty ones.
fn fields(value: &Value, names: &[&str]) -> Value {
    let picked: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), value[*name].clone()))
        .collect();
    Value::Object(picked)
}

fn each(value: &Value, names: &[&str]) -> Vec<Value> {
    let items = value.as_array().into_iter().flatten();
    items.map(|item| fields(item, names)).collect()
}

fn gids(wanted: &Wanted) -> Vec<String> {
    let gids = wanted.edits.additional_gids.iter();
    gids.map(u32::to_string).collect()
}

/// Compose takes a group once.
fn gids_once(wanted: &Wanted) -> Vec<String> {
    let mut once = gids(wanted);
    let mut seen = std::collections::BTreeSet::new();
    once.retain(|gid| seen.insert(gid.clone()));
    once
}

#[test]
fn snippets_for_compose_are_read_as_they_are_meant() -> Result<()> {
    let rack = Rack::start("rack")?;
    let wanted = all_wanted(&rack)?;
    let classic: Vec<String> = wanted
        .iter()
        .map(|one| compose::classic("app", one).context("no hook is here"))
        .collect::<Result<_>>()?;
    for ((one, text_of), read) in wanted
        .iter()
        .zip(&classic)
        .zip(read_by("compose", &classic)?)
    {
        let devices: Vec<Value> = one
            .edits
            .nodes
            .iter()
            .map(|node| {
                json!({"source": text(&node.host_path), "target": text(&node.path),
                               "permissions": node.permissions})
            })
            .collect();
        let volumes: Vec<Value> = one
            .edits
            .mounts
            .iter()
            .map(|mount| {
                let read_only = mount.options.contains(&"ro").then_some(true);
                json!({"type": "bind", "source": text(&mount.host_path),
                       "target": text(&mount.container_path), "read_only": read_only})
            })
            .collect();
        let groups: Vec<Value> = gids_once(one).into_iter().map(Value::from).collect();
        let found = json!({
            "devices": each(&read["devices"], &["source", "target", "permissions"]),
            "volumes": each(&read["volumes"], &["type", "source", "target", "read_only"]),
            "groups": read["group_add"].as_array().cloned().unwrap_or_default(),
            "env": read["environment"].as_object().cloned().unwrap_or_default(),
        });
        let meant = json!({"devices": devices, "volumes": volumes, "groups": groups,
                           "env": one.edits.env});
        ensure!(found == meant, "{text_of}\nread: {found}\nmeant: {meant}");
    }

    let cdi: Vec<String> = wanted.iter().map(|one| compose::cdi("app", one)).collect();
    for (one, read) in wanted.iter().zip(read_by("compose", &cdi)?) {
        // Compose hands a device on by its name where source and target are the same.
        let names = one.names.iter();
        let meant: Vec<Value> = names.map(|n| json!({"source": n, "target": n})).collect();
        let found = each(&read["devices"], &["source", "target"]);
        ensure!(found == meant, "{read}");
    }
    Ok(())
}

#[test]
fn snippets_for_nomad_are_read_as_they_are_meant() -> Result<()> {
    let rack = Rack::start("rack")?;
    let wanted = all_wanted(&rack)?;
    let tasks: Vec<String> = wanted
        .iter()
        .map(|one| nomad::docker_task(one).context("no hook is here"))
        .collect::<Result<_>>()?;
    for ((one, text_of), read) in wanted.iter().zip(&tasks).zip(read_by("nomad", &tasks)?) {
        let devices: Vec<Value> = one
            .edits
            .nodes
            .iter()
            .map(|node| {
                json!({"host_path": text(&node.host_path), "container_path": text(&node.path),
                               "cgroup_permissions": node.permissions})
            })
            .collect();
        let mounts: Vec<Value> = one
            .edits
            .mounts
            .iter()
            .map(|mount| {
                json!({"type": "bind", "source": text(&mount.host_path),
                       "target": text(&mount.container_path),
                       "readonly": mount.options.contains(&"ro")})
            })
            .collect();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let config = &read["config"];
        let found = json!({"devices": list(&config["devices"]), "mounts": list(&config["mount"]),
                           "groups": list(&config["group_add"]), "env": read["env"]});
        let meant = json!({"devices": devices, "mounts": mounts, "groups": gids(one),
                           "env": one.edits.env});
        ensure!(found == meant, "{text_of}\nread: {found}\nmeant: {meant}");
    }
    Ok(())
}
