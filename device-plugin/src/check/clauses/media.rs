//! Video by VA-API and OpenCL's loader: any vendor's GPU serves, if its driver is in the image.

use super::asks::{Ask, media_drivers};
use super::{Clause, device::node};
use crate::check::facts::ImageFacts;
use dunnage_inventory::{Device, Role};

/// A VA-API driver for the GPU, and its render node.
pub(super) fn clauses(image: &ImageFacts, device: &Device, ask: &Ask) -> Vec<Clause> {
    let drivers = media_drivers(image);
    let clause = Clause::new("VA-API driver for this GPU")
        .wanted(list(&drivers), &*ask.by)
        .there(device.model.as_deref().unwrap_or(&device.vendor))
        .there_by(&*device.id);
    let driver = drivers.iter().find(|(vendor, _)| *vendor == device.vendor);
    let clause = match driver {
        Some((vendor, path)) if drives(vendor, path, device) => clause.yes(),
        Some(_) => clause.unknown(
            "the driver in the image and this GPU are of different times: compare the list of the \
             driver's release",
        ),
        None if ask.meant => clause.no(format!(
            "install the VA-API driver for {} in the image",
            device.vendor
        )),
        None => clause.unknown(format!(
            "the image can use another vendor's GPU; for this one add the driver for {}",
            device.vendor
        )),
    };
    let remedy = "load the GPU's driver: without a render node nothing can be decoded";
    vec![
        clause,
        node(device, Role::Render, "/dev/dri/renderD*", &ask.by, remedy),
    ]
}

/// Whether a driver is known to drive the GPU: `iHD` from Gen8 on, `radeonsi` whatever amdgpu drives.
fn drives(vendor: &str, path: &str, device: &Device) -> bool {
    let id = device.pci.as_ref().map(|pci| pci.device);
    let kernel = device.driver.as_ref().map(|driver| driver.name.as_str());
    match vendor {
        // Known to be in every release of the last years: Gen8 to Xe-HPG.
        "intel" if path.ends_with("/iHD_drv_video.so") => id.is_some_and(|id| {
            const IDS: [(u16, u16); 14] = [
                (0x1600, 0x163f),
                (0x1900, 0x193f),
                (0x5900, 0x593f),
                (0x3e90, 0x3eaf),
                (0x9b40, 0x9bff),
                (0x5a84, 0x5a85),
                (0x3184, 0x3185),
                (0x8a50, 0x8a71),
                (0x4e50, 0x4e71),
                (0x9a40, 0x9aff),
                (0x4c80, 0x4c9f),
                (0x4680, 0x46d4),
                (0xa720, 0xa7af),
                (0x5690, 0x56c2),
            ];
            kernel == Some("i915")
                && IDS
                    .iter()
                    .any(|&(first, last)| (first..=last).contains(&id))
        }),
        _ => false,
    }
}

fn list(drivers: &[(&str, String)]) -> String {
    let names = drivers
        .iter()
        .filter_map(|(_, path)| path.rsplit('/').next());
    names.collect::<Vec<_>>().join(" or ")
}

/// OpenCL's loader alone: whether a vendor's part is there, the image does not say.
pub(super) fn opencl(image: &ImageFacts, device: &Device, ask: &Ask) -> Vec<Clause> {
    let clause = Clause::new("OpenCL driver for this device")
        .wanted("libOpenCL.so.1 and a vendor's driver", &*ask.by)
        .there(device.model.as_deref().unwrap_or(&device.vendor))
        .there_by(&*device.id);
    let known = image.library("libigdrcl.so").is_some() && device.vendor == "intel";
    vec![if known {
        clause.unknown("Intel's driver is in the image; the loader must find it")
    } else {
        clause.unknown("put the vendor's OpenCL driver into the image, or use one that has it")
    }]
}
