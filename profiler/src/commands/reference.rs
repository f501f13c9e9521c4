//! Completion scripts and manual pages, out of the command line's own description.

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;
use std::fs;
use std::io::{Write, stdout};
use std::process::ExitCode;

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    // Through a buffer: the generator panics where its output is closed, as by `head`.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dunnage", &mut script);
    stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
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
