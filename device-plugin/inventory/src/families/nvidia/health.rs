//! Whether a GPU can be used.

use super::files::{Card, DRIVER};
use super::nvml::{ComputeMode, Failure, Gpu, Refusal};
use super::pairing::{Library, Pair};
use crate::device::Health;

/// The health of a whole GPU. `speaks`: whether `/proc/driver/nvidia` is there at all.
pub(super) fn of(pair: &Pair<'_>, speaks: bool) -> Health {
    if let Some(why) = pair
        .card
        .and_then(|card| on_the_bus(card, pair.library, speaks))
    {
        return why;
    }
    if let Some(why) = pair.gpu.and_then(in_nvml) {
        return Health::Unhealthy(why);
    }
    match pair.library {
        Library::Knows => Health::Healthy,
        Library::Silent => without_nvml(pair.card, speaks),
        Library::Misses => Health::Unhealthy(
            "the driver has it, but NVML does not list it: see `dmesg | grep NVRM`; reset the GPU or \
             reload the driver"
                .to_owned(),
        ),
        Library::Failed(failure) => match failure {
            Failure::Refused(Refusal::NotFound(_)) | Failure::NotAsked(_) => {
                without_nvml(pair.card, speaks)
            }
            Failure::Refused(Refusal::DriverNotLoaded | Refusal::VersionMismatch) => {
                Health::Unhealthy(failure.to_string())
            }
            _ => Health::Unknown(failure.to_string()),
        },
    }
}

/// What the bus and the kernel driver say against a GPU.
fn on_the_bus(card: &Card, library: Library<'_>, speaks: bool) -> Option<Health> {
    let bad = |why: String| Some(Health::Unhealthy(why));
    if card.gone {
        return bad(
            "it fell off the bus: its configuration space reads as all ones; power the host off and \
             on, and look at power and slot"
                .to_owned(),
        );
    }
    let Some(driver) = &card.driver else {
        return bad(
            "no driver is bound: load NVIDIA's module (`modprobe nvidia`), or bind vfio-pci to give \
             it to a virtual machine"
                .to_owned(),
        );
    };
    if driver.name != "nvidia" {
        return Some(Health::Unknown(format!(
            "bound to {}: it renders through Mesa, but CUDA needs NVIDIA's driver",
            driver.name
        )));
    }
    match &card.information {
        Some(information) if information.excluded => bad(
            "the operator excluded it: remove it from the module parameter NVreg_ExcludedGpus \
             (before driver 450, NVreg_GpuBlacklist)"
                .to_owned(),
        ),
        // A container may see the folders of some GPUs only; NVML, where it knows the GPU, knows better.
        None if speaks && card.pci.is_some() && !matches!(library, Library::Knows) => bad(format!(
            "the driver is bound, but {DRIVER}/gpus/{}/information is missing: the driver could not \
             start it; see `dmesg | grep NVRM`",
            card.address
        )),
        _ => None,
    }
}

/// What NVML says against a GPU.
fn in_nvml(gpu: &Gpu) -> Option<String> {
    if let Some(failure) = &gpu.failure {
        let failure = super::proc::known(failure).unwrap_or_else(|| "an error".to_owned());
        return Some(format!(
            "NVML: {failure}; see `dmesg | grep NVRM`, and reset the GPU (`nvidia-smi --gpu-reset`)"
        ));
    }
    if gpu.remap_failed == Some(true) {
        return Some(
            "a faulty memory row could not be replaced: have the GPU exchanged".to_owned(),
        );
    }
    if let Some(errors) = gpu.uncorrected.filter(|errors| *errors > 0) {
        return Some(format!(
            "{errors} uncorrectable memory errors since the last reset: drain it and reset it \
             (`nvidia-smi --gpu-reset`)"
        ));
    }
    if gpu.remap_pending == Some(true) || gpu.retirement_pending == Some(true) {
        return Some(
            "faulty memory waits to be taken out of use: drain it and reset it (`nvidia-smi \
             --gpu-reset`)"
                .to_owned(),
        );
    }
    if gpu.compute_mode == Some(ComputeMode::Prohibited) {
        return Some(
            "its compute mode is Prohibited: nobody may compute on it until `nvidia-smi -c DEFAULT`"
                .to_owned(),
        );
    }
    None
}

fn without_nvml(card: Option<&Card>, speaks: bool) -> Health {
    match card.and_then(|card| card.information.as_ref()) {
        Some(information) if information.uuid.is_some() => Health::Healthy,
        Some(_) => Health::Unknown(
            "the driver has not started it yet: it does when the GPU is first opened, or at once with \
             nvidia-persistenced"
                .to_owned(),
        ),
        None if speaks => {
            Health::Unknown("the driver tells nothing of it but that it is there".to_owned())
        }
        None => Health::Unknown(format!(
            "{DRIVER} cannot be seen: its health is known to the driver alone"
        )),
    }
}
