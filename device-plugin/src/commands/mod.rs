//! What each command of `devices` does: a file a command, and what they share.

pub mod bundle;
pub mod cdi;
pub mod check;
pub mod compose;
pub mod docker;
mod given;
mod list;
pub mod nomad;
mod output;
mod party;
pub mod plugin;
pub mod runtime;
pub mod swarm;

use crate::cli::{DevicesArgs, DevicesCommand};
use dunnage_host::HostRoot;
use dunnage_inventory::Config;
use dunnage_model::document::PartyDocument;
use std::path::Path;
use std::process::ExitCode;

pub use output::{CANNOT_WRITE, Gaps, is_broken_pipe, parse, print_text, say, told};

/// Says who owns a cgroup. The big program asks its engines; see [`Context::parties`].
pub trait NameParty {
    /// The party of the cgroup at `path` (as the host's `/proc/PID/cgroup` shows it); `None` where
    /// nobody knows.
    fn party(&self, path: &str) -> Option<PartyDocument>;
}

/// What every command gets.
pub struct Context {
    /// The host that is looked at.
    pub host: HostRoot,
    /// Whether programs read the answer.
    pub json: bool,
    /// Rules for further devices, and how devices are shared.
    pub config: Config,
    /// Who names the users of devices; without it they show by the id on their cgroup's path.
    pub parties: Option<Box<dyn NameParty>>,
}

impl Context {
    /// The context of `args`.
    ///
    /// # Errors
    /// Where there is no such host, or the configuration cannot be read or understood.
    pub fn new(host: HostRoot, json: bool, args: &DevicesArgs) -> anyhow::Result<Context> {
        host.check()?;
        Ok(Context {
            host,
            json,
            config: configuration(args.config.as_deref())?,
            parties: None,
        })
    }
}

/// Runs the command that `args` ask for.
///
/// # Errors
/// Where it could not be done; the text is for an operator.
pub fn run(context: &Context, args: &DevicesArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        None | Some(DevicesCommand::List) => list::run(context),
        Some(DevicesCommand::Cdi(args)) => cdi::run(context, args),
        Some(DevicesCommand::Check(args)) => check::run(context, args),
        Some(DevicesCommand::Docker(args)) => docker::run(context, args),
        Some(DevicesCommand::Compose(args)) => compose::run(context, args),
        Some(DevicesCommand::Swarm(swarm)) => swarm::run(context, swarm, args.config.as_deref()),
        Some(DevicesCommand::Nomad(args)) => nomad::run(context, args),
        Some(DevicesCommand::Bundle(args)) => bundle::run(context, args),
        Some(DevicesCommand::Runtime(args)) => runtime::run(context, args),
        Some(DevicesCommand::Plugin(args)) => plugin::run(context, args),
    }
}

fn configuration(path: Option<&Path>) -> anyhow::Result<Config> {
    path.map_or_else(|| Ok(Config::default()), |path| Ok(Config::load(path)?))
}
