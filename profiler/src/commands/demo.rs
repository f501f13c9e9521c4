//! `dunnage demo`: a verdict beside the truth, with no container at hand.

use super::output::{nanos, print_json};
use super::session::Session;
use crate::cli::{DemoArgs, DemoLoadArgs, Global};
use dunnage_model::document::BlameDocument;
use dunnage_model::verdict::{Coverage, Resource};
use dunnage_profiler::demo::{self, Check, DemoOptions, DemoOutcome, Seen, Truth};
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::stop::Stop;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{Write, sink, stdout};
use std::process::ExitCode;
use std::time::Duration;

/// Exit code where Dunnage was wrong.
const WRONG: u8 = 1;

/// `dunnage.demo/1`.
#[derive(Serialize)]
struct DemoDocument<'a> {
    schema: &'static str,
    /// Whether Dunnage was right in everything.
    right: bool,
    /// In what, one by one.
    checks: &'a [Check],
    /// What really happened.
    truth: &'a Truth,
    /// What Dunnage said.
    blame: BlameDocument,
}

pub(super) fn run(global: &Global, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let mut session = Session::open(global, Want::all(), false)?;
    session.say_notices();
    let options = DemoOptions {
        together: args.length,
        ..DemoOptions::default()
    };
    let mut coverage = BTreeMap::new();
    let mut observe = |folder: &str, length: Duration| {
        let judged = session.watch_demo(folder, length, &stop);
        session.say_gaps(&judged.window);
        coverage = judged.coverage;
        Ok(Seen {
            window: judged.window,
            judgement: judged.judgement,
        })
    };
    // The demo tells its story as it goes; a program wants one document at the end.
    let mut out: Box<dyn Write> = if global.json {
        Box::new(sink())
    } else {
        Box::new(stdout())
    };
    let outcome = demo::play(&options, &|| stop.is_raised(), &mut observe, &mut *out)?;
    if global.json {
        print_document(&outcome, &coverage, args.length)?;
    }
    Ok(ExitCode::from(if outcome.right { 0 } else { WRONG }))
}

fn print_document(
    outcome: &DemoOutcome,
    coverage: &BTreeMap<Resource, Coverage>,
    requested: Duration,
) -> anyhow::Result<()> {
    let Seen { window, judgement } = &outcome.seen;
    let document = DemoDocument {
        schema: "dunnage.demo/1",
        right: outcome.right,
        checks: &outcome.checks,
        truth: &outcome.truth,
        blame: BlameDocument::from_parts(window, judgement, coverage, nanos(requested)),
    };
    print_json(&document, false)
}

/// One role of the demo, in a process of its own.
pub(super) fn load(args: &DemoLoadArgs) -> anyhow::Result<ExitCode> {
    demo::load(&args.role, args.seconds)?;
    Ok(ExitCode::SUCCESS)
}
