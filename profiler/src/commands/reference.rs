//! Completion scripts and manual pages, out of the command line's own description.

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::fs;
use std::io::{Write, stdout};
use std::process::ExitCode;

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    // Through a buffer: the generator panics where its output is closed, as by `head`.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut offered(), "dunnage", &mut script);
    stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The command line without what is hidden, which the generator would offer all the same.
fn offered() -> Command {
    let cli = Cli::command();
    let commands = cli
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    Command::new("dunnage")
        .version(env!("CARGO_PKG_VERSION"))
        .args(cli.get_arguments())
        .subcommands(commands)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    match &args.output {
        Some(folder) => {
            let tried = || format!("cannot write manual pages into {}", folder.display());
            fs::create_dir_all(folder).with_context(tried)?;
            clap_mangen::generate_to(Cli::command(), folder).with_context(tried)?;
        }
        None => {
            let mut page = Vec::new();
            Man::new(Cli::command()).render(&mut page)?;
            stdout().write_all(&page)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap_complete::Shell;

    #[test]
    fn hidden_commands_are_not_offered() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut offered(), "dunnage", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(
                script.contains("doctor") && script.contains("host-root"),
                "{shell}"
            );
            assert!(!script.contains("demo-load"), "{shell}");
        }
    }
}
