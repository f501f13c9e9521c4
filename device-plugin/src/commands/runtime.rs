//! `devices runtime`: the OCI runtime in front of the real one. Engines call it as they call runc.

use super::Context;
use crate::offer::Options;
use crate::runtime::{self, Call};
use anyhow::Context as _;
use clap::Args;
use dunnage_inventory::scan;
use serde_json::json;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// What `devices runtime` takes.
#[derive(Clone, Debug, Args)]
pub struct RuntimeArgs {
    /// The real runtime: runc, crun, or anything with their command line
    #[arg(long, value_name = "PROGRAM", default_value = "runc")]
    runtime: PathBuf,

    /// What the real runtime is told, behind `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

pub(super) fn run(context: &Context, args: &RuntimeArgs) -> anyhow::Result<ExitCode> {
    let call = runtime::parse(&args.arguments);
    if call.makes_a_container()
        && let Err(error) = prepare(context, &call)
    {
        tell_engine(&call, &super::told(&error));
        return Err(error);
    }
    let error = Command::new(&args.runtime).args(&args.arguments).exec();
    let failed = anyhow::Error::new(error).context(format!(
        "start the real runtime {}: name it with --runtime",
        args.runtime.display()
    ));
    tell_engine(&call, &super::told(&failed));
    Err(failed)
}

fn prepare(context: &Context, call: &Call) -> anyhow::Result<()> {
    // Without the option runc and crun take the folder that they are started in.
    let bundle = match &call.bundle {
        Some(bundle) => bundle.clone(),
        None => std::env::current_dir().context("find the bundle")?,
    };
    let inventory = || scan(&context.host, &context.config);
    runtime::prepare(&context.host, inventory, &bundle, &Options::default())
        .context("dunnage-devices does not start this container")?;
    Ok(())
}

/// Engines show what they find in the runtime's log, not what it writes to standard error.
fn tell_engine(call: &Call, message: &str) {
    let Some(path) = &call.log else { return };
    let line = if call.log_json {
        json!({"level": "error", "msg": message}).to_string()
    } else {
        format!("level=error msg={}", json!(message))
    };
    let log = OpenOptions::new().append(true).create(true).open(path);
    // Where there is no log, standard error has the message.
    let _ = log.and_then(|mut log| writeln!(log, "{line}"));
}
