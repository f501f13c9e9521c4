//! `devices docker`: the options of `docker run`, `podman run` and `ctr run`.

use super::given::Given;
use super::{Context, output};
use crate::engines::{containerd, docker, podman, shell};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What `devices docker` takes.
#[derive(Clone, Debug, Args)]
pub struct DockerArgs {
    #[command(flatten)]
    given: Given,
}

/// One way to ask for the devices.
struct Way {
    key: &'static str,
    when: &'static str,
    program: &'static str,
    options: Option<Vec<String>>,
    /// What is said where there are none.
    without: &'static str,
}

/// Why there are no options without CDI.
const UNSAID: &str = "# these devices need a hook, or have a colon in a path: options cannot say that, CDI and the OCI runtime can";

/// Why Podman without root cannot be given these devices by CDI.
const RENAMED: &str = "# not by CDI: nodes of these devices have other names inside, and another device would be there";

pub(super) fn run(context: &Context, args: &DockerArgs) -> anyhow::Result<ExitCode> {
    let wanted = args.given.wanted(context)?;
    let way = |key, when, program, options| Way {
        key,
        when,
        program,
        options,
        without: UNSAID,
    };
    let ways = [
        way(
            "docker_cdi",
            "Docker 28.2 and later, or 25 with the feature \"cdi\"",
            "docker run",
            Some(docker::cdi(&wanted)),
        ),
        way(
            "docker",
            "any Docker, without CDI",
            "docker run",
            docker::classic(&wanted.edits),
        ),
        way(
            "podman_cdi",
            "Podman 4.1 and later",
            "podman run",
            Some(podman::cdi(&wanted)),
        ),
        way(
            "podman",
            "any Podman, without CDI",
            "podman run",
            podman::classic(&wanted, false),
        ),
        Way {
            without: RENAMED,
            ..way(
                "podman_rootless_cdi",
                "Podman of a user",
                "podman run",
                podman::rootless_cdi(&wanted),
            )
        },
        way(
            "podman_rootless",
            "Podman of a user, without CDI",
            "podman run",
            podman::classic(&wanted, true),
        ),
        way(
            "ctr",
            "containerd 2.0 and later",
            "ctr run",
            Some(containerd::cdi(&wanted)),
        ),
        way(
            "ctr_runtime",
            "containerd before 2.0, where that program runs `dunnage-devices runtime -- \"$@\"`",
            "ctr run",
            Some(containerd::by_runtime(
                &wanted,
                "/usr/local/bin/dunnage-runtime",
            )),
        ),
    ];
    if context.json {
        let mut document = json!({"schema": "dunnage.devices.docker/1", "devices": wanted.names});
        for way in &ways {
            document[way.key] = way
                .options
                .as_ref()
                .map_or(Value::Null, |options| json!(options));
        }
        document["containerd_config"] = json!(containerd::CRI);
        output::print_json(&document, false)?;
    } else {
        let mut text = String::new();
        for way in &ways {
            let line = way.options.as_ref().map_or_else(
                || way.without.to_owned(),
                |options| format!("{} {} IMAGE", way.program, shell::line(options)),
            );
            text.push_str(&format!("# {}\n{line}\n\n", way.when));
        }
        text.push_str("# containerd's configuration, for Kubernetes\n");
        text.push_str(containerd::CRI);
        output::print_text(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}
