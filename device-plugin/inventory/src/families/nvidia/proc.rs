//! What NVIDIA's kernel driver writes below `/proc`: pure parsers.
//!
//! The formats are those of `kernel-open/nvidia/nv-procfs.c` and `kernel-open/nvidia/nv-caps.c` of
//! NVIDIA's open kernel modules, which the closed ones share. Nothing here is believed further than
//! it must be: a line of another form is left out.

use std::collections::BTreeMap;

/// The most lines that are looked at in one file. `mig-minors` has 4322 for 32 GPUs.
const LINES_LIMIT: usize = 65_536;

/// The longest text that is kept of a name or a version, in characters.
const TEXT_LIMIT: usize = 256;

/// `/proc/driver/nvidia/version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// `535.154.05`.
    pub(super) version: String,
    /// Whether it is the open kernel module: that one starts no GPU before Turing, and the closed one
    /// none from Blackwell on. Absent where only sysfs tells the version.
    pub(super) open: Option<bool>,
}

/// `/proc/driver/nvidia/gpus/<address>/information`. Fields that the driver does not know (`????`,
/// `N/A`) are absent: it learns them when the GPU is first opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Information {
    pub(super) model: Option<String>,
    /// `GPU-` and a UUID.
    pub(super) uuid: Option<String>,
    /// Version of the video BIOS.
    pub(super) video_bios: Option<String>,
    /// Version of the GSP firmware.
    pub(super) firmware: Option<String>,
    /// The number of `/dev/nvidia<minor>`.
    pub(super) minor: Option<u32>,
    /// Whether the operator excluded the GPU (`NVreg_ExcludedGpus`).
    pub(super) excluded: bool,
}

/// A right that a node below `/dev/nvidia-caps` stands for, as `mig-minors` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Capability {
    /// To make and destroy instances on all GPUs.
    Config,
    /// To watch all instances.
    Monitor,
    /// To use a GPU instance.
    GpuInstance {
        /// Minor number of the GPU, not its index.
        gpu: u32,
        /// GPU instance id.
        instance: u32,
    },
    /// To use a compute instance.
    ComputeInstance {
        /// Minor number of the GPU, not its index.
        gpu: u32,
        /// GPU instance id.
        instance: u32,
        /// Compute instance id.
        compute: u32,
    },
}

/// The version in the line that begins `NVRM version:`.
pub(super) fn version(text: &str) -> Option<Version> {
    let line = text
        .lines()
        .take(16)
        .find_map(|line| line.trim().strip_prefix("NVRM version:"))?;
    let version = line.split_whitespace().find(|word| is_version(word))?;
    Some(Version {
        version: version.to_owned(),
        open: Some(line.contains("Open Kernel Module")),
    })
}

/// Whether `word` is the version of a driver: two to four numbers with dots between.
pub(super) fn is_version(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    (2..=4).contains(&parts.len())
        && parts
            .iter()
            .all(|part| (1..=5).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

/// `information` of one GPU.
pub(super) fn information(text: &str) -> Information {
    let mut information = Information::default();
    for (key, value) in pairs(text) {
        match key {
            "Model" => information.model = known(value),
            "GPU UUID" => information.uuid = uuid(value),
            "Video BIOS" => information.video_bios = known(value),
            "GPU Firmware" => information.firmware = known(value),
            "Device Minor" => information.minor = value.parse().ok(),
            // Drivers before 450 say it in the older word.
            "GPU Excluded" | "Blacklisted" => information.excluded = value == "Yes",
            _ => {}
        }
    }
    information
}

/// `/proc/driver/nvidia-caps/mig-minors`: which minor number stands for which right.
pub(super) fn mig_minors(text: &str) -> BTreeMap<Capability, u32> {
    text.lines()
        .take(LINES_LIMIT)
        .filter_map(|line| {
            let (name, minor) = line.trim().split_once(' ')?;
            Some((capability(name)?, minor.trim().parse().ok()?))
        })
        .collect()
}

/// `config`, `monitor`, `gpu0/gi1/access`, `gpu0/gi1/ci0/access`.
fn capability(name: &str) -> Option<Capability> {
    let number = |part: &str, prefix: &str| numbered(part, prefix);
    let parts: Vec<_> = name.splitn(5, '/').collect();
    match *parts.as_slice() {
        ["config"] => Some(Capability::Config),
        ["monitor"] => Some(Capability::Monitor),
        [gpu, instance, "access"] => Some(Capability::GpuInstance {
            gpu: number(gpu, "gpu")?,
            instance: number(instance, "gi")?,
        }),
        [gpu, instance, compute, "access"] => Some(Capability::ComputeInstance {
            gpu: number(gpu, "gpu")?,
            instance: number(instance, "gi")?,
            compute: number(compute, "ci")?,
        }),
        _ => None,
    }
}

/// The number in a name such as `gi7`; `None` for any other name.
pub(super) fn numbered(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?;
    let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// The minor number in a file below `/proc/driver/nvidia/capabilities`.
pub(super) fn capability_minor(text: &str) -> Option<u32> {
    pairs(text).find_map(|(key, value)| (key == "DeviceFileMinor").then(|| value.parse().ok())?)
}

/// The NUMA node that the GPU's own memory is, from `numa_status`, where it is online.
pub(super) fn memory_node(text: &str) -> Option<u32> {
    let mut node = None;
    let mut online = false;
    for (key, value) in pairs(text) {
        match key {
            "Node" => node = value.parse().ok(),
            "Status" => online = value == "online",
            _ => {}
        }
    }
    node.filter(|_| online)
}

/// The major number of each character driver in `/proc/devices` (`Documentation/filesystems/proc.rst`).
pub(super) fn character_majors(text: &str) -> BTreeMap<String, u32> {
    text.lines()
        .take(LINES_LIMIT)
        .skip_while(|line| line.trim() != "Character devices:")
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter_map(|line| {
            let (major, name) = line.trim().split_once(' ')?;
            Some((name.trim().to_owned(), major.parse().ok()?))
        })
        .collect()
}

/// A UUID as NVIDIA writes it, in the new forms and the old one (`MIG-GPU-<uuid>/<gi>/<ci>`); `None`
/// for anything that could mean something else in a path, a variable or a name of a device.
pub(super) fn uuid(text: &str) -> Option<String> {
    let rest = text
        .strip_prefix("GPU-")
        .or_else(|| text.strip_prefix("MIG-"))?;
    let clean = (8..=80).contains(&rest.len())
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'/');
    clean.then(|| text.to_owned())
}

/// A text for people: without control characters, trimmed, of bounded length; `None` where nothing
/// is left or the driver says that it does not know.
pub(super) fn known(text: &str) -> Option<String> {
    let text: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(TEXT_LIMIT)
        .collect();
    let text = text.trim();
    let unknown = text.is_empty() || text == "N/A" || text.contains("??");
    (!unknown).then(|| text.to_owned())
}

/// `Key: \t value` lines.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .take(LINES_LIMIT)
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim(), value.trim()))
}

#[cfg(test)]
mod tests;
