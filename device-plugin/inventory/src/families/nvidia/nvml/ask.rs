//! In the child: what NVML is asked. Whatever it refuses is absent; only what is needed for a GPU to
//! be known at all makes it a failed one.

use super::answer::{Answer, ComputeMode, End, Gpu, Instance, Link, Refusal};
use dunnage_nvml::{RemoteEnd, compute_instance, gpu_instance, memory, remapped_rows, remote_end};
use nvml_wrapper::enum_wrappers::device::{ComputeMode as Mode, EccCounter, MemoryError};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};
use std::path::Path;

/// The most GPUs that are asked for.
const GPUS_LIMIT: u32 = 1024;

/// The most instances of one GPU; today's have seven.
const INSTANCES_LIMIT: u32 = 64;

/// The most links of one GPU; today's have 18.
const LINKS_LIMIT: u32 = 64;

/// Loads the library and asks it for everything.
pub(super) fn everything(library: &Path) -> Answer {
    let nvml = match Nvml::builder().lib_path(library.as_os_str()).init() {
        Ok(nvml) => nvml,
        Err(error) => return refused(&error),
    };
    let count = match nvml.device_count() {
        Ok(count) => count.min(GPUS_LIMIT),
        Err(error) => return refused(&error),
    };
    Answer {
        failure: None,
        driver: nvml.sys_driver_version().ok(),
        cuda: nvml.sys_cuda_driver_version().ok().map(|version| {
            let major = cuda_driver_version_major(version);
            format!("{major}.{}", cuda_driver_version_minor(version))
        }),
        gpus: (0..count).map(|index| gpu(&nvml, index)).collect(),
    }
}

fn refused(error: &NvmlError) -> Answer {
    let failure = match error {
        NvmlError::LibloadingError(why) => Refusal::NotFound(why.to_string()),
        NvmlError::LibraryNotFound => Refusal::NotFound(error.to_string()),
        NvmlError::DriverNotLoaded => Refusal::DriverNotLoaded,
        NvmlError::LibRmVersionMismatch => Refusal::VersionMismatch,
        _ => Refusal::Other(error.to_string()),
    };
    Answer {
        failure: Some(failure),
        ..Answer::default()
    }
}

fn gpu(nvml: &Nvml, index: u32) -> Gpu {
    let device = match nvml.device_by_index(index) {
        Ok(device) => device,
        Err(error) => {
            return Gpu {
                index,
                failure: Some(error.to_string()),
                ..Gpu::default()
            };
        }
    };
    let remapped = remapped_rows(&device).ok();
    let mig = device.mig_mode().ok().map(|mode| mode.current != 0);
    let (instances, instances_failure) = match mig {
        Some(true) => instances(&device),
        _ => (Vec::new(), None),
    };
    Gpu {
        index,
        failure: lost(&device),
        address: device.pci_info().ok().map(|pci| pci.bus_id),
        uuid: device.uuid().ok(),
        name: device.name().ok(),
        minor: device.minor_number().ok(),
        memory: memory(&device).ok(),
        video_bios: device.vbios_version().ok(),
        firmware: device.gsp_firmware_version().ok(),
        brand: device.brand().ok().map(|brand| format!("{brand:?}")),
        architecture: device.architecture().ok().map(|a| format!("{a:?}")),
        capability: device
            .cuda_compute_capability()
            .ok()
            .map(|capability| format!("{}.{}", capability.major, capability.minor)),
        compute_mode: device.compute_mode().ok().map(|mode| match mode {
            Mode::Default => ComputeMode::Default,
            Mode::ExclusiveThread | Mode::ExclusiveProcess => ComputeMode::Exclusive,
            Mode::Prohibited => ComputeMode::Prohibited,
        }),
        mig,
        instances,
        instances_failure,
        uncorrected: device
            .total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile)
            .ok(),
        retirement_pending: device.are_pages_pending_retired().ok(),
        remap_pending: remapped.map(|rows| rows.pending),
        remap_failed: remapped.map(|rows| rows.failed),
        links: links(&device),
    }
}

/// Why a GPU that NVML still lists is of no use. Memory is asked for, because the driver must answer
/// that from the GPU; a UUID it remembers.
fn lost(device: &Device<'_>) -> Option<String> {
    match memory(device) {
        Err(
            error @ (NvmlError::GpuLost
            | NvmlError::ResetRequired
            | NvmlError::Unknown
            | NvmlError::IrqIssue
            | NvmlError::InsufficientPower),
        ) => Some(error.to_string()),
        _ => None,
    }
}

/// The MIG devices, and why some could not be told. A gap between the indices is ordinary: NVML
/// counts the places, and says "not found" for the empty ones.
fn instances(device: &Device<'_>) -> (Vec<Instance>, Option<String>) {
    let count = match device.mig_device_count() {
        Ok(count) => count.min(INSTANCES_LIMIT),
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut found = Vec::new();
    let mut failure = None;
    for index in 0..count {
        match device.mig_device_by_index(index) {
            Ok(instance) => found.push(Instance {
                index,
                uuid: instance.uuid().ok(),
                name: instance.name().ok(),
                gpu_instance: gpu_instance(&instance).ok(),
                compute_instance: compute_instance(&instance).ok(),
                memory: memory(&instance).ok(),
            }),
            Err(NvmlError::NotFound) => {}
            Err(error) => failure = Some(error.to_string()),
        }
    }
    (found, failure)
}

fn links(device: &Device<'_>) -> Vec<Link> {
    let mut found = Vec::new();
    for number in 0..LINKS_LIMIT {
        let link = device.link_wrapper_for(number);
        // A link that this GPU does not have is an error, like one that is down on some drivers.
        if !link.is_active().unwrap_or(false) {
            continue;
        }
        found.push(Link {
            end: match remote_end(device, number) {
                // Drivers before 450 do not tell; then the address decides.
                Ok(RemoteEnd::Gpu) | Err(_) => End::Gpu,
                Ok(RemoteEnd::Switch) => End::Switch,
                Ok(RemoteEnd::Other) => End::Other,
            },
            address: link.remote_pci_info().ok().map(|pci| pci.bus_id),
        });
    }
    found
}
