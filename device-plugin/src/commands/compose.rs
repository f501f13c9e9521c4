//! `devices compose`: what to paste into a compose file.

use super::given::{Given, NEEDS_CDI};
use super::{Context, output};
use crate::engines::compose;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// What `devices compose` takes.
#[derive(Clone, Debug, Args)]
pub struct ComposeArgs {
    #[command(flatten)]
    given: Given,

    /// The service's name
    #[arg(long, value_name = "NAME", default_value = "app", value_parser = service_name)]
    service: String,
}

/// Compose's own rule for names.
fn service_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.is_empty() && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("letters, digits, `.`, `_` and `-`".to_owned())
    }
}

pub(super) fn run(context: &Context, args: &ComposeArgs) -> anyhow::Result<ExitCode> {
    let wanted = args.given.wanted(context)?;
    let cdi = compose::cdi(&args.service, &wanted);
    let classic = compose::classic(&args.service, &wanted);
    if context.json {
        let document = json!({
            "schema": "dunnage.devices.compose/1", "service": args.service,
            "devices": wanted.names, "cdi": cdi, "classic": classic,
        });
        output::print_json(&document, false)?;
    } else {
        output::print_text(&format!(
            "# with CDI: Docker 28.2 and later, or 25 with the feature \"cdi\"; the specifications are\n\
             # written by `dunnage devices cdi`\n{cdi}\n\
             # without CDI: every engine, and `podman compose`, which ignores CDI names\n{}",
            classic.unwrap_or_else(|| format!("{NEEDS_CDI}\n"))
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
