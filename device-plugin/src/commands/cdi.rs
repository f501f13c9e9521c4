//! `devices cdi`: CDI specifications, written once or kept fresh.

use super::Context;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `devices cdi` takes.
#[derive(Clone, Debug, Args)]
pub struct CdiArgs {
    /// Write the specifications into DIR, a file a kind; `-` prints them
    /// [default: /var/run/cdi of the host]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Go on: write them again whenever a device or a driver changes
    #[arg(long)]
    pub watch: bool,
}

pub(super) fn run(_context: &Context, _args: &CdiArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
