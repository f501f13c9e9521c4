//! The cgroups in which workloads live: made as an engine makes them, limited, read and removed.

use super::roles::FILES;
use super::scenario::{Cpus, Limit};
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Hierarchies in which a container has a folder, where they are mounted.
const HIERARCHIES: [&str; 8] = [
    "unified", "cpu", "cpuacct", "memory", "blkio", "pids", "cpuset", "hugetlb",
];

/// Where hierarchies are mounted.
const TOP: &str = "/sys/fs/cgroup";

/// The period of a quota.
const PERIOD_MICROS: f64 = 100_000.0;

/// The mounted hierarchies of this host, with the bench's own folder in each.
#[derive(Debug)]
pub(super) struct Homes {
    /// Version 2 alone.
    unified: bool,
    /// The roots, by controller name; `unified` is version 2's.
    roots: Vec<(&'static str, PathBuf)>,
    /// The folder of this bench, below every root.
    parent: String,
}

/// One cgroup, removed when dropped with all that runs in it.
#[derive(Debug)]
pub(super) struct Folder {
    /// The path in the hierarchies, as `/proc/PID/cgroup` shows it.
    pub(super) path: String,
    folders: Vec<(&'static str, PathBuf)>,
    unified: bool,
}

impl Homes {
    /// Makes the bench's own folder in each hierarchy.
    pub(super) fn make() -> anyhow::Result<Homes> {
        let top = Path::new(TOP);
        let unified = top.join("cgroup.controllers").exists();
        let roots: Vec<(&'static str, PathBuf)> = if unified {
            vec![("unified", top.to_owned())]
        } else {
            let mounted = |name: &&'static str| top.join(name).join("cgroup.procs").exists();
            HIERARCHIES
                .into_iter()
                .filter(mounted)
                .map(|name| (name, top.join(name)))
                .collect()
        };
        if roots.is_empty() {
            bail!("no cgroup hierarchy is mounted below {TOP}");
        }
        let homes = Homes {
            unified,
            roots,
            parent: format!("dunnage-truth-{}", std::process::id()),
        };
        for (_, root) in &homes.roots {
            let folder = root.join(&homes.parent);
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
            if unified {
                enable(root);
                enable(&folder);
            }
            copy_cpuset(root, &folder);
        }
        Ok(homes)
    }

    /// The path of a cgroup below the bench's own folder.
    pub(super) fn path(&self, name: &str) -> String {
        format!("/{}/{name}", self.parent)
    }

    /// Makes a cgroup of this name in every hierarchy.
    pub(super) fn folder(&self, name: &str) -> anyhow::Result<Folder> {
        let mut made = self.at(name);
        let wanted = std::mem::take(&mut made.folders);
        for (hierarchy, folder) in wanted {
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
            if let Some(parent) = folder.parent() {
                copy_cpuset(parent, &folder);
            }
            made.folders.push((hierarchy, folder));
        }
        Ok(made)
    }

    /// Applies a limit to all homes together, or takes it back.
    pub(super) fn limit_all(&self, limit: &Limit) -> anyhow::Result<()> {
        let mut all = self.at("");
        let outcome = all.limit(limit);
        // The bench's own folder outlives the scenario.
        all.folders.clear();
        outcome
    }

    /// A cgroup of this name that an engine makes.
    pub(super) fn at(&self, name: &str) -> Folder {
        let folders = self.roots.iter();
        Folder {
            path: self.path(name),
            folders: folders
                .map(|(hierarchy, root)| (*hierarchy, root.join(&self.parent).join(name)))
                .collect(),
            unified: self.unified,
        }
    }
}

impl Drop for Homes {
    fn drop(&mut self) {
        // An engine makes the folder in hierarchies that nothing here needs.
        for entry in fs::read_dir(TOP).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path().join(&self.parent));
        }
        let _ = fs::remove_dir(Path::new(TOP).join(&self.parent));
    }
}

impl Folder {
    /// Waits until an engine has made it and a process sits in it.
    pub(super) fn appears(&self, patience: Duration) -> anyhow::Result<()> {
        let inhabited = |folder: &PathBuf| {
            fs::read_to_string(folder.join("cgroup.procs")).is_ok_and(|text| !text.is_empty())
        };
        let end = std::time::Instant::now() + patience;
        while !self.folders.iter().all(|(_, folder)| inhabited(folder)) {
            if std::time::Instant::now() > end {
                bail!("nobody came to live in {}", self.path);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Moves a process in.
    pub(super) fn take_in(&self, pid: u32) -> anyhow::Result<()> {
        for (_, folder) in &self.folders {
            let file = folder.join("cgroup.procs");
            fs::write(&file, pid.to_string())
                .with_context(|| format!("moving a workload into {}", file.display()))?;
        }
        Ok(())
    }

    /// Keeps it to some CPUs, where there is a cpuset to say so.
    pub(super) fn keep_to(&self, cpus: &[usize]) {
        let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        if let Some(folder) = self.hierarchy("cpuset") {
            // The workload's own affinity holds in any case.
            let _ = fs::write(folder.join("cpuset.cpus"), list.join(","));
        }
    }

    /// Applies a limit.
    pub(super) fn limit(&self, limit: &Limit) -> anyhow::Result<()> {
        match limit {
            Limit::CpuShares(shares) => {
                // The scale of version 2, as the OCI runtimes convert it.
                let weight = 1 + (shares.saturating_sub(2) * 9_999) / 262_142;
                self.write("cpu", "cpu.shares", "cpu.weight", shares, &weight)
            }
            Limit::CpuMax(cpus) => {
                let quota = (cpus * PERIOD_MICROS).round();
                let both = format!("{quota} {PERIOD_MICROS}");
                self.write("cpu", "cpu.cfs_quota_us", "cpu.max", &quota, &both)
            }
            Limit::MemoryMax(bytes) => self.write(
                "memory",
                "memory.limit_in_bytes",
                "memory.max",
                bytes,
                bytes,
            ),
            Limit::PidsMax(tasks) => self.write("pids", "pids.max", "pids.max", tasks, tasks),
            Limit::ReadRate(rate) => {
                let disk = disk_of(Path::new(FILES))?;
                let (v1, v2) = (format!("{disk} {rate}"), format!("{disk} rbps={rate}"));
                let file = "blkio.throttle.read_bps_device";
                self.write("blkio", file, "io.max", &v1, &v2)
            }
        }
    }

    fn write(
        &self,
        controller: &str,
        v1: &str,
        v2: &str,
        for_v1: &dyn std::fmt::Display,
        for_v2: &dyn std::fmt::Display,
    ) -> anyhow::Result<()> {
        let (name, value) = if self.unified {
            (v2, for_v2.to_string())
        } else {
            (v1, for_v1.to_string())
        };
        let folder = self
            .hierarchy(controller)
            .with_context(|| format!("this host has no {controller} controller"))?;
        let file = folder.join(name);
        fs::write(&file, &value).with_context(|| format!("writing {value} to {}", file.display()))
    }

    /// The folder in a controller's hierarchy.
    fn hierarchy(&self, controller: &str) -> Option<&Path> {
        self.folders
            .iter()
            .find(|(name, _)| self.unified || *name == controller)
            .map(|(_, folder)| folder.as_path())
    }

    /// CPU time used so far, in seconds.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let nanos = self.number("cpuacct", "cpuacct.usage");
        let micros = || self.field("cpu", "cpu.stat", "usage_usec");
        nanos
            .map(|nanos| nanos / 1e9)
            .or_else(|| micros().map(|micros| micros / 1e6))
    }

    /// Bytes read from and written to devices so far.
    pub(super) fn disk_bytes(&self) -> Option<f64> {
        if !self.unified {
            return self.field("blkio", "blkio.throttle.io_service_bytes", "Total");
        }
        let text = fs::read_to_string(self.hierarchy("io")?.join("io.stat")).ok()?;
        let fields = text.split_whitespace().filter_map(|word| {
            let (key, value) = word.split_once('=')?;
            matches!(key, "rbytes" | "wbytes").then(|| value.parse::<f64>().ok())?
        });
        Some(fields.sum())
    }

    /// Memory used now, in bytes.
    pub(super) fn memory_bytes(&self) -> Option<f64> {
        self.number("memory", "memory.usage_in_bytes")
            .or_else(|| self.number("memory", "memory.current"))
    }

    fn number(&self, controller: &str, file: &str) -> Option<f64> {
        let text = fs::read_to_string(self.hierarchy(controller)?.join(file)).ok()?;
        text.trim().parse().ok()
    }

    fn field(&self, controller: &str, file: &str, field: &str) -> Option<f64> {
        let text = fs::read_to_string(self.hierarchy(controller)?.join(file)).ok()?;
        let of_line = |line: &str| line.strip_prefix(field)?.trim().parse().ok();
        text.lines().find_map(of_line)
    }

    /// The number by which eBPF programs know it: the inode of its folder in version 2.
    pub(super) fn id(&self) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        let folder = self.hierarchy("unified")?;
        fs::metadata(folder).ok().map(|meta| meta.ino())
    }

    /// Ends all that runs in it.
    pub(super) fn kill(&self) {
        use nix::sys::signal::{Signal, kill};
        for (_, folder) in &self.folders {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            for pid in text.lines().filter_map(|line| line.parse().ok()) {
                let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The kernel may need a moment to see that the processes are gone, and a storm of processes
        // may have one more that the first kill did not see.
        for _ in 0..100 {
            self.kill();
            self.folders
                .retain(|(_, folder)| folder.exists() && fs::remove_dir(folder).is_err());
            if self.folders.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// `major:minor` of the whole disk that `path` lies on: partitions take no limits.
fn disk_of(path: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::MetadataExt;
    let device = fs::metadata(path)?.dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let own = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    if !own.join("partition").exists() {
        return Ok(format!("{major}:{minor}"));
    }
    let disk = own.join("../dev");
    let number =
        fs::read_to_string(&disk).with_context(|| format!("reading {}", disk.display()))?;
    Ok(number.trim().to_owned())
}

/// A value in which `{NAME}` is replaced by a word of the prop.
pub(super) fn filled(value: &str, words: &[(&'static str, String)]) -> String {
    words.iter().fold(value.to_owned(), |value, (name, word)| {
        value.replace(&format!("{{{name}}}"), word)
    })
}

/// The numbers of the CPUs that take part: the first two that are online.
pub(super) fn cpu_numbers(cpus: Cpus) -> anyhow::Result<Vec<usize>> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online")?;
    let mut online = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        online.extend(first.parse::<usize>()?..=last.parse()?);
    }
    let [first, second, ..] = online[..] else {
        bail!("the scenarios need two CPUs; this host has {}", text.trim());
    };
    Ok(match cpus {
        Cpus::First => vec![first],
        Cpus::Second => vec![second],
        Cpus::Both => vec![first, second],
    })
}

/// Hands the controllers on to what is below, as far as the host has them.
fn enable(folder: &Path) {
    for controller in ["cpu", "cpuset", "io", "memory", "pids"] {
        let _ = fs::write(
            folder.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

/// A version 1 cpuset takes no process before it has CPUs and memory nodes.
fn copy_cpuset(from: &Path, to: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Ok(value) = fs::read(from.join(file)) {
            let _ = fs::write(to.join(file), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn words_of_the_prop_are_put_in() {
        let words = [("disk", "/mnt/x".to_owned()), ("dev", "7:0".to_owned())];
        assert_eq!(
            filled("read --in {disk} {dev}", &words),
            "read --in /mnt/x 7:0"
        );
        assert_eq!(filled("{other}", &words), "{other}");
    }
}
