//! The `dunnage` command: parse, wire, run, exit code.

#![forbid(unsafe_code)]

mod cli;
mod commands;

use clap::Parser;
use std::io;
use std::process::ExitCode;

/// The process-wide answer to "it could not".
const FAILED: u8 = 1;
/// What clap itself exits with.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    // NVML may hang or crash: it is asked by a second process of this program.
    if let Some(code) = dunnage_inventory::families::nvidia::serve_nvml_probe_if_asked() {
        return code;
    }
    let cli = cli::Cli::parse();
    commands::diagnostics::start(&cli);
    match commands::run(&cli) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<clap::Error>() {
            Some(usage) => {
                // Where standard error is gone too there is nobody left to tell.
                let _ = usage.print();
                ExitCode::from(WRONG_USAGE)
            }
            None => {
                commands::diagnostics::say(&told(&error));
                ExitCode::from(FAILED)
            }
        },
    }
}

/// The error with its causes; a cause that the message before it already tells is not told again.
fn told(error: &anyhow::Error) -> String {
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
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_pipe))
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
