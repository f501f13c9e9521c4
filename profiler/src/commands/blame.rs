//! `dunnage blame`: who harms whom.

use super::output::{local_time, nanos, page, print_json, print_text, say_interrupted};
use super::session::{Judged, Session};
use super::victim::Victims;
use crate::cli::{BlameArgs, Global};
use dunnage_model::document::{BlameDocument, PartyDocument};
use dunnage_model::verdict::{Cause, Judgement};
use dunnage_profiler::sinks::text;
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::stop::Stop;
use dunnage_profiler::verdict::History;
use std::process::ExitCode;
use std::time::Duration;

/// Exit code with `--exit-code` where a neighbour or the host harms somebody.
const HARM: u8 = 3;
/// A first look at who is there, so that a wrong name is told at once and not after the window.
const FIRST_LOOK: Duration = Duration::from_millis(100);
/// Limits decide what a verdict says, pressure takes the place of eBPF where there is none; the rest is for `ps`.
const WANT: Want = Want {
    cpu_modes: false,
    memory: false,
    shortage: true,
    io: false,
    io_limits: true,
    pressure: true,
    processes: false,
    network: false,
    forks: true,
};

/// What is left to read where the scheduler's events are counted.
const NARROW: Want = Want {
    forks: true,
    shortage: true,
    io_limits: true,
    ..Want::cpu()
};

pub(super) fn run(global: &Global, args: &BlameArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let mut session = Session::open(global, WANT, true)?;
    session.say_notices();
    session.narrow_if_exact(NARROW);
    let victims = args.victim.as_deref().map(Victims::new);
    if let Some(victims) = &victims {
        let seen = session.watch(FIRST_LOOK, &stop).window;
        victims.check(&seen, &|name| session.kept(name))?;
    }
    let mut harm = false;
    let mut history = History::default();
    loop {
        let mut judged = session.watch(args.window(), &stop);
        session.say_gaps(&judged.window);
        if let Some(victims) = &victims {
            judged
                .judgement
                .verdicts
                .retain(|verdict| victims.mean(&PartyDocument::from(&*verdict.victim)));
        }
        if args.watch {
            history.note(&mut judged.judgement);
        }
        harm |= is_harmful(&judged.judgement);
        if stop.is_raised() && !args.watch {
            say_interrupted(judged.window.length, args.window());
        }
        print(global, args, &judged, victims.as_ref())?;
        if !args.watch || stop.is_raised() {
            let code = if args.exit_code && harm { HARM } else { 0 };
            return Ok(ExitCode::from(code));
        }
    }
}

/// Whether a neighbour or the host harms somebody; what a party does to itself, or the hypervisor to
/// all, is not theirs.
fn is_harmful(judgement: &Judgement) -> bool {
    judgement
        .verdicts
        .iter()
        .any(|verdict| matches!(verdict.cause, Cause::Neighbour | Cause::Host))
}

fn print(
    global: &Global,
    args: &BlameArgs,
    judged: &Judged,
    victims: Option<&Victims>,
) -> anyhow::Result<()> {
    let Judged {
        window,
        judgement,
        coverage,
    } = judged;
    if global.json {
        let requested = nanos(args.window());
        let mut document = BlameDocument::from_parts(window, judgement, coverage, requested);
        if let Some(victims) = victims {
            document.retain_victims(|party| victims.mean(party));
        }
        return print_json(&document, args.watch);
    }
    let verdicts = text::verdicts(window, judgement, coverage, &page(global));
    if args.watch {
        print_text(&format!("{}\n{verdicts}\n", local_time(window.start_unix)))
    } else {
        print_text(&verdicts)
    }
}
