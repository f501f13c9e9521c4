//! Block devices: whose bytes are written, and who waits for whose requests.

use anyhow::{Context, Result, bail, ensure};
use dunnage_tests::cgroups::OwnCgroup;
use dunnage_tests::document::{at, list, number, summary, text};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::machine::{emulated, machine};
use nix::sys::stat;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

/// What a test writes.
const WRITTEN: f64 = 67_108_864.0;

/// A cgroup in the hierarchies that know of disks and pages too.
struct Writer {
    group: OwnCgroup,
    more: Vec<PathBuf>,
}

impl Writer {
    fn make(name: &str) -> Result<Writer> {
        let group = OwnCgroup::make(format!("/dunnage-tests-{name}-{}", std::process::id()))?;
        let path = group.path().to_string_lossy().into_owned();
        let mut more = Vec::new();
        for hierarchy in ["memory", "blkio"] {
            let root = Path::new("/sys/fs/cgroup").join(hierarchy);
            if root.join("cgroup.procs").exists() {
                let folder = root.join(path.trim_start_matches('/'));
                fs::create_dir_all(&folder)?;
                more.push(folder);
            }
        }
        Ok(Writer { group, more })
    }

    /// A shell's words, run inside.
    fn shell(&self, words: &str) -> Result<Child> {
        let enter = r#"words=$1; shift; for folder; do echo $$ >"$folder/cgroup.procs" || exit 97; done; exec sh -c "$words""#;
        let mut arguments: Vec<&OsStr> = ["sh", "-c", enter, "enter", words].map(OsStr::new).into();
        arguments.extend(self.more.iter().map(|folder| folder.as_os_str()));
        let child = self.group.command(&arguments).spawn();
        child.context("start a shell in a cgroup")
    }

    /// Its entry in a document of `ps`.
    fn among<'v>(&self, ps: &'v Value) -> Result<&'v Value> {
        let path = self.group.path().to_string_lossy();
        list(ps, "parties")?
            .iter()
            .find(|entry| at(entry, "party.cgroup").is_ok_and(|own| *own == *path))
            .with_context(|| format!("no party {path}"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        for folder in &self.more {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The bytes that all parties, and that the kernel, wrote to the device.
fn written(ps: &Value, device: &str) -> Result<(f64, f64)> {
    let (mut all, mut kernel) = (0.0, 0.0);
    for entry in list(ps, "parties")? {
        for disk in list(entry, "disk.devices").unwrap_or_default() {
            if text(disk, "device")? == device {
                let bytes = number(disk, "written_bytes")?;
                all += bytes;
                if text(entry, "party.kind")? == "kernel" {
                    kernel += bytes;
                }
            }
        }
    }
    Ok((all, kernel))
}

#[test]
fn buffered_writes_are_whose_pages_they_are() -> Result<()> {
    let _alone = machine()?;
    if emulated() {
        return Ok(());
    }
    let file = PathBuf::from(format!("/var/tmp/dunnage-tests-{}", std::process::id()));
    let writer = Writer::make("writer")?;
    let running = dunnage(&["ps", "--json", "--for", "8s"]).spawn()?;
    sleep(Duration::from_secs(3));
    let words = format!(
        "dd if=/dev/zero of={} bs=1M count=64 status=none",
        file.display()
    );
    ensure!(writer.shell(&words)?.wait()?.success(), "dd failed");
    // Written back by somebody else: the kernel on behalf of this test.
    let synced = Command::new("sync").arg("-f").arg(&file).status()?;
    ensure!(synced.success(), "sync failed");
    let ps = running.finish(Duration::from_secs(15))?.json()?;
    fs::remove_file(&file)?;
    let entry = writer.among(&ps)?;
    let own = number(entry, "disk.written_bytes")?;
    ensure!(
        (own / WRITTEN - 1.0).abs() < 0.01,
        "{own} bytes are put down to who wrote {WRITTEN}"
    );
    let disks = list(entry, "disk.devices")?;
    let device = text(disks.first().context("no device")?, "device")?;
    let (all, kernel) = written(&ps, device)?;
    ensure!(
        kernel <= 0.01 * all + 1e6,
        "the kernel is left with {kernel} of {all} bytes"
    );
    Ok(())
}

/// `major:minor` of the whole disk below `path`: partitions take no limits.
fn disk_of(path: &Path) -> Result<String> {
    let device = fs::metadata(path)?.dev();
    let (major, minor) = (stat::major(device), stat::minor(device));
    let own = format!("/sys/dev/block/{major}:{minor}");
    if !Path::new(&own).join("partition").exists() {
        return Ok(format!("{major}:{minor}"));
    }
    Ok(fs::read_to_string(format!("{own}/../dev"))?
        .trim()
        .to_owned())
}

/// What a document of `blame` says of a cgroup.
fn said_of<'v>(blame: &'v Value, cgroup: &str) -> Result<Vec<&'v Value>> {
    let all = list(blame, "verdicts")?.iter();
    Ok(all
        .filter(|verdict| text(verdict, "victim.cgroup").is_ok_and(|own| own == cgroup))
        .collect())
}

#[test]
fn a_limit_of_its_own_is_its_own_doing() -> Result<()> {
    let _alone = machine()?;
    let throttle = Path::new("/sys/fs/cgroup/blkio");
    if emulated() || !throttle.join("blkio.throttle.read_bps_device").exists() {
        return Ok(());
    }
    let file = PathBuf::from(format!("/var/tmp/dunnage-tests-{}", std::process::id()));
    let reader = Writer::make("reader")?;
    let write = format!(
        "dd if=/dev/zero of={} bs=1M count=64 conv=fsync status=none",
        file.display()
    );
    ensure!(reader.shell(&write)?.wait()?.success(), "dd failed");
    let path = reader.group.path().to_string_lossy().into_owned();
    let limit = throttle
        .join(path.trim_start_matches('/'))
        .join("blkio.throttle.read_bps_device");
    fs::write(&limit, format!("{} 2097152", disk_of(&file)?))?;
    let read = format!(
        "exec dd if={} of=/dev/null bs=64k iflag=direct status=none",
        file.display()
    );
    // 32 s at this rate; it ends with its cgroup.
    let mut reading = reader.shell(&read)?;
    let blame = dunnage(&["blame", "--json", "--for", "5s"]).json();
    let ended = reading.kill().and_then(|()| reading.wait());
    fs::remove_file(&file)?;
    ended?;
    let blame = blame?;
    let verdicts = said_of(&blame, &path)?;
    let [verdict] = verdicts[..] else {
        bail!("not one verdict: {}", summary(&blame))
    };
    ensure!(
        text(verdict, "cause")? == "self"
            && text(verdict, "resource")? == "disk"
            && text(verdict, "facts.limit")? == "io.max",
        "{verdict}"
    );
    ensure!(number(verdict, "harm.fraction")? > 0.5, "{verdict}");
    Ok(())
}
