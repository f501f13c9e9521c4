//! One scenario on this host: homes made, workloads started, their use looked at while they run.

use super::clock;
use super::containers::Bundle;
use super::homes::{Folder, Homes, cpu_numbers, filled};
use super::meter::{self, Record};
use super::scenario::{Home, Limit, Prop, Scenario};
use anyhow::{Context, ensure};
use dunnage_profiler::stop::Stop;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often everybody's use is looked at.
const LOOK: f64 = 0.5;

/// The longest that an engine may take to start a container.
const COMES_UP: Duration = Duration::from_secs(10);

/// From the last workload's start to the script's: what starting cost has passed.
const LEAD: Duration = Duration::from_millis(400);

/// A played scenario.
pub(super) struct Played {
    /// When the script began, `CLOCK_MONOTONIC`.
    pub(super) began: u64,
    /// The actors, as in the cast.
    pub(super) actors: Vec<PlayedActor>,
    /// Everybody's use, every half second.
    pub(super) looks: Vec<Look>,
}

/// One actor of a played scenario.
pub(super) struct PlayedActor {
    /// The path of its cgroup.
    pub(super) cgroup: String,
    /// The number of its cgroup in eBPF programs.
    pub(super) id: Option<u64>,
    /// What it measured of itself.
    pub(super) records: Vec<Record>,
}

/// Everybody's use so far, at one moment.
pub(super) struct Look {
    /// When, `CLOCK_MONOTONIC`.
    pub(super) at: u64,
    /// By actor.
    pub(super) used: Vec<Used>,
    /// CPU time of the whole machine, seconds.
    pub(super) machine_cpu: f64,
}

/// What one actor used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// CPU time, seconds.
    pub(super) cpu: f64,
    /// Bytes to and from devices.
    pub(super) disk: f64,
    /// Memory in use now, bytes.
    pub(super) memory: f64,
}

/// The host's side of all scenarios: one folder for cgroups, one for records.
pub(super) struct Stage {
    homes: Homes,
    records: PathBuf,
    program: PathBuf,
    played: usize,
    stop: Stop,
}

impl Stage {
    /// Makes the folders.
    pub(super) fn new() -> anyhow::Result<Stage> {
        let records = PathBuf::from(format!("/dev/shm/dunnage-truth-{}", std::process::id()));
        std::fs::create_dir(&records)
            .with_context(|| format!("making {}, where workloads write", records.display()))?;
        Ok(Stage {
            homes: Homes::make()?,
            records,
            program: std::env::current_exe().context("finding this binary")?,
            played: 0,
            // A bench that is interrupted takes its cgroups away all the same.
            stop: Stop::on_signals().context("listening to signals")?,
        })
    }

    /// Plays a scenario to its end and clears the stage.
    pub(super) fn play(&mut self, scenario: &Scenario) -> anyhow::Result<Played> {
        self.played += 1;
        // What another scenario wrote last is on the disk before this one begins: it was nobody's of this cast.
        nix::unistd::sync();
        let prop = scenario.prop.map(|make| make()).transpose()?;
        let _shared = scenario
            .shared
            .as_ref()
            .map(|limit| Shared::apply(&self.homes, limit))
            .transpose()?;
        let mut workloads = Vec::new();
        for number in 0..scenario.cast.len() {
            workloads.push(self.start(scenario, number, prop.as_ref())?);
        }
        // All of them read one line and count from there.
        let began = clock::monotonic() + clock::nanos(LEAD);
        for workload in &mut workloads {
            if let Some(stdin) = &mut workload.child.stdin {
                writeln!(stdin, "{began}").context("a workload ended before it began")?;
            }
        }
        let end = began + clock::from_seconds(scenario.end());
        let mut looks = Vec::new();
        let mut next = began;
        while next <= end {
            clock::sleep_until(next);
            ensure!(!self.stop.is_raised(), "interrupted");
            let now = look(&workloads, looks.last());
            looks.push(now);
            next += clock::from_seconds(LOOK);
        }
        clock::sleep_until(end);
        let mut actors = Vec::new();
        for workload in workloads {
            let Workload {
                child,
                bundle,
                folder,
                record,
            } = workload;
            let cgroup = folder.path.clone();
            let id = folder.id();
            finish(child, &folder);
            drop(bundle);
            drop(folder);
            actors.push(PlayedActor {
                cgroup,
                id,
                records: meter::read(&record)?,
            });
            let _ = std::fs::remove_file(&record);
        }
        drop(prop);
        Ok(Played {
            began,
            actors,
            looks,
        })
    }

    fn start(
        &self,
        scenario: &Scenario,
        number: usize,
        prop: Option<&Prop>,
    ) -> anyhow::Result<Workload> {
        let actor = &scenario.cast[number];
        let words = prop.map_or(&[][..], |prop| &prop.words);
        let record = self.records.join(format!("{}-{number}", self.played));
        let cpus = cpu_numbers(actor.cpus)?;
        let arguments = self.arguments(scenario, number, &cpus, words, &record);
        let name = self.home_name(actor.home, number, &actor.name);
        if actor.home == Home::Runc {
            return self.start_container(scenario, number, &name, &arguments, words, record);
        }
        let folder = self.homes.folder(&name)?;
        folder.keep_to(&cpus);
        for limit in &actor.limits {
            folder.limit(limit)?;
        }
        let child = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", actor.name))?;
        folder.take_in(child.id())?;
        Ok(Workload {
            child,
            bundle: None,
            folder,
            record,
        })
    }

    /// The same in a real container: its cgroup is runc's to make, and waits there for its limits.
    fn start_container(
        &self,
        scenario: &Scenario,
        number: usize,
        name: &str,
        arguments: &[String],
        words: &[(&'static str, String)],
        record: PathBuf,
    ) -> anyhow::Result<Workload> {
        let actor = &scenario.cast[number];
        let folder = self.homes.at(name);
        let folders = words.iter().map(|(_, word)| Path::new(word));
        let mut shared: Vec<&Path> = folders.filter(|path| path.is_dir()).collect();
        shared.push(&self.records);
        let bundle = Bundle::write(name, &folder.path, &self.program, arguments, &shared)?;
        let child = bundle.start()?;
        folder
            .appears(COMES_UP)
            .with_context(|| format!("starting {} by runc", actor.name))?;
        folder.keep_to(&cpu_numbers(actor.cpus)?);
        for limit in &actor.limits {
            folder.limit(limit)?;
        }
        Ok(Workload {
            child,
            bundle: Some(bundle),
            folder,
            record,
        })
    }

    fn arguments(
        &self,
        scenario: &Scenario,
        number: usize,
        cpus: &[usize],
        words: &[(&'static str, String)],
        record: &Path,
    ) -> Vec<String> {
        let actor = &scenario.cast[number];
        let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        let span = |(from, to): &(f64, f64)| {
            format!(
                "{}-{}",
                clock::from_seconds(*from),
                clock::from_seconds(*to)
            )
        };
        let spans: Vec<String> = scenario.spans(actor).iter().map(span).collect();
        let mut arguments = vec![
            "part".to_owned(),
            "--cpus".to_owned(),
            list.join(","),
            "--spans".to_owned(),
            spans.join(","),
            "--record".to_owned(),
            record.display().to_string(),
        ];
        let play = filled(actor.play, words);
        arguments.extend(play.split_whitespace().map(str::to_owned));
        arguments
    }

    /// A container's id is 64 hexadecimal digits; each of a run has its own, so that what Dunnage
    /// remembers of one scenario is not taken for another.
    fn home_name(&self, home: Home, number: usize, name: &str) -> String {
        match home {
            Home::Container | Home::Runc => format!(
                "{:016x}{:016x}{:016x}{:016x}",
                std::process::id(),
                self.played,
                number,
                0xd0_0d_u32
            ),
            Home::Service => format!("{name}-{}.service", self.played),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.records);
    }
}

struct Workload {
    child: Child,
    bundle: Option<Bundle>,
    folder: Folder,
    record: PathBuf,
}

/// A workload ends by itself when its script does; one that hangs is ended.
fn finish(mut child: Child, folder: &Folder) {
    drop(child.stdin.take());
    for _ in 0..50 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    folder.kill();
    let _ = child.kill();
    let _ = child.wait();
}

/// What each has used by now. Where a container is gone already, what it had used at the look before.
fn look(workloads: &[Workload], before: Option<&Look>) -> Look {
    let last = |number: usize| before.and_then(|look| look.used.get(number));
    Look {
        at: clock::monotonic(),
        used: workloads
            .iter()
            .enumerate()
            .map(|(number, workload)| Used {
                cpu: (workload.folder.cpu_seconds())
                    .or(last(number).map(|used| used.cpu))
                    .unwrap_or(0.0),
                disk: (workload.folder.disk_bytes())
                    .or(last(number).map(|used| used.disk))
                    .unwrap_or(0.0),
                memory: workload.folder.memory_bytes().unwrap_or(0.0),
            })
            .collect(),
        machine_cpu: machine_cpu().unwrap_or(0.0),
    }
}

/// Busy seconds of all CPUs since boot, from the first line of `/proc/stat`, in ticks of 10 ms.
fn machine_cpu() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<f64> = text
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at));
    Some(busy.sum::<f64>() / 100.0)
}

/// More memory than any machine has: both versions of cgroups take it for no limit.
const NO_LIMIT: u64 = i64::MAX as u64;

/// A memory limit on all homes together, taken back when dropped.
struct Shared<'a>(&'a Homes);

impl<'a> Shared<'a> {
    fn apply(homes: &'a Homes, limit: &Limit) -> anyhow::Result<Shared<'a>> {
        homes.limit_all(limit)?;
        Ok(Shared(homes))
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        // The folder goes with the bench where this fails.
        let _ = self.0.limit_all(&Limit::MemoryMax(NO_LIMIT));
    }
}
