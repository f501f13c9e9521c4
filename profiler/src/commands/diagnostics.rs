//! Standard error: what the operator is told beside the answer.

use super::is_dashboard;
use crate::cli::{Cli, When};
use dunnage_profiler::sinks::Colour;
use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

pub(crate) use dunnage_device_plugin::commands::{Gaps, say};

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
