//! What the child tells its parent: plain values, each absent where NVML did not tell it.

use serde::{Deserialize, Serialize};

/// All that NVML told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// Why the library could not be used at all; then the rest is empty.
    pub(crate) failure: Option<Refusal>,
    /// Version of the driver.
    pub(crate) driver: Option<String>,
    /// The newest CUDA that the driver can run: `12.4`.
    pub(crate) cuda: Option<String>,
    /// In the order of NVML's index.
    pub(crate) gpus: Vec<Gpu>,
}

/// Why the library could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// It is not there.
    NotFound(String),
    /// The kernel driver does not run.
    DriverNotLoaded,
    /// The kernel driver is of another version than the library.
    VersionMismatch,
    /// Anything else, in words.
    Other(String),
}

/// One GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Gpu {
    /// NVML's index.
    pub(crate) index: u32,
    /// Why it could not be opened; then most of the rest is absent.
    pub(crate) failure: Option<String>,
    /// As NVML writes it: `00000000:65:00.0`.
    pub(crate) address: Option<String>,
    pub(crate) uuid: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) minor: Option<u32>,
    /// Bytes on board.
    pub(crate) memory: Option<u64>,
    pub(crate) video_bios: Option<String>,
    pub(crate) firmware: Option<String>,
    pub(crate) brand: Option<String>,
    pub(crate) architecture: Option<String>,
    /// `8.0`.
    pub(crate) capability: Option<String>,
    pub(crate) compute_mode: Option<ComputeMode>,
    /// Whether MIG mode is on; absent where the GPU has none.
    pub(crate) mig: Option<bool>,
    pub(crate) instances: Vec<Instance>,
    /// Why instances could not be told, where some could not.
    pub(crate) instances_failure: Option<String>,
    /// Uncorrectable memory errors since the driver was loaded or the GPU reset.
    pub(crate) uncorrected: Option<u64>,
    /// Whether memory pages wait for their retirement.
    pub(crate) retirement_pending: Option<bool>,
    /// Whether a row remapping waits for a reset.
    pub(crate) remap_pending: Option<bool>,
    /// Whether a row remapping failed.
    pub(crate) remap_failed: Option<bool>,
    /// The active NVLinks.
    pub(crate) links: Vec<Link>,
}

/// Who may compute on a GPU (`nvmlComputeMode_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ComputeMode {
    /// Everybody.
    Default,
    /// One process.
    Exclusive,
    /// Nobody.
    Prohibited,
}

/// One MIG device: a compute instance in a GPU instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Instance {
    /// NVML's index within the GPU.
    pub(crate) index: u32,
    pub(crate) uuid: Option<String>,
    /// `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
    pub(crate) name: Option<String>,
    pub(crate) gpu_instance: Option<u32>,
    pub(crate) compute_instance: Option<u32>,
    /// Bytes.
    pub(crate) memory: Option<u64>,
}

/// An active NVLink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// What is at the other end.
    pub(crate) end: End,
    /// Where that is on the PCI bus.
    pub(crate) address: Option<String>,
}

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// Another GPU.
    Gpu,
    /// A switch.
    Switch,
    /// A processor, or what is not known.
    Other,
}

/// What stands before the answer on its line: the library may write to standard output as well.
pub(crate) const MARK: &str = "dunnage-nvml/1 ";

impl Answer {
    /// The one line that the child writes.
    pub(crate) fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(format!("\n{MARK}{}\n", serde_json::to_string(self)?))
    }

    /// The answer in what the child wrote; `None` where there is none, or it was cut off.
    pub(crate) fn from_output(output: &[u8]) -> Option<Answer> {
        let text = String::from_utf8_lossy(output);
        let line = text
            .lines()
            .filter_map(|line| line.strip_prefix(MARK))
            .next_back()?;
        serde_json::from_str(line).ok()
    }
}
