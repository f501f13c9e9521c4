//! Memory that runs out in a limit: one's own, a parent's, and the kill that follows.
//!
//! The loads are shells: files that are read again and again, and memory that `tail` holds.

use anyhow::{Context, Result, ensure};
use dunnage_tests::cgroups::{OwnCgroup, mounts, processes_below, remove_tree};
use dunnage_tests::document::{accused, list, name, summary, text, verdicts};
use dunnage_tests::dunnage::dunnage;
use dunnage_tests::machine::machine;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Holds 72 MiB and stands still.
const HOLD: &str = "(head -c 72M /dev/zero; sleep 60) | tail -c 72M >/dev/null";

/// Takes 64 MiB after two seconds and holds them.
const GROW: &str = "sleep 2; (head -c 64M /dev/zero; sleep 60) | tail -c 64M >/dev/null";

/// Makes a file, whose pages are its own, and reads it again and again.
const REREAD: &str =
    "head -c 40M /dev/zero >FILE; while :; do cat FILE >/dev/null; sleep 0.02; done";

/// A parent cgroup with a limit, and those below it.
struct Shared {
    top: String,
    members: Vec<Member>,
    file: PathBuf,
}

/// One cgroup in all hierarchies, that of memory included.
struct Member {
    own: OwnCgroup,
    memory: PathBuf,
    shell: Option<Child>,
}

impl Shared {
    fn make(test: &str, mebibytes: Option<u64>) -> Result<Shared> {
        let top = format!("/dunnage-tests-memory-{test}");
        let folder = memory_folder(&top)?;
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let shared = Shared {
            top,
            members: Vec::new(),
            // On a disk: the pages of a memory file system cannot be thrown out.
            file: PathBuf::from(format!("/var/tmp/dunnage-tests-memory-{test}")),
        };
        if let Some(mebibytes) = mebibytes {
            limit(&folder, mebibytes)?;
        }
        Ok(shared)
    }

    /// Runs a script in a cgroup of its own; `FILE` stands for a file.
    fn start(&mut self, who: &str, script: &str, mebibytes: Option<u64>) -> Result<()> {
        let path = format!("{}/{who}", self.top);
        let own = OwnCgroup::make(&path)?;
        let memory = memory_folder(&path)?;
        fs::create_dir_all(&memory).with_context(|| format!("make {}", memory.display()))?;
        if let Some(mebibytes) = mebibytes {
            limit(&memory, mebibytes)?;
        }
        let script = script.replace("FILE", &self.file.to_string_lossy());
        let enter = format!("echo $$ >{}/cgroup.procs; {script}", memory.display());
        let words = ["sh", "-c", &enter].map(OsStr::new);
        let shell = own.command(&words).stdout(Stdio::null()).spawn()?;
        self.members.push(Member {
            own,
            memory,
            shell: Some(shell),
        });
        Ok(())
    }

    fn called(&self, who: &str) -> String {
        format!("{}/{who}", self.top)
    }

    /// Waits until a member has so much.
    fn wait_for(&self, at: usize, mebibytes: u64) -> Result<()> {
        let folder = &self.members[at].memory;
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            let used = ["memory.usage_in_bytes", "memory.current"]
                .iter()
                .find_map(|file| fs::read_to_string(folder.join(file)).ok());
            let used: u64 = used
                .context("the memory controller is off")?
                .trim()
                .parse()?;
            if used >= mebibytes << 20 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("{} never had {mebibytes} MiB", folder.display())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for member in self.members.drain(..) {
            for pid in processes_below(&member.memory) {
                let _ = Command::new("kill")
                    .args(["-KILL", &pid.to_string()])
                    .status();
            }
            if let Some(mut shell) = member.shell {
                let _ = shell.wait();
            }
            drop(member.own);
            remove_tree(&member.memory);
        }
        let _ = fs::remove_file(&self.file);
        if let Ok(folder) = memory_folder(&self.top) {
            remove_tree(&folder);
        }
    }
}

/// Where the memory controller has this cgroup.
fn memory_folder(path: &str) -> Result<PathBuf> {
    let old = Path::new("/sys/fs/cgroup/memory");
    let within = path.trim_start_matches('/');
    if old.join("cgroup.procs").exists() {
        return Ok(old.join(within));
    }
    let point = mounts()?.points.into_iter().next();
    let point = point.context("no cgroup hierarchy")?;
    for above in Path::new(within).ancestors().skip(1) {
        // The controller is handed down level by level.
        let _ = fs::write(point.join(above).join("cgroup.subtree_control"), "+memory");
    }
    Ok(point.join(within))
}

fn limit(folder: &Path, mebibytes: u64) -> Result<()> {
    let bytes = (mebibytes << 20).to_string();
    let written = ["memory.limit_in_bytes", "memory.max"]
        .iter()
        .map(|file| folder.join(file))
        .find(|file| file.exists())
        .map(|file| fs::write(file, &bytes));
    written
        .context("the memory controller is off")?
        .context("set the limit")
}

fn blame(seconds: &str) -> Result<Value> {
    dunnage(&["blame", "--json", "--no-engines", "--for", seconds]).json()
}

/// The verdicts on memory for a victim with one of these causes.
fn on_memory<'v>(blame: &'v Value, victim: &str, causes: &[&str]) -> Result<Vec<&'v Value>> {
    let all = verdicts(blame, victim, causes)?;
    Ok(all
        .into_iter()
        .filter(|verdict| text(verdict, "resource").is_ok_and(|resource| resource == "memory"))
        .collect())
}

#[test]
fn ones_own_memory_limit_is_ones_own_doing() -> Result<()> {
    let _machine = machine()?;
    let mut shared = Shared::make("own", None)?;
    shared.start("still", HOLD, None)?;
    shared.start("web", REREAD, Some(24))?;
    shared.wait_for(0, 70)?;
    shared.wait_for(1, 20)?;
    let blame = blame("3s")?;
    let web = shared.called("web");
    let found = on_memory(&blame, &web, &["self"])?;
    let verdict = found.first().with_context(|| summary(&blame))?;
    ensure!(verdict["facts"]["limit"] == "memory.max", "{verdict}");
    ensure!(
        on_memory(&blame, &web, &["neighbour", "host"])?.is_empty(),
        "{}",
        summary(&blame)
    );
    ensure!(
        !accused(&blame)?.contains(&&*shared.called("still")),
        "{}",
        summary(&blame)
    );
    Ok(())
}

#[test]
fn a_kill_is_put_down_to_who_filled_the_memory() -> Result<()> {
    let _machine = machine()?;
    let mut shared = Shared::make("kill", Some(112))?;
    shared.start("still", HOLD, None)?;
    shared.wait_for(0, 70)?;
    shared.start("batch", GROW, None)?;
    let blame = blame("5s")?;
    let found = on_memory(&blame, &shared.called("still"), &["host"])?;
    let verdict = found.first().with_context(|| summary(&blame))?;
    let culprits = list(verdict, "culprits")?;
    ensure!(
        name(&culprits[0]["party"]) == shared.called("batch"),
        "{verdict}"
    );
    ensure!(verdict["facts"]["oom_kills"] == 1.0, "{verdict}");
    ensure!(verdict["facts"]["killed"] == "tail", "{verdict}");
    Ok(())
}
