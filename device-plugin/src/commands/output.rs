//! Standard output and standard error.

use anyhow::Context as _;
use clap::Parser;
use dunnage_model::escape::{armoured_json, escaped};
use dunnage_model::gap::Gap;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;

/// What is said where standard output takes nothing.
pub const CANNOT_WRITE: &str = "cannot write to standard output";

/// One line on standard error, with hostile text made visible.
pub fn say(line: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(stderr(), "dunnage: {}", escaped(line));
}

/// The error with its causes; a cause that the message before it already tells is not told again.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Whether whoever read our output has read enough, as `head` has.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_pipe))
}

/// It could not do what was asked.
const FAILED: u8 = 1;
/// What clap itself exits with.
const WRONG_USAGE: u8 = 2;

/// The command line of this process.
///
/// # Errors
/// The exit code where nothing is left to do: the usage was wrong, or help was asked for, which is a
/// failure where it could not be written.
pub fn parse<P: Parser>() -> Result<P, ExitCode> {
    P::try_parse().map_err(|error| {
        let written = error.print().and_then(|()| stdout().flush());
        match written {
            _ if error.use_stderr() => ExitCode::from(WRONG_USAGE),
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                say(&format!("{CANNOT_WRITE}: {error}"));
                ExitCode::from(FAILED)
            }
            _ => ExitCode::SUCCESS,
        }
    })
}

/// Writes `text` to standard output, at once.
///
/// # Errors
/// Where it cannot be written to.
pub fn print_text(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context(CANNOT_WRITE)
}

/// Writes one document at once: one line, or indented where somebody looks at it and it is alone.
pub(super) fn print_json<D: Serialize>(document: &D, stream: bool) -> anyhow::Result<()> {
    let text = if !stream && stdout().is_terminal() {
        serde_json::to_string_pretty(document)
    } else {
        serde_json::to_string(document)
    };
    let text = text.context("cannot make the JSON document")?;
    print_text(&format!("{}\n", armoured_json(&text)))
}

/// Says each gap once.
#[derive(Default)]
pub struct Gaps(BTreeSet<String>);

/// More different gaps than this say nothing new; a host that makes them up could go on forever.
const MOST_GAPS: usize = 50;

impl Gaps {
    /// Says those of `gaps` that were not said before.
    pub fn say(&mut self, gaps: &[Gap]) {
        for gap in gaps {
            let line = format!("{}: {}", gap.what, gap.why);
            if self.0.len() < MOST_GAPS && self.0.insert(line.clone()) {
                say(&line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn causes_are_told_once() {
        let error = anyhow!("denied")
            .context("cannot open x: denied")
            .context("cannot start");
        assert_eq!(told(&error), "cannot start: cannot open x: denied");
    }

    #[test]
    fn a_closed_pipe_is_found_below_its_context() {
        let error = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&error.context("cannot write")));
    }
}
