//! `dunnage run`: a command, and whether its result can be trusted.

use super::diagnostics::{colour, say};
use super::session::{Judged, Session};
use super::wrong_usage;
use crate::cli::{Global, RunArgs, RunChildArgs};
use anyhow::Context;
use dunnage_device_plugin::commands::told;
use dunnage_model::document::RunDocument;
use dunnage_model::escape::escaped;
use dunnage_model::gap::Gap;
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::run::{RunEnd, RunReport, Trust};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_profiler::clock;
use dunnage_profiler::disturbance::Tally;
use dunnage_profiler::parties::PartyLookup;
use dunnage_profiler::run::{
    Extras, Follower, Frequency, RunCgroups, RunCommand, RunError, RunSignals, become_command,
};
use dunnage_profiler::sinks::json::{self, Layout};
use dunnage_profiler::sinks::text::{self, Page};
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::stop::Stop;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Write, stderr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Exit code where the command succeeded and was disturbed (`EX_TEMPFAIL` of sysexits.h: try again).
const DISTURBED: u8 = 75;
/// What is called clean where the operator says nothing: benchmarks that repeat to 2 % are good ones.
const BOUND: f64 = 0.02;
/// A long run is judged in windows of this length: a burst in a minute is no load over the hour.
const WINDOW: Duration = Duration::from_secs(5);
/// The command's own cgroup is read at each window's end, so that all that it tells is worth having.
const WANT: Want = Want {
    cpu_modes: true,
    memory: true,
    shortage: true,
    io: true,
    io_limits: true,
    pressure: true,
    processes: false,
    network: false,
    forks: true,
};

pub(super) fn run(global: &Global, args: &RunArgs) -> anyhow::Result<ExitCode> {
    if global.json && args.file.is_none() {
        return Err(wrong_usage(
            "dunnage run --json needs a FILE: standard output is the command's",
        ));
    }
    let signals = RunSignals::hold()?;
    // Told before the command has run for an hour.
    let file = args.file.as_deref().map(create).transpose()?;
    let mut watch = Watch::open(global, &args.command)?;
    let end = watch.run(signals)?;
    let Some(report) = watch.report() else {
        return Ok(ExitCode::from(end.code()));
    };
    let bound = args.max_disturbance.unwrap_or(BOUND);
    let page = Page::of_stderr(colour(global.color));
    // Where standard error is gone nobody reads it; the command's exit code still counts.
    let _ = stderr().write_all(text::run(&report, bound, &page).as_bytes());
    if let (Some(mut file), Some(path)) = (file, &args.file) {
        let document = RunDocument::new(&report, bound);
        let written = json::write(&mut file, &document, Layout::Indented)
            .with_context(|| format!("cannot write the report to {}", path.display()));
        match written {
            // How the command failed says more than that the report is missing.
            Err(error) if end.code() != 0 => say(&told(&error)),
            written => written?,
        }
    }
    let over = args.max_disturbance.is_some() && report.trust(bound) == Trust::Disturbed;
    Ok(ExitCode::from(match end {
        RunEnd::Exited(0) if over => DISTURBED,
        _ => end.code(),
    }))
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot make the report's file {}", path.display()))
}

/// A command under watch. Fields are dropped in this order: a command that was never let go ends,
/// then its cgroup goes.
struct Watch {
    words: Vec<OsString>,
    command: RunCommand,
    cgroups: Option<RunCgroups>,
    /// Where the command's cgroup was.
    cgroup: Option<String>,
    session: Session,
    tally: Tally,
    frequency: Frequency,
    gaps: Vec<Gap>,
    start_unix: Nanos,
    length: Nanos,
    left: Vec<String>,
    end: RunEnd,
    never_ran: bool,
}

impl Watch {
    /// Makes the cgroup, opens the sources, and has the command's process wait in its cgroup.
    fn open(global: &Global, words: &[OsString]) -> anyhow::Result<Watch> {
        let mut gaps = Vec::new();
        let mut lacks = |error: RunError| {
            let why = told(&error.into());
            say(&format!("no cgroup for the command: {why}"));
            gaps.push(Gap::new("cgroup of its own", why));
        };
        let mut cgroups = RunCgroups::make().map_err(&mut lacks).ok();
        let mut session = Session::open(global, WANT, true)?;
        session.say_notices();
        let command = RunCommand::start(words)?;
        if let Some(Err(error)) = cgroups.as_ref().map(|own| own.join(command.pid())) {
            lacks(error);
            cgroups = None;
        }
        let path = cgroups.as_ref().and_then(|own| own.paths().first());
        // No party has an empty key: without a cgroup there is none to add up for.
        let key = path.map_or("", String::as_str);
        Ok(Watch {
            words: words.to_vec(),
            tally: Tally::new(key.into()),
            frequency: Frequency::find(),
            command,
            cgroups,
            cgroup: None,
            end: RunEnd::Exited(0),
            session,
            gaps,
            start_unix: Nanos::ZERO,
            length: Nanos::ZERO,
            left: Vec::new(),
            never_ran: false,
        })
    }

    /// Lets the command go and watches it until it has ended.
    fn run(&mut self, signals: RunSignals) -> anyhow::Result<RunEnd> {
        let pid = self.command.pid();
        let extras = Extras::begin(pid);
        let seen_by_events = self.session.is_exact() && self.cgroups.is_some();
        let follower = (!seen_by_events).then(|| Follower::begin(pid));
        let forwarding = signals.forward(pid);
        let stop = Stop::new();
        let ended = stop.clone();
        let waiter = thread::spawn(move || {
            RunCommand::wait_for_end(pid);
            let at = clock::monotonic();
            ended.raise();
            at
        });
        self.session.begin();
        (self.start_unix, self.length) = (clock::realtime(), Nanos::ZERO);
        let begun = clock::monotonic();
        self.command.go()?;
        loop {
            self.frequency.look();
            self.window(&stop);
            if stop.is_raised() {
                break;
            }
        }
        self.frequency.look();
        let at = waiter.join().unwrap_or_else(|_| clock::monotonic());
        self.length = at.since(begun);
        self.never_ran = self.command.never_ran();
        if let Some(follower) = follower {
            self.tally.correct_waits(follower.end());
        }
        drop(forwarding);
        let end = self.command.reap()?;
        self.note(&extras);
        if let Some(own) = self.cgroups.take() {
            self.left = own.left();
            self.cgroup = own.paths().first().cloned();
        }
        self.end = end;
        Ok(end)
    }

    fn window(&mut self, stop: &Stop) {
        let program = self.program();
        let paths = self.cgroups.as_ref().map_or(&[][..], RunCgroups::paths);
        let judged = self.session.watch_run(paths, &program, WINDOW, stop);
        let Judged {
            window,
            judgement,
            coverage,
        } = &judged;
        self.tally.add(window, judgement, coverage);
    }

    /// What the command is called.
    fn program(&self) -> String {
        let program = self.words.first().map(Path::new);
        let name = program.and_then(Path::file_name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Adds what no window tells.
    fn note(&mut self, extras: &Extras) {
        let switches = extras.switches();
        let tally = &mut self.tally;
        if self.cgroups.is_none() {
            tally.ran = Nanos(switches.ran);
        }
        let seen = &mut tally.circumstances;
        seen.voluntary_switches = Some(switches.voluntary);
        seen.involuntary_switches = Some(switches.involuntary);
        seen.major_faults.get_or_insert(switches.major_faults);
        let read = Bytes(switches.blocks_read.saturating_mul(512));
        seen.read_from_disk.get_or_insert(read);
        seen.frequency = self.frequency.range();
        match extras.migrations() {
            Ok(migrations) => seen.migrations = Some(migrations),
            Err(why) => self.gaps.push(Gap::new("migrations", why)),
        }
    }

    /// What came of it; `None` where the command never ran.
    fn report(self) -> Option<RunReport> {
        if self.never_ran {
            return None;
        }
        let Watch {
            session,
            mut tally,
            words,
            mut gaps,
            ..
        } = self;
        gaps.append(&mut tally.gaps);
        let names = session.settled_names();
        // Engines may have told a name since.
        let named = |party: &Arc<Party>| match party.cgroup.as_deref() {
            Some(path) if party.kind == PartyKind::Container => names.of_cgroup(path),
            _ => party.clone(),
        };
        let (ran, windows) = (tally.ran, tally.windows);
        let (coverage, circumstances) = (tally.coverage.clone(), tally.circumstances);
        let (losses, verdicts) = tally.close(self.length, &named);
        Some(RunReport {
            command: words
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            host: session.host().clone(),
            start_unix: self.start_unix,
            length: self.length,
            windows,
            end: self.end,
            cgroup: self.cgroup,
            ran,
            losses,
            coverage,
            verdicts,
            circumstances,
            left: self.left,
            gaps,
        })
    }
}

/// The hidden command that becomes the operator's.
pub(super) fn child(args: &RunChildArgs) -> ExitCode {
    let (code, error) = become_command(args.parent, &args.command);
    let program = args.command.first().map(|word| word.to_string_lossy());
    say(&format!(
        "cannot run {}: {error}",
        escaped(&program.unwrap_or_default())
    ));
    ExitCode::from(code)
}
