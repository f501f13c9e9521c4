//! `devices nomad`: the part of a Nomad task for its docker driver.

use super::given::{Given, NEEDS_CDI};
use super::{Context, output};
use crate::engines::nomad;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// What `devices nomad` takes.
#[derive(Clone, Debug, Args)]
pub struct NomadArgs {
    #[command(flatten)]
    given: Given,
}

pub(super) fn run(context: &Context, args: &NomadArgs) -> anyhow::Result<ExitCode> {
    let wanted = args.given.wanted(context)?;
    let task = nomad::docker_task(&wanted);
    if context.json {
        output::print_json(
            &json!({"schema": "dunnage.devices.nomad/1", "task": task}),
            false,
        )?;
    } else {
        output::print_text(&format!(
            "# into a task with driver = \"docker\"; bind the job to this node by a constraint, because\n\
             # Nomad does not count these devices\n{}",
            task.unwrap_or_else(|| format!("{NEEDS_CDI}\n"))
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
