//! A cgroup around a contender, so that its helpers are counted with it.

use crate::cgroups::{copy_cpuset, roots};
use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a contender may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// One program and all that it starts, in a cgroup of its own.
pub(crate) struct Group {
    folders: Vec<PathBuf>,
    child: Option<Child>,
}

/// What the processes of a group hold in memory.
#[derive(Clone, Copy, Default)]
pub(crate) struct Held {
    /// Resident, shared pages counted in each process.
    pub(crate) resident_mib: f64,
    /// Resident, shared pages divided by who shares them.
    pub(crate) proportional_mib: f64,
}

impl Group {
    /// Starts `words` in a new cgroup; what it prints is thrown away.
    pub(crate) fn start(name: &str, words: &[String]) -> anyhow::Result<Group> {
        let mut group = Group {
            folders: Vec::new(),
            child: None,
        };
        for root in roots() {
            let folder = root.join(format!("dunnage-bench-{name}-{}", std::process::id()));
            fs::create_dir(&folder)
                .with_context(|| format!("making the cgroup {}", folder.display()))?;
            copy_cpuset(&root, &folder);
            // Version 1 allows no realtime thread without a budget, and Rezolus has some.
            let budget = folder.join("cpu.rt_runtime_us");
            if budget.exists() {
                let _ = fs::write(budget, "500000");
            }
            group.folders.push(folder);
        }
        // The shell moves itself, so that nothing is started outside.
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "for f in $1; do echo $$ >$f/cgroup.procs; done; shift; exec \"$@\"",
            "sh",
        ]);
        let folders: Vec<String> = group
            .folders
            .iter()
            .map(|f| f.display().to_string())
            .collect();
        command.arg(folders.join(" ")).args(words);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", words.join(" ")))?;
        group.child = Some(child);
        Ok(group)
    }

    /// Whether its first process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// CPU time of all its processes, gone ones included.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        for folder in &self.folders {
            if let Ok(text) = fs::read_to_string(folder.join("cpuacct.usage")) {
                return Ok(text.trim().parse::<f64>()? / 1e9);
            }
            let stat = fs::read_to_string(folder.join("cpu.stat")).unwrap_or_default();
            if let Some(value) = stat.lines().find_map(|l| l.strip_prefix("usage_usec ")) {
                return Ok(value.trim().parse::<f64>()? / 1e6);
            }
        }
        anyhow::bail!("no cgroup hierarchy here counts CPU time")
    }

    /// Memory of its processes now.
    pub(crate) fn held(&self) -> Held {
        let mut held = Held::default();
        for pid in self.processes() {
            // Linux 4.14; absent where the process just ended.
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            held.resident_mib += kib(&text, "Rss:") / 1024.0;
            held.proportional_mib += kib(&text, "Pss:") / 1024.0;
        }
        held
    }

    fn processes(&self) -> Vec<i32> {
        let procs = self.folders.first().map(|f| f.join("cgroup.procs"));
        procs
            .and_then(|file| fs::read_to_string(file).ok())
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect()
    }

    fn signal(&self, signal: Signal) {
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(child) = &mut self.child {
                let _ = child.try_wait();
            }
            if self.processes().is_empty() {
                break;
            }
            if Instant::now() > deadline {
                self.signal(Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(50));
            if Instant::now() > deadline + PATIENCE {
                break;
            }
        }
        if let Some(child) = &mut self.child {
            let _ = child.wait();
        }
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// A field of `smaps_rollup` in KiB; nought where it is not there.
fn kib(text: &str, field: &str) -> f64 {
    text.lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_smaps_are_read() {
        let text = "00400000-7ffe [rollup]\nRss:                2048 kB\nPss:                 512 kB\nPss_Anon: 1 kB\n";
        assert_eq!((kib(text, "Rss:"), kib(text, "Pss:")), (2048.0, 512.0));
        assert_eq!(kib("", "Rss:"), 0.0);
    }
}
