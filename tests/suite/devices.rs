//! `dunnage-devices`: the list with its users, CDI files written whole and kept fresh, and a folder
//! for them that is full, read-only, shared or in the way. The devices are nodes with harmless numbers
//! in a tree, named by a rule.

use anyhow::{Context, Result, bail, ensure};
use dunnage_tests::document::{list, text};
use dunnage_tests::keeper::own_folder;
use dunnage_tests::machine::machine;
use dunnage_tests::rack::binary;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What the issue promises, from a change to the file that is right again.
const PROMISED: Duration = Duration::from_millis(200);

/// After this it will not come any more.
const PATIENCE: Duration = Duration::from_secs(20);

const ROUNDS: usize = 50;

const FILE: &str = "dunnage-other.dunnage-device.json";

/// A tree with some nodes and the rule that makes devices of them.
struct Tree {
    folder: PathBuf,
}

impl Tree {
    fn new(name: &str, nodes: &[&str]) -> Result<Tree> {
        let folder = own_folder(name)?;
        fs::create_dir_all(folder.join("root/dev/rack"))?;
        let tree = Tree { folder };
        fs::write(
            tree.folder.join("rules.toml"),
            "[[rule]]\nname = \"card\"\nnodes = [\"/dev/rack/card*\"]\n",
        )?;
        for (node, minor) in nodes.iter().zip(40..) {
            tree.plug(node, minor)?;
        }
        Ok(tree)
    }

    fn node(&self, name: &str) -> PathBuf {
        self.folder.join("root/dev/rack").join(name)
    }

    fn plug(&self, name: &str, minor: u64) -> Result<()> {
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        mknod(&self.node(name), SFlag::S_IFCHR, mode, makedev(4, minor))
            .with_context(|| format!("mknod {name}"))
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command
            .arg("--host-root")
            .arg(self.folder.join("root"))
            .arg("--config")
            .arg(self.folder.join("rules.toml"))
            .args(arguments);
        Ok(command)
    }

    fn cdi(&self, folder: &Path) -> Result<Output> {
        let folder = folder.to_str().context("a name in UTF-8")?;
        Ok(self.command(&["cdi", "--output", folder])?.output()?)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder in memory.
struct Memory(PathBuf);

impl Memory {
    fn new(name: &str) -> Result<Memory> {
        let folder = format!("/dev/shm/dunnage-tests-{}-{name}", std::process::id());
        fs::create_dir_all(&folder)?;
        Ok(Memory(folder.into()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `devices cdi --watch`, ended with the value.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Watch {
    fn start(tree: &Tree, folder: &Path) -> Result<Watch> {
        let folder = folder.to_str().context("a name in UTF-8")?;
        let mut command = tree.command(&["cdi", "--watch", "--json", "--output", folder])?;
        let log = File::create(tree.folder.join("watch.log"))?;
        Ok(Watch(command.stdout(Stdio::null()).stderr(log).spawn()?))
    }

    /// How often it was on a CPU because it had waited for something.
    fn wakeups(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Ok(line.context("the kernel counts switches")?.trim().parse()?)
    }
}

/// The host's paths of the nodes that the file names; `None` where there is none or it is half.
fn named(file: &Path) -> Option<Vec<String>> {
    let document: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let all = document["devices"]
        .as_array()?
        .iter()
        .find(|device| device["name"] == "all")?;
    let nodes = all["containerEdits"]["deviceNodes"].as_array()?;
    nodes
        .iter()
        .map(|node| Some(node["path"].as_str()?.to_owned()))
        .collect()
}

/// Waits until the file names these nodes alone; how long that took.
fn until(file: &Path, nodes: &[&str]) -> Result<Duration> {
    let started = Instant::now();
    loop {
        let named = named(file).unwrap_or_default();
        if named == nodes {
            return Ok(started.elapsed());
        }
        if started.elapsed() > PATIENCE {
            bail!("{} names {named:?} and not {nodes:?}", file.display());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn devices_are_listed_with_those_who_have_them_open() -> Result<()> {
    let tree = Tree::new("devices-list", &[])?;
    let rule = "[[rule]]\nname = \"full\"\nnodes = [\"/dev/full\"]\n";
    fs::write(tree.folder.join("rules.toml"), rule)?;
    let open = File::options().read(true).write(true).open("/dev/full")?;
    let output = Command::new(binary()?)
        .arg("--json")
        .arg("--config")
        .arg(tree.folder.join("rules.toml"))
        .output()?;
    drop(open);
    let document: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(text(&document, "schema")? == "dunnage.devices/1");
    let device = list(&document, "devices")?
        .iter()
        .find(|device| device["nodes"][0] == "/dev/full")
        .with_context(|| format!("no /dev/full in {document}"))?;
    for path in ["id", "kind", "vendor", "health", "cdi", "family"] {
        text(device, path)?;
    }
    ensure!(!list(device, "users")?.is_empty(), "no user in {device}");
    let own = u64::from(std::process::id());
    let processes = list(device, "processes")?;
    ensure!(
        processes.iter().any(|process| process["pid"] == own),
        "this process is not among {processes:?}"
    );
    Ok(())
}

#[test]
fn a_folder_that_is_full_keeps_the_file_that_it_has() -> Result<()> {
    let tree = Tree::new("devices-full", &["card0"])?;
    let script = "set -e
        mount -t tmpfs -o size=16k none \"$1\"
        \"$0\" --host-root \"$2\" --config \"$3\" cdi --output \"$1\"
        cp \"$1/dunnage-other.dunnage-device.json\" \"$1.before\"
        mknod \"$2/dev/rack/card1\" c 4 41
        dd if=/dev/zero of=\"$1/others\" bs=4k 2>/dev/null || true
        if \"$0\" --host-root \"$2\" --config \"$3\" cdi --output \"$1\"; then exit 9; fi
        cmp \"$1/dunnage-other.dunnage-device.json\" \"$1.before\"
        ls -A \"$1\"
        rm \"$1/others\"
        \"$0\" --host-root \"$2\" --config \"$3\" cdi --output \"$1\"
        mount -o remount,ro \"$1\"
        mknod \"$2/dev/rack/card2\" c 4 42
        if \"$0\" --host-root \"$2\" --config \"$3\" cdi --output \"$1\"; then exit 8; fi";
    let folder = tree.folder.join("cdi");
    fs::create_dir(&folder)?;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(binary()?)
        .arg(&folder)
        .arg(tree.folder.join("root"))
        .arg(tree.folder.join("rules.toml"))
        .output()
        .context("unshare, of util-linux")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {said}", output.status);
    ensure!(said.contains("make room there"), "not told: {said}");
    ensure!(said.contains("choose another folder"), "not told: {said}");
    let listed = String::from_utf8_lossy(&output.stdout);
    ensure!(!listed.contains(".tmp"), "half a file was left: {listed}");
    Ok(())
}

#[test]
fn a_name_that_another_writer_has_is_not_written_twice() -> Result<()> {
    let tree = Tree::new("devices-shared", &["card0"])?;
    let folder = tree.folder.join("cdi");
    ensure!(tree.cdi(&folder)?.status.success());
    let theirs = "cdiVersion: 0.5.0\nkind: other.dunnage/device\ndevices:\n- name: \"0\"\n  containerEdits:\n    env:\n    - A=1\n";
    fs::write(folder.join("theirs.yaml"), theirs)?;
    let output = tree.cdi(&folder)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{:?}", output.status);
    ensure!(
        said.contains("theirs.yaml names other.dunnage/device=0 too"),
        "{said}"
    );
    ensure!(!folder.join(FILE).exists());
    ensure!(fs::read_to_string(folder.join("theirs.yaml"))? == theirs);
    fs::remove_file(folder.join("theirs.yaml"))?;
    ensure!(tree.cdi(&folder)?.status.success());
    ensure!(folder.join(FILE).exists());
    Ok(())
}

#[test]
fn devices_that_come_and_go_are_in_the_file_within_200_ms() -> Result<()> {
    let _alone = machine()?;
    let tree = Tree::new("devices-fresh", &["card0"])?;
    // In memory, as /var/run/cdi is: a disk that is busy takes its own time to sync.
    let memory = Memory::new("devices-fresh")?;
    let folder = memory.0.join("cdi");
    let file = folder.join(FILE);
    let _watch = Watch::start(&tree, &folder)?;
    until(&file, &["/dev/rack/card0"])?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        tree.plug("card1", 41)?;
        times.push(until(&file, &["/dev/rack/card0", "/dev/rack/card1"])?);
        fs::remove_file(tree.node("card1"))?;
        times.push(until(&file, &["/dev/rack/card0"])?);
        // The same name with another number is another device.
        fs::remove_file(tree.node("card0"))?;
        tree.plug("card0", 43)?;
        until(&file, &["/dev/rack/card0"])?;
    }
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!(
        "{} changes: {median:?} in the median, {worst:?} at worst",
        times.len()
    );
    ensure!(
        worst <= PROMISED,
        "{worst:?} at worst, {median:?} in the median"
    );
    Ok(())
}

#[test]
fn a_watcher_that_nothing_happens_to_sleeps() -> Result<()> {
    let _alone = machine()?;
    let tree = Tree::new("devices-idle", &["card0"])?;
    let folder = tree.folder.join("cdi");
    let watch = Watch::start(&tree, &folder)?;
    until(&folder.join(FILE), &["/dev/rack/card0"])?;
    let quiet = |watch: &Watch| -> Result<u64> {
        let before = watch.wakeups()?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(watch.wakeups()? - before)
    };
    // It may still have to look after what it has written itself.
    let started = Instant::now();
    while quiet(&watch)? > 0 {
        ensure!(
            started.elapsed() < PATIENCE,
            "it wakes up although nothing happens"
        );
    }
    Ok(())
}
