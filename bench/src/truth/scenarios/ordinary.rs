//! Ordinary mixed load on a host that is not full: nobody harms anybody, for as long as one likes.

use super::super::scenario::{Actor, Cpus, Felt, Label, Limit, Prop, Scenario};
use anyhow::Context;
use dunnage_model::verdict::Resource;
use std::path::PathBuf;

/// The load, `seconds` long. Together it wants some 0.8 CPUs of two.
pub(in super::super) fn mixed_load(seconds: f64) -> Scenario {
    let on_both = |name: &str, play| Actor::new(name, play).on(Cpus::Both);
    let label = Label::nobody("web").felt(Felt::Anything);
    Scenario::new("ordinary-mixed-load", Resource::Cpu, label)
        .on_prop(folder)
        .with(on_both("web", "tick --work 2ms --every 20ms"))
        .with(on_both("api", "tick --work 4ms --every 50ms"))
        .with(on_both("shop", "tick --work 1ms --every 10ms"))
        .with(on_both(
            "static",
            "serve --file {folder}/static --bytes 4m --every 100ms --work 2ms",
        ))
        .with(on_both("log", "log --file {folder}/log --bytes 64k --every 100ms"))
        .with(on_both("chat", "chat --bytes 1k --every 5ms"))
        // A cron job as one would set it up: for a moment, with less weight than the servers.
        .with(
            on_both("report", "burst --on 1s --off 14s").limit(Limit::CpuShares(256)),
        )
        .with(on_both("health", "fork --work 1ms --rest 2s"))
        .with_many(8, &on_both("idle", "tick --work 100us --every 500ms"))
        .lasting(1.0, seconds)
}

/// A folder on the disk on which this runs.
fn folder() -> anyhow::Result<Prop> {
    let path = PathBuf::from(format!("/var/tmp/dunnage-truth-{}", std::process::id()));
    std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(Prop {
        words: vec![("folder", path.display().to_string())],
        _undo: Box::new(Folder(path)),
    })
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
