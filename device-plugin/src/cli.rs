//! The command line of `devices`: data only.
//!
//! [`DevicesArgs`] is what stands behind `dunnage devices` and is all of `dunnage-devices`. What both
//! programs take everywhere (`--host-root`, `--json`) is theirs, and reaches the commands by the
//! [`Context`](crate::commands::Context).

use crate::commands::cdi::CdiArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What `dunnage devices` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct DevicesArgs {
    /// What to do; without it the list is shown.
    #[command(subcommand)]
    pub command: Option<DevicesCommand>,

    /// Rules for further devices, and how devices are shared: a TOML file [default: none]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The commands of `devices`.
#[derive(Clone, Debug, Subcommand)]
pub enum DevicesCommand {
    /// Show the accelerators: health, place, driver, who uses them [default]
    List,
    /// Write CDI specifications, by which engines give devices to containers
    Cdi(CdiArgs),
}
