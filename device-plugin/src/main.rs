//! The `dunnage-devices` command: `dunnage devices` by itself, without the profiler.

#![forbid(unsafe_code)]

use clap::Parser;
use dunnage_device_plugin::cli::DevicesArgs;
use dunnage_device_plugin::commands::{self, Context};
use dunnage_host::HostRoot;
use std::path::PathBuf;
use std::process::ExitCode;

/// It could not do what was asked.
const FAILED: u8 = 1;

/// Show the accelerators of this host and give them to containers
///
/// Without a command: the list.
#[derive(Debug, Parser)]
#[command(name = "dunnage-devices", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    devices: DevicesArgs,

    /// Put DIR in front of every path of the host, as in a container that sees the host there
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    host_root: PathBuf,

    /// Print for programs: one JSON document, with --watch one a line
    #[arg(long, global = true)]
    json: bool,
}

fn main() -> ExitCode {
    // NVML may hang or crash: it is asked by a second process of this program.
    if let Some(code) = dunnage_inventory::families::nvidia::serve_nvml_probe_if_asked() {
        return code;
    }
    let cli: Cli = match commands::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let context = Context::new(HostRoot::new(cli.host_root), cli.json, &cli.devices);
    match context.and_then(|context| commands::run(&context, &cli.devices)) {
        Ok(code) => code,
        Err(error) if commands::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            commands::say(&commands::told(&error));
            ExitCode::from(FAILED)
        }
    }
}
