//! Intel GPUs and NPUs: the user space is in the image, the kernel's part on the host.

use super::asks::{Ask, Stack};
use super::{Clause, device::node};
use crate::check::facts::ImageFacts;
use crate::check::host::HostFacts;
use dunnage_inventory::{Device, Role};

pub(super) fn clauses(
    image: &ImageFacts,
    _: &HostFacts,
    device: &Device,
    ask: &Ask,
) -> Vec<Clause> {
    if ask.stack == Stack::IntelNpu {
        return vec![
            node(
                device,
                Role::Own,
                "/dev/accel/accelN",
                &ask.by,
                "load the module intel_vpu",
            ),
            Clause::new("NPU driver in the image against the kernel's")
                .wanted("a kernel of the driver's time", &*ask.by)
                .unknown("firmware and driver must be of one release: compare their versions"),
        ];
    }
    let mut clauses = vec![node(
        device,
        Role::Render,
        "/dev/dri/renderD*",
        &ask.by,
        "load the module i915 or xe",
    )];
    let driver = driver(image, ask);
    let generation = generation_clause(image, device, ask);
    clauses.push(driver);
    clauses.push(generation);
    clauses
}

/// The driver's user space, which must be in the image.
fn driver(image: &ImageFacts, ask: &Ask) -> Clause {
    let clause = Clause::new("Intel's compute driver in the image")
        .wanted("libze_intel_gpu.so.1 or libigdrcl.so", &*ask.by)
        .there_by("the image");
    match compute_driver(image) {
        Some((_, path)) => clause.there(path).yes(),
        None => clause.there("none").no(
            "install Intel's compute runtime in the image (libze-intel-gpu1, intel-opencl-icd)",
        ),
    }
}

/// The driver's build number where its file name has one (`libze_intel_gpu.so.1.6.31294`), and where
/// it is.
fn compute_driver(image: &ImageFacts) -> Option<(Option<u32>, String)> {
    let (_, library) = image
        .library("libze_intel_gpu.so")
        .or_else(|| image.library("libigdrcl.so"))?;
    let build = library
        .version
        .as_ref()
        .filter(|version| version.len() >= 3);
    Some((build.map(|version| version.part(2)), library.path.clone()))
}

/// Intel's generations by device id, with the first build of the compute runtime that is known to
/// drive them, the first that does no more, and whether `xe` drives them.
struct Generation {
    name: &'static str,
    ids: &'static [(u16, u16)],
    from: u32,
    until: Option<u32>,
}

/// From the kernel's `include/drm/intel/pciids.h` and the release notes of Intel's compute runtime;
/// builds are rounded up to releases that name the generation as supported.
const GENERATIONS: [Generation; 8] = [
    Generation {
        name: "Gen8 to Gen9.5",
        ids: &[
            (0x1600, 0x163f),
            (0x1900, 0x193f),
            (0x5900, 0x593f),
            (0x3e90, 0x3eaf),
            (0x9b40, 0x9bff),
            (0x0a84, 0x0a84),
            (0x1a84, 0x1a85),
            (0x5a84, 0x5a85),
            (0x3184, 0x3185),
        ],
        from: 18000,
        until: Some(31000),
    },
    Generation {
        name: "Gen11",
        ids: &[(0x8a50, 0x8a71), (0x4540, 0x4571), (0x4e50, 0x4e71)],
        from: 20000,
        until: Some(31000),
    },
    Generation {
        name: "Xe-LP",
        ids: &[
            (0x9a40, 0x9aff),
            (0x4c80, 0x4c9f),
            (0x4680, 0x46d4),
            (0xa720, 0xa7af),
            (0x4905, 0x4909),
        ],
        from: 23000,
        until: None,
    },
    Generation {
        name: "Xe-HPG",
        ids: &[(0x5690, 0x56c2)],
        from: 25000,
        until: None,
    },
    Generation {
        name: "Xe-HPC",
        ids: &[(0x0bd4, 0x0be5)],
        from: 25000,
        until: None,
    },
    Generation {
        name: "Xe-LPG",
        ids: &[(0x7d40, 0x7d67), (0x7dd1, 0x7dd5)],
        from: 28000,
        until: None,
    },
    Generation {
        name: "Xe2-LPG",
        ids: &[(0x6420, 0x64b0)],
        from: 31500,
        until: None,
    },
    Generation {
        name: "Xe2-HPG",
        ids: &[(0xe202, 0xe223)],
        from: 32000,
        until: None,
    },
];

/// The first build that is known to work on `xe` without being told to.
const XE_FROM: u32 = 30000;

fn generation(id: u16) -> Option<&'static Generation> {
    GENERATIONS.iter().find(|generation| {
        generation
            .ids
            .iter()
            .any(|&(first, last)| (first..=last).contains(&id))
    })
}

fn generation_clause(image: &ImageFacts, device: &Device, ask: &Ask) -> Clause {
    let clause = Clause::new("compute driver for this generation of GPU");
    let id = device.pci.as_ref().map(|pci| pci.device);
    let known = id.and_then(generation);
    let clause = match (known, id) {
        (Some(known), Some(id)) => clause.there(format!("{} ({id:04x})", known.name)),
        (None, Some(id)) => clause.there(format!("a generation that is not known ({id:04x})")),
        _ => clause.there("unknown"),
    };
    let clause = clause.there_by(&*device.id);
    let (build, path) = match compute_driver(image) {
        Some((Some(build), path)) => (build, path),
        Some((None, path)) => {
            return clause.wanted("a build that is not named", path).unknown(
                "the driver's file name tells no version: compare with its release notes",
            );
        }
        None => return clause.wanted("a driver", &*ask.by).beside(),
    };
    let clause = clause.wanted(format!("what build {build} drives"), path);
    let on_xe = device
        .driver
        .as_ref()
        .is_some_and(|driver| driver.name == "xe");
    match known {
        Some(known) if known.until.is_some_and(|until| build >= until) => clause.no(
            "install the legacy compute runtime (intel-opencl-icd-legacy1) in the image: newer ones \
             left this generation",
        ),
        Some(known) if build >= known.from && (!on_xe || build >= XE_FROM) => clause.yes(),
        Some(_) if on_xe => {
            clause.unknown("this build is from before the driver xe was supported: use a newer one")
        }
        Some(_) => clause.unknown("this build may be older than the GPU: use a newer one"),
        None => clause.unknown("compare the compute runtime's release notes with the device id"),
    }
}
