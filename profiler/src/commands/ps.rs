//! `dunnage ps`: what each party used.

use super::output::{local_time, nanos, page, print_json, print_text, say_interrupted};
use super::session::{Judged, Session};
use crate::cli::{Global, PsArgs};
use dunnage_model::document::PsDocument;
use dunnage_profiler::sinks::text;
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::stop::Stop;
use std::process::ExitCode;

pub(super) fn run(global: &Global, args: &PsArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let mut session = Session::open(global, Want::all(), false)?;
    session.say_notices();
    loop {
        let judged = session.watch(args.length, &stop);
        session.say_gaps(&judged.window);
        if stop.is_raised() && !args.watch {
            say_interrupted(judged.window.length, args.length);
        }
        print(global, args, &judged)?;
        if !args.watch || stop.is_raised() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn print(global: &Global, args: &PsArgs, judged: &Judged) -> anyhow::Result<()> {
    let window = &judged.window;
    if global.json {
        let document = PsDocument::from_parts(window, nanos(args.length));
        return print_json(&document, args.watch);
    }
    let table = text::usage(window, &page(global));
    if args.watch {
        print_text(&format!("{}\n{table}\n", local_time(window.start_unix)))
    } else {
        print_text(&table)
    }
}
