//! The command line of `devices`: data only.
//!
//! [`DevicesArgs`] is what stands behind `dunnage devices` and is all of `dunnage-devices`. What both
//! programs take everywhere (`--host-root`, `--json`) is theirs, and reaches the commands by the
//! [`Context`](crate::commands::Context).

use crate::commands::bundle::BundleArgs;
use crate::commands::cdi::CdiArgs;
use crate::commands::check::CheckArgs;
use crate::commands::compose::ComposeArgs;
use crate::commands::docker::DockerArgs;
use crate::commands::nomad::NomadArgs;
use crate::commands::plugin::PluginArgs;
use crate::commands::runtime::RuntimeArgs;
use crate::commands::swarm::SwarmArgs;
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
    /// Say whether an image can work with this host, before anything starts
    Check(CheckArgs),
    /// Show the options of docker run, podman run and ctr run that give devices
    Docker(DockerArgs),
    /// Show what to paste into a compose file
    Compose(ComposeArgs),
    /// Show the part of Docker's daemon.json by which Swarm counts and gives devices
    Swarm(SwarmArgs),
    /// Show the part of a Nomad task that gives devices
    Nomad(NomadArgs),
    /// Give devices to an OCI bundle, for runc and crun
    Bundle(BundleArgs),
    /// Stand in front of an engine's OCI runtime and give containers what they ask for
    Runtime(RuntimeArgs),
    /// Serve the kubelet: a device plugin that is back when the kubelet is
    Plugin(PluginArgs),
}
