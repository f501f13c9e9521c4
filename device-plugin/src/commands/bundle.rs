//! `devices bundle`: gives devices to an OCI bundle, for runc and crun.

use super::Context;
use super::given::Given;
use crate::runtime;
use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `devices bundle` takes.
#[derive(Clone, Debug, Args)]
pub struct BundleArgs {
    #[command(flatten)]
    given: Given,

    /// The bundle: the folder with config.json in it
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
}

pub(super) fn run(context: &Context, args: &BundleArgs) -> anyhow::Result<ExitCode> {
    let wanted = args.given.wanted(context)?;
    runtime::apply_to_bundle(&args.bundle, &wanted.edits)
        .with_context(|| format!("give devices to the bundle {}", args.bundle.display()))?;
    Ok(ExitCode::SUCCESS)
}
