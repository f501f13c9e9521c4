//! `devices swarm`: the part of Docker's daemon.json by which Swarm counts and gives devices.

use super::{Context, output};
use crate::engines::swarm;
use clap::Args;
use dunnage_inventory::scan;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// What `devices swarm` takes.
#[derive(Clone, Debug, Args)]
pub struct SwarmArgs {
    /// This program as the Docker daemon finds it
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/usr/local/bin/dunnage-devices"
    )]
    program: String,
}

pub(super) fn run(
    context: &Context,
    args: &SwarmArgs,
    config: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let inventory = scan(&context.host, &context.config);
    output::Gaps::default().say(&inventory.gaps);
    // The daemon starts the runtime in a folder of its own.
    let config = config.map(std::path::absolute).transpose()?;
    let daemon = swarm::daemon(&inventory, &args.program, config.as_deref());
    if context.json {
        let document = json!({"schema": "dunnage.devices.swarm/1", "daemon": daemon});
        output::print_json(&document, false)?;
    } else {
        let text = serde_json::to_string_pretty(&daemon)?;
        output::print_text(&format!("{text}\n"))?;
        output::say(
            "put this into /etc/docker/daemon.json of this node and restart the daemon, which takes \
             new resources at its start only; ask by `docker service create --generic-resource GPU=1`",
        );
    }
    Ok(ExitCode::SUCCESS)
}
