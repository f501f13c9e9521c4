//! CUDA: the nodes that its programs open, and the driver that the runtime wants.

use super::asks::Ask;
use super::{Clause, cuda_releases, device::node};
use crate::check::facts::{ImageFacts, Runtime, RuntimeKind};
use crate::check::host::HostFacts;
use crate::check::version::Version;
use dunnage_inventory::{Device, Role};

/// The device nodes. A program that only asks for health (NVML) does without the memory manager's.
pub(super) fn nodes(image: &ImageFacts, device: &Device, ask: &Ask) -> Vec<Clause> {
    let own = device.nodes.iter().find(|node| node.role == Role::Own);
    let name = own.map(|node| node.path.to_string_lossy().into_owned());
    let make = "make the nodes: nvidia-modprobe -u -c=0 (or start nvidia-persistenced)";
    let mut clauses = vec![
        node(
            device,
            Role::Own,
            name.as_deref().unwrap_or("/dev/nvidiaN"),
            &ask.by,
            make,
        ),
        node(device, Role::Control, "/dev/nvidiactl", &ask.by, make),
    ];
    if computes(image) {
        clauses.push(node(
            device,
            Role::Control,
            "/dev/nvidia-uvm",
            &ask.by,
            make,
        ));
    }
    clauses
}

/// Whether anything but NVML is wanted.
fn computes(image: &ImageFacts) -> bool {
    let only_nvml = |soname: &str| soname.starts_with("libnvidia-ml.so");
    let wants_more = image.wants.iter().any(|want| !only_nvml(&want.soname));
    let nothing_known = image.wants.is_empty();
    wants_more || nothing_known || image.library("libcudart").is_some() || has_code(image)
}

fn has_code(image: &ImageFacts) -> bool {
    image
        .code
        .values()
        .any(|targets| !targets.nvidia.is_empty())
}

/// The CUDA release of the image against the driver.
pub(super) fn driver(image: &ImageFacts, host: &HostFacts, device: &Device) -> Vec<Clause> {
    let Some(runtime) = release(image) else {
        if !computes(image) {
            return Vec::new();
        }
        if !has_code(image) && image.library("libcudart").is_none() {
            // It speaks to the driver alone; the driver's symbols say whether that will do.
            return Vec::new();
        }
        let by = super::asks::of(image).into_iter().next();
        let by = by.map_or_else(|| "the image".to_owned(), |ask| ask.by);
        return vec![
            Clause::new("driver for the image's CUDA")
                .wanted("a CUDA release that nothing in the image names", by)
                .unknown("set CUDA_VERSION in the image to the release it was built with"),
        ];
    };
    vec![against(image, host, device, &runtime)]
}

/// The newest release that the image's runtime libraries, its environment or its PTX name.
fn release(image: &ImageFacts) -> Option<Runtime> {
    if let Some(runtime) = image.runtime(RuntimeKind::Cuda) {
        return Some(runtime.clone());
    }
    let ptx = image.code.iter().flat_map(|(path, targets)| {
        let versions = targets.nvidia.iter().filter(|target| target.ptx);
        versions.map(move |target| (target.ptx_version, path))
    });
    let (version, path) = ptx.max()?;
    Some(Runtime {
        kind: RuntimeKind::Cuda,
        version: cuda_releases::of_ptx(version)?,
        said_by: path.clone(),
    })
}

fn against(image: &ImageFacts, host: &HostFacts, device: &Device, runtime: &Runtime) -> Clause {
    let clause = Clause::new(format!("driver for CUDA {}", runtime.version));
    let Some(least) = cuda_releases::least_driver(&runtime.version) else {
        let clause = clause.wanted(
            format!("a driver for CUDA {}", runtime.version),
            &*runtime.said_by,
        );
        return not_in_the_table(clause, host, device, runtime);
    };
    let clause = clause.wanted(format!(">= {}", least_text(&least)), &*runtime.said_by);
    let Some((driver, text, by)) = host.nvidia_driver(device) else {
        return clause.unknown("the driver's version cannot be read: is its module loaded?");
    };
    let clause = clause.there(text).there_by(by);
    if driver >= least {
        return clause.yes();
    }
    match image.runtime(RuntimeKind::CudaCompat) {
        // Works on data centre GPUs alone, and only where something puts it in front.
        Some(compat) if compat.version >= least => clause.unknown(format!(
            "the image has the compatibility package {} ({}): it works on data centre GPUs, with its \
             folder first in LD_LIBRARY_PATH",
            compat.version, compat.said_by
        )),
        _ => clause.no(format!(
            "update the driver to {} or later, or use an image for CUDA {} or older",
            least_text(&least),
            cuda_releases::of_driver(&driver)
                .map_or_else(|| "9".to_owned(), |cuda| cuda.to_string())
        )),
    }
}

/// A release that the table has not. Where the driver's branch is in it, later families are known not
/// to run on it.
fn not_in_the_table(
    clause: Clause,
    host: &HostFacts,
    device: &Device,
    runtime: &Runtime,
) -> Clause {
    let Some((driver, text, by)) = host.nvidia_driver(device) else {
        return clause.unknown("this release is not in the table of releases");
    };
    let clause = clause.there(text).there_by(by);
    let supports = cuda_releases::of_driver(&driver)
        .filter(|_| !cuda_releases::is_newer_than_table(&driver))
        .filter(|cuda| cuda.major() < runtime.version.major());
    match supports {
        Some(cuda) => clause.no(format!("use a newer driver: this one is for CUDA {cuda}")),
        None => clause.unknown(
            "this release is not in the table of releases: compare with its release notes",
        ),
    }
}

/// As NVIDIA writes versions: two digits in the third place.
fn least_text(version: &Version) -> String {
    match version.len() {
        3 if version.part(2) > 0 => format!(
            "{}.{}.{:02}",
            version.part(0),
            version.part(1),
            version.part(2)
        ),
        _ => format!("{}.{}", version.part(0), version.part(1)),
    }
}
