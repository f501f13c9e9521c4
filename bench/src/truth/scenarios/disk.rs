//! Block devices: who waits behind whose requests.
//!
//! All files lie on the host's disk, below /var/tmp. The busiest innocent, `cache`, reads another
//! device: a file in memory behind a loop device.

use super::super::scenario::{Actor, Cause, Cpus, Felt, Home, Label, Limit, Prop, Scenario};
use anyhow::{Context, ensure};
use dunnage_model::verdict::Resource;
use std::process::Command;

fn web() -> Actor {
    Actor::new("web", "disk read --size 4k --every 1ms")
}

fn cache() -> Actor {
    Actor::new("cache", "disk read --size 1m --every 4ms --device {OTHER}").on(Cpus::Second)
}

fn culprit(name: &str, play: &'static str) -> Actor {
    Actor::new(name, play).on(Cpus::Second).disturbing()
}

fn harmed(culprits: &[(&'static str, Option<f64>)]) -> Label {
    Label::harmed("web", Resource::Disk, Cause::Neighbour, culprits)
}

fn by_batch() -> Label {
    harmed(&[("batch", Some(1.0))])
}

fn disk(name: &'static str, label: Label) -> Scenario {
    Scenario::new(name, Resource::Disk, label)
        .on_prop(other_device)
        .with(cache())
}

/// Every scenario of block devices.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = neighbours();
    all.extend(several());
    all.extend(files());
    all.push(own_limit());
    all.extend(nobody());
    all
}

fn neighbours() -> Vec<Scenario> {
    vec![
        disk("disk-streaming-writer", by_batch())
            .with(web())
            .with(culprit("batch", "disk write --size 1m --threads 8"))
            .in_subset(),
        disk("disk-streaming-reader", by_batch())
            .with(web())
            .with(culprit("batch", "disk read --size 1m --threads 8")),
        disk("disk-many-small-reads", by_batch())
            .with(web())
            .with(culprit("batch", "disk read --size 32k --threads 32")),
        disk("disk-writer-hurts-a-writer", by_batch())
            .with(Actor::new("web", "disk write --size 4k --every 1ms"))
            .with(culprit("batch", "disk write --size 1m --threads 8")),
        disk("disk-bursts", by_batch().felt(Felt::Slower(1.05)))
            .with(web())
            .with(
                Actor::new("batch", "disk write --size 1m --threads 8")
                    .on(Cpus::Second)
                    .during(&[(0.5, 1.0), (2.0, 2.5), (3.5, 4.0)]),
            ),
        disk(
            "disk-service",
            Label::harmed("web", Resource::Disk, Cause::Host, &[("backup", Some(1.0))]),
        )
        .with(web())
        .with(culprit("backup", "disk read --size 1m --threads 8").at(Home::Service)),
    ]
}

fn several() -> Vec<Scenario> {
    vec![
        disk(
            "disk-two-equal-culprits",
            harmed(&[("batch", Some(0.5)), ("index", Some(0.5))]),
        )
        .with(web())
        .with(culprit("batch", "disk write --size 1m --threads 6"))
        .with(culprit("index", "disk write --size 1m --threads 6")),
        disk(
            "disk-two-culprits-3-to-1",
            harmed(&[("batch", Some(0.75)), ("index", Some(0.25))]),
        )
        .with(web())
        .with(culprit("batch", "disk write --size 1m --threads 9"))
        .with(culprit("index", "disk write --size 1m --threads 3")),
        disk(
            "disk-four-culprits",
            harmed(&[
                ("batch", Some(0.25)),
                ("index", Some(0.25)),
                ("train", Some(0.25)),
                ("scan", Some(0.25)),
            ]),
        )
        .with(web())
        .with(culprit("batch", "disk write --size 1m --threads 3"))
        .with(culprit("index", "disk write --size 1m --threads 3"))
        .with(culprit("train", "disk write --size 1m --threads 3"))
        .with(culprit("scan", "disk write --size 1m --threads 3")),
        disk(
            "disk-two-victims",
            by_batch().also(
                "api",
                Resource::Disk,
                Cause::Neighbour,
                &[("batch", Some(1.0))],
            ),
        )
        .with(web())
        .with(Actor::new("api", "disk read --size 16k --every 3ms"))
        .with(culprit("batch", "disk write --size 1m --threads 8")),
    ]
}

/// What the page cache and the journal do on behalf of others. Copying megabytes into the cache takes
/// CPU time in bursts, for which the innocent one on the same CPU waits a little.
fn files() -> Vec<Scenario> {
    let by_batch = || by_batch().tolerating("cache", Resource::Cpu, Cause::Neighbour, &["batch"]);
    vec![
        disk("disk-writeback", by_batch())
            .with(web())
            .with(culprit("batch", "disk flush --size 8m")),
        disk("disk-fsync-storm", by_batch())
            .with(Actor::new("web", "disk sync --size 4k --every 5ms"))
            .with(culprit("batch", "disk sync --size 4m --threads 8")),
    ]
}

/// Held back by nobody but itself, in both phases alike.
fn own_limit() -> Scenario {
    let itself = &[("web", Some(1.0))];
    let label = Label::harmed("web", Resource::Disk, Cause::Limit("io.max"), itself);
    let web = Actor::new("web", "disk read --size 64k --every 5ms");
    disk("disk-own-limit", label.felt(Felt::Anything))
        .with(web.limit(Limit::ReadRate(2 << 20)))
        .in_subset()
}

fn nobody() -> Vec<Scenario> {
    let anything = || Label::nobody("web").felt(Felt::Anything);
    vec![
        disk("disk-quiet", Label::nobody("web"))
            .with(web())
            .in_subset(),
        disk("disk-another-device", Label::nobody("web"))
            .with(web())
            .with(culprit(
                "batch",
                "disk read --size 256k --every 2ms --device {OTHER}",
            )),
        disk("disk-equals", anything())
            .with(Actor::new("web", "disk read --size 64k --threads 2"))
            .with(culprit("batch", "disk read --size 64k --threads 2")),
        disk("disk-fsync-equals", anything())
            .with(Actor::new("web", "disk sync --size 4k --every 5ms"))
            .with(culprit("batch", "disk sync --size 4k --every 5ms")),
        disk("disk-fsync-beside-a-little", anything())
            .with(Actor::new("web", "disk sync --size 16k --every 5ms"))
            .with(culprit("batch", "disk sync --size 4k --every 100ms")),
        disk("disk-ten-bystanders", Label::nobody("web"))
            .with(web())
            .with_many(
                10,
                &Actor::new("light", "disk read --size 4k --every 100ms").on(Cpus::Both),
            ),
    ]
}

/// A loop device, detached when it is dropped.
struct Loop {
    device: String,
    _file: tempfile::NamedTempFile,
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
    }
}

pub(super) fn other_device() -> anyhow::Result<Prop> {
    let file = tempfile::NamedTempFile::new_in("/dev/shm").context("making a file in /dev/shm")?;
    file.as_file().set_len(64 << 20)?;
    let made = Command::new("losetup")
        .args(["--find", "--show"])
        .arg(file.path())
        .output()
        .context("losetup")?;
    ensure!(
        made.status.success(),
        "losetup: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let device = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let words = vec![("OTHER", device.clone())];
    Ok(Prop {
        words,
        _undo: Box::new(Loop {
            device,
            _file: file,
        }),
    })
}
