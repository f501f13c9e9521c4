//! Who is measured: Dunnage's device plugin and others, each with the same number of devices.

use super::stage::Stage;
use crate::cost::installed;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A device plugin.
pub(super) struct Contender {
    /// Its name in the table.
    pub(super) name: &'static str,
    /// The resource that it registers.
    pub(super) resource: &'static str,
    command: fn(&Stage, &Path, usize) -> anyhow::Result<Command>,
}

/// Dunnage's first: the others are compared with it.
pub(super) const CONTENDERS: [Contender; 4] = [
    Contender {
        name: OURS,
        resource: "bench.dunnage/card",
        command: dunnage,
    },
    Contender {
        name: "generic-device-plugin",
        resource: "squat.ai/card",
        command: generic,
    },
    Contender {
        name: "intel-gpu-plugin",
        resource: "gpu.intel.com/i915",
        command: intel,
    },
    Contender {
        name: "nvidia-device-plugin",
        resource: "nvidia.com/gpu",
        command: nvidia,
    },
];

const OURS: &str = "dunnage-devices";

/// GPUs that the stand-in for NVIDIA's library tells of.
const STAND_IN_GPUS: usize = 2;

impl Contender {
    pub(super) fn is_ours(&self) -> bool {
        self.name == OURS
    }

    /// How it is started for so many devices; an error says why it cannot be had.
    pub(super) fn command(
        &self,
        stage: &Stage,
        binary: &Path,
        count: usize,
    ) -> anyhow::Result<Command> {
        (self.command)(stage, binary, count)
    }
}

fn dunnage(stage: &Stage, binary: &Path, _: usize) -> anyhow::Result<Command> {
    let config = stage.scratch().join("dunnage.toml");
    let text = format!(
        "[[rule]]\nname = \"card\"\nnodes = [{:?}]\n\n[[resource]]\nfamily = \"rules\"\nname = \"bench.dunnage/card\"\n",
        stage.nodes()
    );
    fs::write(&config, text)?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(config).arg("plugin");
    Ok(command)
}

/// squat/generic-device-plugin, which gives away what a pattern matches too.
fn generic(stage: &Stage, _: &Path, _: usize) -> anyhow::Result<Command> {
    let mut command = Command::new(installed("generic-device-plugin")?);
    let device = format!(
        "{{\"name\": \"card\", \"groups\": [{{\"paths\": [{{\"path\": {:?}}}]}}]}}",
        stage.nodes()
    );
    command
        .args(["--domain", "squat.ai", "--listen", "127.0.0.1:0"])
        .args(["--log-level", "none", "--device", &device]);
    Ok(command)
}

/// Intel's GPU plugin, on a tree of sysfs that stands for as many GPUs.
fn intel(stage: &Stage, _: &Path, _: usize) -> anyhow::Result<Command> {
    let mut command = Command::new(installed("intel-gpu-plugin")?);
    command
        .arg("-prefix")
        .arg(stage.tree())
        .args(["-bypath", "none"]);
    Ok(command)
}

/// NVIDIA's, with a stand-in for its library and as many replicas of each GPU as are wanted. It would
/// watch for XIDs by the library, which the stand-in does not tell.
fn nvidia(stage: &Stage, _: &Path, count: usize) -> anyhow::Result<Command> {
    let program = installed("nvidia-device-plugin")?;
    let library = installed("nvidia-stand-in/libnvidia-ml.so.1")?;
    let config = stage.scratch().join("nvidia.yaml");
    let replicas = count.div_ceil(STAND_IN_GPUS);
    let text = format!(
        "version: v1\nsharing:\n  timeSlicing:\n    resources:\n    - name: nvidia.com/gpu\n      replicas: {replicas}\n"
    );
    fs::write(&config, text)?;
    let mut command = Command::new(program);
    command
        .arg("--config-file")
        .arg(config)
        .env(
            "LD_LIBRARY_PATH",
            library.parent().unwrap_or(Path::new("/")),
        )
        .env("DP_DISABLE_HEALTHCHECKS", "all");
    Ok(command)
}
