//! The families of accelerators: a file each, and the table of them.

mod accel;
mod amd_gpu;
mod class_device;
mod dfl;
mod drm;
mod drm_gpu;
mod habana;
mod idxd;
mod intel_gpu;
mod media;
mod nvidia;
mod pci_names;
mod qat;
mod rules;
mod vfio;
mod xrt;

use crate::config::Config;
use crate::device::Device;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;

/// What one family found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The devices, in a stable order.
    pub devices: Vec<Device>,
    /// What could not be read, and why.
    pub gaps: Vec<Gap>,
}

/// A sort of accelerator that is found, named and examined in one way.
pub trait Family: Sync {
    /// The name, as in `Device::family`: that of its file.
    fn name(&self) -> &'static str;

    /// Looks for the family's devices. A host without any costs a directory listing or two. A broken
    /// driver, tool or library is a gap and never a panic.
    fn scan(&self, host: &HostRoot, config: &Config) -> Found;
}

/// All families. The first one that finds a device keeps it (see `scan`), so that what is more general
/// stands further down.
pub const FAMILIES: &[&dyn Family] = &[
    &nvidia::Nvidia,
    &amd_gpu::AmdGpu,
    &intel_gpu::IntelGpu,
    &habana::Habana,
    &dfl::Dfl,
    &xrt::Xrt,
    &qat::Qat,
    &idxd::Idxd,
    &drm_gpu::DrmGpu,
    &accel::Accel,
    &media::Media,
    &vfio::Vfio,
    &rules::Rules,
];
