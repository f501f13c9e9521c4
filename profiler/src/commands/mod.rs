//! What each command does: a file a command, and what they share.

mod blame;
mod demo;
mod devices;
pub(crate) mod diagnostics;
mod doctor;
mod output;
mod ps;
mod reference;
mod run;
mod session;
mod top;
mod victim;
mod why;

use crate::cli::{Cli, Command, Global, PsArgs};
use clap::{CommandFactory, error::ErrorKind};
use std::io::{IsTerminal, stdin, stdout};
use std::process::ExitCode;
use std::time::Duration;

/// Runs the command that `cli` asks for.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        None => default(global),
        Some(Command::Top) => top::run(global),
        Some(Command::Ps(args)) => ps::run(global, args),
        Some(Command::Blame(args)) => blame::run(global, args),
        Some(Command::Why(args)) => why::run(global, args),
        Some(Command::Run(args)) => run::run(global, args),
        Some(Command::Demo(args)) => demo::run(global, args),
        Some(Command::Devices(args)) => devices::run(global, args),
        Some(Command::Doctor) => doctor::run(global),
        Some(Command::Completions(args)) => reference::completions(args),
        Some(Command::Man(args)) => reference::man(args),
        Some(Command::RunChild(args)) => Ok(run::child(args)),
        Some(Command::DemoLoad(args)) => demo::load(args),
    }
}

/// The dashboard where there is somebody to look at it, else one `dunnage ps`.
fn default(global: &Global) -> anyhow::Result<ExitCode> {
    if wants_dashboard(global) {
        return top::run(global);
    }
    ps::run(
        global,
        &PsArgs {
            length: Duration::from_secs(1),
            watch: false,
        },
    )
}

fn wants_dashboard(global: &Global) -> bool {
    !global.json && stdin().is_terminal() && stdout().is_terminal()
}

/// Whether the terminal will belong to the dashboard.
pub(crate) fn is_dashboard(cli: &Cli) -> bool {
    match cli.command {
        Some(Command::Top) => true,
        None => wants_dashboard(&cli.global),
        Some(_) => false,
    }
}

/// Wrong usage that only shows once the options are looked at together.
fn wrong_usage(message: &str) -> anyhow::Error {
    Cli::command()
        .error(ErrorKind::ArgumentConflict, message)
        .into()
}
