//! ROCm: the compute part of amdgpu, its nodes, and the kernel that a release runs on.

use super::asks::Ask;
use super::{Clause, device::node, device_code, kernel};
use crate::check::facts::{ImageFacts, RuntimeKind};
use crate::check::host::HostFacts;
use crate::check::version::Version;
use dunnage_inventory::{Device, Role};

pub(super) fn clauses(
    image: &ImageFacts,
    host: &HostFacts,
    device: &Device,
    ask: &Ask,
) -> Vec<Clause> {
    let mut clauses = vec![
        kernel::module(host, "amdgpu", device, ask),
        node(
            device,
            Role::Control,
            "/dev/kfd",
            &ask.by,
            "build the kernel with HSA_AMD, or load amdgpu on a host whose GPU it supports",
        ),
        node(
            device,
            Role::Render,
            "/dev/dri/renderD*",
            &ask.by,
            "load amdgpu",
        ),
        topology(device, ask),
        library(image, ask),
    ];
    clauses.push(release(image, host, device, ask));
    clauses.extend(device_code::amd(image, device));
    clauses
}

/// Only a GPU that the compute driver took shows in its topology.
fn topology(device: &Device, ask: &Ask) -> Clause {
    let clause = Clause::new("GPU known to the compute driver")
        .wanted("a node in KFD's topology", &*ask.by)
        .there_by("/sys/class/kfd/kfd/topology");
    match device.attributes.get("gfx.target") {
        Some(target) => clause.there(target).yes(),
        None => clause
            .there("none for this GPU")
            .no("the kernel's compute driver does not support this GPU, or was built without it"),
    }
}

/// The runtime is in the image; nothing of it comes from the host.
fn library(image: &ImageFacts, ask: &Ask) -> Clause {
    let clause = Clause::new("HSA runtime in the image")
        .wanted("libhsa-runtime64.so.1", &*ask.by)
        .there_by("the image");
    if let Some((_, library)) = image.library("libhsa-runtime64.so") {
        return clause.there(&library.path).yes();
    }
    // ROCm SMI reads sysfs and needs no runtime.
    let only_smi = image.library("librocm_smi64.so").is_some()
        && image.library("libamdhip64.so").is_none()
        && image.code.is_empty();
    if only_smi {
        clause.there("only ROCm SMI").beside()
    } else {
        clause
            .there("none")
            .no("install ROCm's runtime in the image: nothing of it comes from the host")
    }
}

/// Kernels that releases run on with the driver that is in the kernel. AMD's matrix speaks of its own
/// packages, whose versions follow ROCm's within a year; of kernels it names the distributions' ones,
/// the oldest of which are these.
fn least_kernel(rocm: &Version) -> Option<Version> {
    match rocm.major() {
        5 | 6 => Some(Version::of(&[5, 15])),
        7 => Some(Version::of(&[6, 8])),
        _ => None,
    }
}

fn release(image: &ImageFacts, host: &HostFacts, device: &Device, ask: &Ask) -> Clause {
    let Some(runtime) = image.runtime(RuntimeKind::Rocm) else {
        let clause = Clause::new("kernel for the image's ROCm").wanted("a release", &*ask.by);
        let only_smi = image.library("libamdhip64.so").is_none() && image.code.is_empty();
        return if only_smi {
            clause.beside()
        } else {
            clause.unknown("nothing in the image names ROCm's release (/opt/rocm/.info/version)")
        };
    };
    let clause = Clause::new(format!("kernel for ROCm {}", runtime.version));
    let module = device
        .driver
        .as_ref()
        .and_then(|driver| driver.version.as_deref());
    if let Some(module) = module {
        return clause
            .wanted(
                format!("amdgpu-dkms of ROCm {}", runtime.version),
                &*runtime.said_by,
            )
            .there(module)
            .there_by("/sys/module/amdgpu/version")
            .unknown("compare with AMD's matrix of user space and kernel drivers");
    }
    let Some(least) = least_kernel(&runtime.version) else {
        return clause
            .wanted("a kernel for this release", &*runtime.said_by)
            .unknown("this release is not in the table: compare with its release notes");
    };
    let clause = clause.wanted(format!(">= {least}"), &*runtime.said_by);
    match (&host.kernel, host.kernel_version()) {
        (Some(text), Some(version)) => {
            let clause = clause.there(text).there_by("/proc/sys/kernel/osrelease");
            if version >= least {
                clause.yes()
            } else {
                clause.unknown("run a newer kernel, or install AMD's amdgpu-dkms for this release")
            }
        }
        _ => clause.unknown("the kernel's release cannot be read"),
    }
}
