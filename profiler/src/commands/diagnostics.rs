//! Standard error: what the operator is told beside the answer.

use super::is_dashboard;
use crate::cli::{Cli, When};
use dunnage_model::gap::Gap;
use dunnage_profiler::sinks::{Colour, escaped};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write, stderr};
use tracing_subscriber::EnvFilter;

/// Sets up the diagnostics of all modules: warnings, and more with each `-v`. Other people's crates
/// stay at warnings.
pub(crate) fn start(cli: &Cli) {
    if is_dashboard(cli) && stderr().is_terminal() {
        // The dashboard has the whole terminal; a line in between would tear it.
        return;
    }
    let level = match cli.global.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::new(format!("warn,dunnage={level},dunnage_profiler={level}"));
    let colour = colour(cli.global.color).wanted(stderr().is_terminal());
    // A second start, which only tests could make, leaves the first in place.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(colour)
        .try_init();
}

/// The library's word for the option's.
pub(super) fn colour(when: When) -> Colour {
    match when {
        When::Auto => Colour::Auto,
        When::Always => Colour::Always,
        When::Never => Colour::Never,
    }
}

/// One line on standard error, with hostile text made visible.
pub(crate) fn say(line: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(stderr(), "dunnage: {}", escaped(line));
}

/// Says each gap once.
#[derive(Default)]
pub(super) struct Gaps {
    said: BTreeSet<String>,
}

/// More different gaps than this say nothing new; a host that makes them up could go on forever.
const MOST_GAPS: usize = 50;

impl Gaps {
    /// Says those of `gaps` that were not said before.
    pub(super) fn say(&mut self, gaps: &[Gap]) {
        for gap in gaps {
            let line = format!("{}: {}", gap.what, gap.why);
            if self.said.len() < MOST_GAPS && self.said.insert(line.clone()) {
                say(&line);
            }
        }
    }
}
