//! `dunnage top`: the dashboard over the live host.

use super::session::Session;
use super::wrong_usage;
use crate::cli::Global;
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::stop::Stop;
use dunnage_profiler::verdict::History;
use dunnage_tui::{Feed, Tick};
use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// How often the dashboard gets a new window.
const WINDOW: Duration = Duration::from_secs(1);

pub(super) fn run(global: &Global) -> anyhow::Result<ExitCode> {
    if global.json {
        return Err(wrong_usage(
            "the dashboard has no JSON; use ps --json or blame --json, with --watch",
        ));
    }
    if !stdout().is_terminal() {
        anyhow::bail!(
            "the dashboard needs a terminal on standard output; use dunnage ps or dunnage blame"
        );
    }
    // Said before the dashboard takes the terminal, and seen again after it.
    let mut session = Session::open(global, Want::all(), true)?;
    session.say_notices();
    let mut feed = LiveFeed::start(session);
    dunnage_tui::run(&mut feed)?;
    Ok(ExitCode::SUCCESS)
}

/// Windows of the live host, made on a thread of their own so that keys are answered at once.
struct LiveFeed {
    ticks: Receiver<Tick>,
    stop: Stop,
}

impl LiveFeed {
    fn start(mut session: Session) -> LiveFeed {
        let stop = Stop::new();
        let raised = stop.clone();
        let (sender, ticks) = sync_channel(1);
        // Not joined: it ends with its window once the stop is raised, at the latest with the process.
        thread::spawn(move || watch(&mut session, &raised, &sender));
        LiveFeed { ticks, stop }
    }
}

fn watch(session: &mut Session, stop: &Stop, ticks: &SyncSender<Tick>) {
    let mut history = History::default();
    while !stop.is_raised() {
        let mut judged = session.watch(WINDOW, stop);
        history.note(&mut judged.judgement);
        let tick = Tick {
            window: judged.window,
            judgement: judged.judgement,
            coverage: judged.coverage,
        };
        match ticks.try_send(tick) {
            // A dashboard that is behind gets the next window, not all that it missed.
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => return,
        }
    }
}

impl Feed for LiveFeed {
    fn next(&mut self, wait: Duration) -> Option<Tick> {
        match self.ticks.recv_timeout(wait) {
            Ok(tick) => Some(tick),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                // The thread is gone: the wait must still take its time, or the caller would spin.
                thread::sleep(wait);
                None
            }
        }
    }
}

impl Drop for LiveFeed {
    fn drop(&mut self) {
        self.stop.raise();
    }
}
