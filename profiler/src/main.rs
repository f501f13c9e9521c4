//! The `dunnage` command: parse, wire, run, exit code.

#![forbid(unsafe_code)]

mod cli;
mod commands;

use dunnage_device_plugin::commands::{is_broken_pipe, parse, told};
use dunnage_profiler::sys;
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
    sys::share_heap();
    let cli: cli::Cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
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
