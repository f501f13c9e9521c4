//! `dunnage why`: what limits one container.

use super::output::{nanos, page, print_json, print_text, say_interrupted};
use super::session::Session;
use super::victim::Victims;
use crate::cli::{Global, WhyArgs};
use anyhow::{Context, bail};
use dunnage_model::document::WhyDocument;
use dunnage_model::party::Party;
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::sinks::text;
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::sources::closeup::CloseReader;
use dunnage_profiler::stop::Stop;
use dunnage_profiler::verdict;
use std::process::ExitCode;
use std::time::Duration;

/// A first look at who is there, so that a wrong name is told at once and not after the window. It
/// need not see anybody run.
const FIRST_LOOK: Duration = Duration::from_millis(10);

pub(super) fn run(global: &Global, args: &WhyArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let mut session = Session::open(global, Want::all(), true)?;
    session.say_notices();
    let seen = session.watch(FIRST_LOOK, &stop).window;
    let party = Victims::new(&args.name).one(&seen, &|name| session.kept(name))?;
    let cgroup = cgroup(&party)?;
    let reader = CloseReader::open(&HostRoot::new(&global.host_root), cgroup)
        .with_context(|| format!("cannot read the limits of {:?}", args.name))?;
    let before = reader.read();
    let judged = session.watch(args.length, &stop);
    let close = reader.close(before);
    session.say_gaps(&judged.window);
    if stop.is_raised() {
        say_interrupted(judged.window.length, args.length);
    }
    let answer = verdict::why(
        &judged.window,
        &party.key,
        &judged.judgement,
        &judged.coverage,
        &close,
    );
    let Some(answer) = answer else {
        bail!("{:?} was gone before the window ended", args.name);
    };
    if global.json {
        let document = WhyDocument::from_parts(
            &judged.window,
            &answer,
            &judged.judgement,
            &judged.coverage,
            nanos(args.length),
        );
        print_json(&document, false)?;
    } else {
        print_text(&text::answers(&judged.window, &answer, &page(global)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The cgroup whose limits count.
fn cgroup(party: &Party) -> anyhow::Result<&str> {
    match party.cgroup.as_deref() {
        Some(cgroup) if cgroup != "/" => Ok(cgroup),
        _ => bail!(
            "{:?} has no cgroup of its own, so that nothing limits it alone; dunnage ps lists containers and services",
            party.name
        ),
    }
}
