//! The questions to NVML that `nvml-wrapper` has no safe function for.
//!
//! A crate of its own, because this is the only unsafe code that the inventory needs: it stays small
//! enough to be read at once, and the inventory itself forbids unsafe code. The calls are described
//! in `nvml.h` and in NVIDIA's NVML API reference.
//!
//! A library that lies can break any program that calls it. Call these in a process that may die.

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use std::mem::MaybeUninit;

/// What stands at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteEnd {
    /// Another GPU.
    Gpu,
    /// A switch, to which other GPUs are attached as well.
    Switch,
    /// Something else: a processor, or what NVML does not know.
    Other,
}

/// What row remapping has done to a GPU's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemappedRows {
    /// Rows that were remapped because of correctable errors.
    pub correctable: u32,
    /// Rows that were remapped because of uncorrectable errors.
    pub uncorrectable: u32,
    /// Whether a remapping waits for the next reset.
    pub pending: bool,
    /// Whether a remapping has failed.
    pub failed: bool,
}

/// The id of the GPU instance that the MIG device `device` is in (`nvmlDeviceGetGpuInstanceId`).
///
/// # Errors
/// What NVML answers, or [`NvmlError::FailedToLoadSymbol`] where the library is too old.
pub fn gpu_instance(device: &Device<'_>) -> Result<u32, NvmlError> {
    let ask = nvml_sym(device.nvml().lib().nvmlDeviceGetGpuInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: the handle is used while `device`, and with it the initialised library, is borrowed.
    let handle = unsafe { device.handle() };
    // SAFETY: the library writes one unsigned int through the pointer, which outlives the call.
    nvml_try(unsafe { ask(handle, &raw mut id) })?;
    Ok(id)
}

/// The id of the compute instance that the MIG device `device` is (`nvmlDeviceGetComputeInstanceId`).
///
/// # Errors
/// As [`gpu_instance`].
pub fn compute_instance(device: &Device<'_>) -> Result<u32, NvmlError> {
    let ask = nvml_sym(device.nvml().lib().nvmlDeviceGetComputeInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: the handle is used while `device`, and with it the initialised library, is borrowed.
    let handle = unsafe { device.handle() };
    // SAFETY: the library writes one unsigned int through the pointer, which outlives the call.
    nvml_try(unsafe { ask(handle, &raw mut id) })?;
    Ok(id)
}

/// The memory on board of `device`, in bytes (`nvmlDeviceGetMemoryInfo`). `nvml-wrapper` asks for the
/// second form of this, which drivers before 510 do not have.
///
/// # Errors
/// As [`gpu_instance`].
pub fn memory(device: &Device<'_>) -> Result<u64, NvmlError> {
    let ask = nvml_sym(device.nvml().lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    let mut memory = MaybeUninit::zeroed();
    // SAFETY: the handle is used while `device`, and with it the initialised library, is borrowed.
    let handle = unsafe { device.handle() };
    // SAFETY: the library writes one structure through the pointer, which outlives the call.
    nvml_try(unsafe { ask(handle, memory.as_mut_ptr()) })?;
    // SAFETY: three integers, of which zeroes are a value as good as what the library wrote.
    Ok(unsafe { memory.assume_init() }.total)
}

/// How the memory of `device` was repaired (`nvmlDeviceGetRemappedRows`; Ampere and later).
///
/// # Errors
/// As [`gpu_instance`]; [`NvmlError::NotSupported`] on older GPUs.
pub fn remapped_rows(device: &Device<'_>) -> Result<RemappedRows, NvmlError> {
    let ask = nvml_sym(device.nvml().lib().nvmlDeviceGetRemappedRows.as_ref())?;
    let (mut correctable, mut uncorrectable, mut pending, mut failed) = (0, 0, 0, 0);
    // SAFETY: the handle is used while `device`, and with it the initialised library, is borrowed.
    let handle = unsafe { device.handle() };
    // SAFETY: the library writes four unsigned ints through the pointers, which outlive the call.
    nvml_try(unsafe {
        ask(
            handle,
            &raw mut correctable,
            &raw mut uncorrectable,
            &raw mut pending,
            &raw mut failed,
        )
    })?;
    Ok(RemappedRows {
        correctable,
        uncorrectable,
        pending: pending != 0,
        failed: failed != 0,
    })
}

/// What the NVLink number `link` of `device` leads to (`nvmlDeviceGetNvLinkRemoteDeviceType`). The
/// function of this name in `nvml-wrapper` 0.13 always answers that it does not know.
///
/// # Errors
/// As [`gpu_instance`].
pub fn remote_end(device: &Device<'_>, link: u32) -> Result<RemoteEnd, NvmlError> {
    let lib = device.nvml().lib();
    let ask = nvml_sym(lib.nvmlDeviceGetNvLinkRemoteDeviceType.as_ref())?;
    let mut kind = 0;
    // SAFETY: the handle is used while `device`, and with it the initialised library, is borrowed.
    let handle = unsafe { device.handle() };
    // SAFETY: the library writes one enumeration value, an unsigned int, through the pointer, which
    // outlives the call; any value of it is a valid integer here.
    nvml_try(unsafe { ask(handle, link, &raw mut kind) })?;
    // NVML_NVLINK_DEVICE_TYPE_GPU and NVML_NVLINK_DEVICE_TYPE_SWITCH.
    Ok(match kind {
        0 => RemoteEnd::Gpu,
        2 => RemoteEnd::Switch,
        _ => RemoteEnd::Other,
    })
}
