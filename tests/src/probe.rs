//! The probe: what a container sees of devices, told from inside.

use crate::load::{archive_with, static_program};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The name of the image in every engine.
pub const IMAGE: &str = "localhost/dunnage-probe:1";

/// Where the program is in the image.
pub const INSIDE: &str = "/bin/dunnage-probe";

/// The probe, linked statically.
pub fn program() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/probe.rs");
    static_program(&source, &crate::target().join("probe/dunnage-probe"))
}

/// The image archive with the probe in it.
pub fn image() -> Result<PathBuf> {
    let program = program()?;
    archive_with(IMAGE, &program, &program.with_file_name("image.tar"), &[])
}

/// The name of the image that only waits: what holds a pod's namespaces.
pub const PAUSE: &str = "localhost/dunnage-pause:1";

/// The archive of that image.
pub fn pause() -> Result<PathBuf> {
    let program = program()?;
    archive_with(
        PAUSE,
        &program,
        &program.with_file_name("pause.tar"),
        &["wait"],
    )
}

/// Nodes that every container has.
const ORDINARY: [&str; 6] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];

/// What a probe saw.
#[derive(Clone, Debug)]
pub struct Seen(pub Value);

impl Seen {
    /// Reads what the probe printed, whatever an engine printed around it.
    pub fn parse(output: &str) -> Result<Seen> {
        let line = output
            .lines()
            .rev()
            .find(|line| line.starts_with('{'))
            .with_context(|| format!("no report of the probe in {output:?}"))?;
        Ok(Seen(
            serde_json::from_str(line).with_context(|| format!("report {line:?}"))?,
        ))
    }

    /// What must be the same through every engine: nodes, links, mounts, hints and the groups of the
    /// devices. An engine's own variables and groups are its own matter, and so is whether it makes
    /// the nodes that every container has or, without root, binds the host's.
    #[must_use]
    pub fn of_devices(&self, groups: &[u64]) -> Value {
        let env: Vec<&Value> = list(&self.0["env"])
            .filter(|entry| {
                entry
                    .as_str()
                    .is_some_and(|text| text.starts_with("LIBVA") || text.starts_with("VDPAU"))
            })
            .collect();
        let own: Vec<&Value> = list(&self.0["groups"])
            .filter(|group| group.as_u64().is_some_and(|group| groups.contains(&group)))
            .collect();
        let mounts: Vec<&Value> = list(&self.0["mounts"])
            .filter(|mount| !ORDINARY.iter().any(|node| mount["at"] == *node))
            .collect();
        serde_json::json!({
            "nodes": self.0["nodes"], "links": self.0["links"], "mounts": mounts,
            "env": env, "groups": own,
        })
    }

    /// That every node of the given numbers, made by itself, was refused.
    pub fn refused(&self, numbers: &[(u64, u64)]) -> Result<()> {
        for (major, minor) in numbers {
            let made = list(&self.0["made"])
                .find(|made| made["major"] == *major && made["minor"] == *minor)
                .with_context(|| format!("{major}:{minor} was not tried: {}", self.0["made"]))?;
            ensure!(
                made["open"] == "EPERM" || made["mknod"] == "EPERM",
                "{major}:{minor} was not given and yet can be had: {made}"
            );
        }
        Ok(())
    }

    /// That no node of any numbers that were tried could be made: what an engine without root must rest
    /// on, as it has no device cgroup.
    pub fn makes_none(&self) -> Result<()> {
        for made in list(&self.0["made"]) {
            ensure!(made["mknod"] == "EPERM", "a node could be made: {made}");
        }
        Ok(())
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
