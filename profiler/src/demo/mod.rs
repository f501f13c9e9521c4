//! `dunnage demo`: a victim, a culprit and a bystander, and the verdict beside the truth.
//!
//! For a newcomer with no container at hand: it makes three cgroups of its own, runs a load in
//! each, lets Dunnage watch them, and shows what it said beside what really happened. The victim
//! measures itself, so the truth rests on no profiler. The culprit shares the victim's CPU and
//! wants more than its half; the bystander is busier than both and harms nobody.
//!
//! Nothing stays behind: see [`cleanup`].

mod cast;
mod cgroups;
mod check;
mod cleanup;
mod load;
mod names;
mod places;
#[cfg(test)]
mod sample;
mod show;
#[cfg(test)]
mod tests;
mod truth;

pub use load::load;
pub use names::RoleNames;
pub use truth::{Actor, Phase, Truth};

use crate::own_cgroups;
use cast::{Launcher, Player, Watcher};
use cgroups::Folders;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::Judgement;
use nix::time::ClockId;
use places::Places;
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use truth::Tick;

/// What the demo is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// How long the victim is measured alone.
    pub alone: Duration,
    /// How long all run together, and are watched.
    pub together: Duration,
}

impl Default for DemoOptions {
    fn default() -> DemoOptions {
        DemoOptions {
            alone: Duration::from_secs(2),
            together: Duration::from_secs(5),
        }
    }
}

/// Why the demo could not be played.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No cgroup file system that accounts CPU time is mounted.
    #[error(
        "no cgroup hierarchy with CPU accounting is mounted (looked in /proc/self/mountinfo); mount one, as in: mount -t cgroup2 none /sys/fs/cgroup"
    )]
    NoHierarchy,
    /// A cgroup could not be made or joined.
    #[error(
        "cannot make or join the cgroup {path}; run as root (sudo dunnage demo), or in a cgroup that is yours (systemd-run --user --scope -p Delegate=yes dunnage demo)",
        path = path.display()
    )]
    Cgroup {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A child could not do its part.
    #[error("the {role} could not {step}")]
    Load {
        /// The role.
        role: String,
        /// What it tried.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// There is no such role.
    #[error("the demo has no role {0:?}")]
    Role(String),
    /// A file of `/proc` could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A child ended or stayed silent, so that there is no truth to compare with.
    #[error("the {0} ended or stayed silent before its time; is something here killing processes?")]
    Silent(&'static str),
    /// The user or the system asked to stop.
    #[error("interrupted; the demo's cgroups are removed")]
    Interrupted,
}

impl DemoError {
    fn load(role: &str, step: &'static str, source: io::Error) -> DemoError {
        DemoError::Load {
            role: role.to_owned(),
            step,
            source,
        }
    }
}

/// What Dunnage saw and said of the time when all ran together.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The window, charged.
    pub window: WindowUse,
    /// What was judged.
    pub judgement: Judgement,
}

/// One thing that Dunnage had to get right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// Whether it did.
    pub right: bool,
    /// What it said.
    pub said: String,
}

impl Check {
    fn new(what: &'static str, right: bool, said: impl Into<String>) -> Check {
        Check {
            what,
            right,
            said: said.into(),
        }
    }
}

/// How the demo came out.
#[derive(Clone, Debug)]
pub struct DemoOutcome {
    /// Whether Dunnage was right in everything.
    pub right: bool,
    /// In what, one by one.
    pub checks: Vec<Check>,
    /// What really happened.
    pub truth: Truth,
    /// What Dunnage saw and said.
    pub seen: Seen,
    /// The cgroup path of the demo's folder.
    pub folder: String,
}

/// Plays the demo and writes its page to `out`.
///
/// `observe` is called once: it watches the host for the given time and judges, with the names of
/// the demo's cgroups from [`RoleNames`] for the folder it is handed. `stopped` is asked often and
/// ends the demo early. The caller's thread must live until this returns.
///
/// # Errors
/// Where the cgroups cannot be made, a child fails, `observe` does, or the demo is interrupted.
pub fn play(
    options: &DemoOptions,
    stopped: &dyn Fn() -> bool,
    observe: &mut dyn FnMut(&str, Duration) -> anyhow::Result<Seen>,
    out: &mut dyn Write,
) -> anyhow::Result<DemoOutcome> {
    play_with(&cast::own_program, options, stopped, observe, out)
}

fn play_with(
    launcher: &Launcher,
    options: &DemoOptions,
    stopped: &dyn Fn() -> bool,
    observe: &mut dyn FnMut(&str, Duration) -> anyhow::Result<Seen>,
    out: &mut dyn Write,
) -> anyhow::Result<DemoOutcome> {
    let places = places::find()?;
    let mut stage = Stage::set(launcher)?;
    let folder = stage.folders.path.clone();
    show::opening(out, &folder, places)?;

    // The loads end by themselves soon after the demo should have, whatever happens to it.
    let limit = (options.alone + options.together).as_secs() + 30;
    stage.enter(launcher, "victim", places.stage, limit)?;
    let ticks = stage.players[0].ticks();
    thread::sleep(SETTLE);
    show::step(
        out,
        &format!(
            "The victim alone, for {:.1} s ...",
            options.alone.as_secs_f64()
        ),
    )?;
    let opened = monotonic();
    pause(options.alone, stopped)?;
    let alone = (opened, monotonic());

    stage.enter(launcher, "culprit", places.stage, limit)?;
    if let Some(cpu) = places.aside {
        stage.enter(launcher, "bystander", cpu, limit)?;
    }
    thread::sleep(SETTLE);
    show::step(
        out,
        &format!(
            "All together, for {:.1} s ...",
            options.together.as_secs_f64()
        ),
    )?;
    let before = stage.cpu_use()?;
    let opened = monotonic();
    let seen = observe(&folder, options.together)?;
    let after = stage.cpu_use()?;
    let watched = (opened, monotonic());
    let beside = window_within(watched, &seen.window);
    pause(LAST_REPORT, stopped)?;
    drop(stage);

    let clocks = Clocks {
        before,
        after,
        seconds: truth::seconds(watched.1 - watched.0),
    };
    let truth = measured(&ticks.all(), [alone, beside], places, &clocks)?;
    let checks = check::checks(&truth, &seen, &folder);
    let right = checks.iter().all(|check| check.right);
    let outcome = DemoOutcome {
        right,
        checks,
        truth,
        seen,
        folder,
    };
    show::result(out, &outcome)?;
    Ok(outcome)
}

/// The part of the span `watched` that was judged: names are waited for after the window's end.
/// All in `CLOCK_MONOTONIC`, nanoseconds.
fn window_within(watched: (u64, u64), window: &WindowUse) -> (u64, u64) {
    let since_boot = load::now(ClockId::CLOCK_REALTIME).saturating_sub(monotonic());
    let start = window
        .start_unix
        .0
        .saturating_sub(since_boot)
        .clamp(watched.0, watched.1);
    (start, start.saturating_add(window.length.0).min(watched.1))
}

/// What each role had used, in nanoseconds, at both ends of a time.
struct Clocks {
    before: Vec<(&'static str, u64)>,
    after: Vec<(&'static str, u64)>,
    seconds: f64,
}

impl Clocks {
    fn used(&self, role: &str) -> f64 {
        let at = |clocks: &[(&'static str, u64)]| {
            clocks
                .iter()
                .find(|(name, _)| *name == role)
                .map_or(0, |(_, nanos)| *nanos)
        };
        truth::seconds(at(&self.after).saturating_sub(at(&self.before)))
    }
}

/// The truth out of the victim's reports in the two spans (`CLOCK_MONOTONIC`, nanoseconds) and the
/// clocks of the others.
fn measured(
    ticks: &[Tick],
    spans: [(u64, u64); 2],
    places: Places,
    clocks: &Clocks,
) -> Result<Truth, DemoError> {
    let [alone, beside] = spans
        .map(|(start, end)| truth::phase(ticks, start, end).ok_or(DemoError::Silent("victim")));
    let actor = |name: &'static str, cpu: usize| Actor {
        name,
        cpu,
        seconds: clocks.seconds,
        cpu_seconds: clocks.used(name),
    };
    let culprit = actor("culprit", places.stage);
    Ok(Truth {
        victim_cpu: places.stage,
        alone: alone?,
        beside: beside?,
        disturbed: culprit.share() < CULPRITS_PART,
        culprit,
        bystander: places.aside.map(|cpu| actor("bystander", cpu)),
    })
}

/// The culprit wants all that the victim leaves it, eight tenths of their CPU. Where it came to
/// less than this, others took more than a tenth of it.
const CULPRITS_PART: f64 = 0.7;
/// How long a load is given to start and find its pace.
const SETTLE: Duration = Duration::from_millis(300);
/// The victim reports this often; the last report of a window comes after the window's end.
const LAST_REPORT: Duration = Duration::from_millis(400);

fn monotonic() -> u64 {
    load::now(ClockId::CLOCK_MONOTONIC)
}

/// Sleeps, and wakes early where the demo is to stop.
fn pause(length: Duration, stopped: &dyn Fn() -> bool) -> Result<(), DemoError> {
    const STEP: Duration = Duration::from_millis(50);
    let end = Instant::now() + length;
    loop {
        if stopped() {
            return Err(DemoError::Interrupted);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(STEP));
    }
}

/// The cgroups and the children. Fields are dropped in this order: first the children end, then
/// their cgroups go, then the watcher is let go.
struct Stage {
    players: Vec<Player>,
    folders: Folders,
    #[expect(dead_code, reason = "held for its end: dropping it ends the watcher")]
    watcher: Watcher,
}

impl Stage {
    /// Clears what dead demos left, starts the watcher, and makes the cgroups.
    fn set(launcher: &Launcher) -> Result<Stage, DemoError> {
        let read =
            |path| fs::read_to_string(path).map_err(|source| DemoError::Read { path, source });
        let hierarchies = own_cgroups::hierarchies(
            &read("/proc/self/mountinfo")?,
            &read("/proc/self/cgroup")?,
            &cgroups::MATTER,
        );
        cleanup::remove_stale(&hierarchies);
        let mut watcher = Watcher::start(launcher)?;
        let folders = Folders::make(&hierarchies, std::process::id(), &mut |traces| {
            watcher.tell(traces)
        })?;
        Ok(Stage {
            players: Vec::new(),
            folders,
            watcher,
        })
    }

    fn enter(
        &mut self,
        launcher: &Launcher,
        role: &'static str,
        cpu: usize,
        seconds: u64,
    ) -> Result<(), DemoError> {
        self.players
            .push(Player::start(launcher, &self.folders, role, cpu, seconds)?);
        Ok(())
    }

    /// What each role used so far, in nanoseconds.
    fn cpu_use(&mut self) -> Result<Vec<(&'static str, u64)>, DemoError> {
        let clock = |player: &mut Player| {
            let running = player.is_running();
            let nanos = player.cpu_nanos().filter(|_| running);
            nanos
                .map(|n| (player.role(), n))
                .ok_or(DemoError::Silent(player.role()))
        };
        self.players.iter_mut().map(clock).collect()
    }
}
