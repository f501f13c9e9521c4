//! What an image asks for, by what is in it.

use crate::check::facts::ImageFacts;
use crate::check::facts::names::is_of_driver;
use dunnage_inventory::{Device, Kind};

/// A way to an accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stack {
    Cuda,
    Rocm,
    LevelZero,
    IntelNpu,
    Dfl,
    Xrt,
    Habana,
    Qat,
    Dsa,
    Media,
    OpenCl,
}

impl Stack {
    /// What serves it, in words.
    pub(crate) fn device(self) -> &'static str {
        match self {
            Stack::Cuda => "an NVIDIA GPU",
            Stack::Rocm => "an AMD GPU",
            Stack::LevelZero => "an Intel GPU",
            Stack::IntelNpu => "an Intel NPU",
            Stack::Dfl => "an FPGA with a DFL port",
            Stack::Xrt => "an FPGA with XRT's driver",
            Stack::Habana => "a Gaudi accelerator",
            Stack::Qat => "a QAT engine",
            Stack::Dsa => "a DSA or IAA work queue",
            Stack::Media => "a GPU with a video engine",
            Stack::OpenCl => "an OpenCL device",
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stack::Cuda => "CUDA",
            Stack::Rocm => "ROCm",
            Stack::LevelZero => "Level Zero",
            Stack::IntelNpu => "Intel NPU",
            Stack::Dfl => "OPAE",
            Stack::Xrt => "XRT",
            Stack::Habana => "Gaudi",
            Stack::Qat => "QAT",
            Stack::Dsa => "DSA",
            Stack::Media => "VA-API",
            Stack::OpenCl => "OpenCL",
        }
    }

    /// Whether a device is of the sort that serves it.
    pub(crate) fn is_served_by(self, device: &Device) -> bool {
        let intel = device.vendor == "intel";
        match self {
            Stack::Cuda => device.vendor == "nvidia" && device.kind == Kind::Gpu,
            Stack::Rocm => device.vendor == "amd" && device.kind == Kind::Gpu,
            Stack::LevelZero => intel && device.kind == Kind::Gpu,
            Stack::IntelNpu => intel && device.kind == Kind::Npu,
            Stack::Dfl => device.family == "dfl",
            Stack::Xrt => device.family == "xrt",
            Stack::Habana => device.vendor == "habana" || device.family == "habana",
            Stack::Qat => device.kind == Kind::Qat,
            Stack::Dsa => device.kind == Kind::Dsa,
            Stack::Media => {
                device.kind == Kind::Gpu && (intel || matches!(&*device.vendor, "amd" | "nvidia"))
            }
            Stack::OpenCl => matches!(device.kind, Kind::Gpu | Kind::Fpga),
        }
    }
}

/// That an image asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) stack: Stack,
    /// Where that shows.
    pub(crate) by: String,
    /// Whether it is meant: a loader that serves any vendor and the processor too is only a hint, as
    /// distributions install it along with much else.
    pub(crate) meant: bool,
}

/// All that an image asks for, what is meant before what is only hinted at.
pub(crate) fn of(image: &ImageFacts) -> Vec<Ask> {
    let mut asks = Vec::new();
    let mut add = |stack, by: Option<String>, meant| {
        if let Some(by) = by {
            asks.push(Ask { stack, by, meant });
        }
    };
    add(Stack::Cuda, cuda(image), true);
    let library = |names: &[&str]| {
        let mut found = names.iter().filter_map(|name| image.library(name));
        found.next().map(|(_, library)| library.path.clone())
    };
    let amd_code = image
        .code
        .iter()
        .find(|(_, targets)| !targets.amd.is_empty());
    let rocm = library(&["libhsa-runtime64.so", "libamdhip64.so", "librocm_smi64.so"])
        .or_else(|| amd_code.map(|(path, _)| path.clone()));
    add(Stack::Rocm, rocm, true);
    let intel = library(&["libze_intel_gpu.so", "libigdrcl.so", "libsycl.so"]).or_else(|| {
        image
            .library("libze_loader.so")
            .and_then(|(_, library)| library.needed_by.clone())
    });
    add(Stack::LevelZero, intel, true);
    add(
        Stack::IntelNpu,
        library(&["libze_intel_npu.so", "libze_intel_vpu.so"]),
        true,
    );
    add(
        Stack::Dfl,
        library(&["libopae-c.so"]).or_else(|| fpga_env(image)),
        true,
    );
    let xclbin = image.xclbins.keys().next().cloned();
    add(
        Stack::Xrt,
        library(&["libxrt_core.so", "libxilinxopencl.so"]).or(xclbin),
        true,
    );
    add(
        Stack::Habana,
        library(&["libSynapse.so", "libhl-thunk.so"]),
        true,
    );
    add(
        Stack::Qat,
        library(&["libqat.so", "libqat_s.so", "libusdm_drv_s.so"]),
        true,
    );
    add(Stack::Dsa, library(&["libaccel-config.so"]), true);
    let drivers = media_drivers(image);
    let of_one_vendor = drivers.len() == 1;
    let driver = drivers.first().map(|(_, path)| path.clone());
    add(Stack::Media, driver, of_one_vendor);
    let opencl = image.library("libOpenCL.so");
    add(
        Stack::OpenCl,
        opencl.and_then(|(_, library)| library.needed_by.clone()),
        false,
    );
    // What is meant decides; hints count only where nothing is.
    if asks.iter().any(|ask| ask.meant) {
        asks.retain(|ask| ask.meant);
    }
    asks
}

/// Where an image shows that it wants NVIDIA's driver.
fn cuda(image: &ImageFacts) -> Option<String> {
    if let Some(want) = image.wants.iter().find(|want| is_of_driver(&want.soname)) {
        return Some(want.path.clone());
    }
    if let Some((_, library)) = image.library("libcudart") {
        return Some(library.path.clone());
    }
    let code = image
        .code
        .iter()
        .find(|(_, targets)| !targets.nvidia.is_empty());
    if let Some((path, _)) = code {
        return Some(path.clone());
    }
    let asked = |name: &str| {
        let value = image.env(name)?;
        let nothing = ["", "void", "none"].contains(&value.trim());
        (!nothing).then(|| format!("{name} in the image's environment"))
    };
    let require = image
        .env
        .iter()
        .find(|(name, value)| name.starts_with("NVIDIA_REQUIRE_") && !value.trim().is_empty());
    asked("NVIDIA_VISIBLE_DEVICES")
        .or_else(|| require.map(|(name, _)| format!("{name} in the image's environment")))
}

fn fpga_env(image: &ImageFacts) -> Option<String> {
    let wanted = image
        .env
        .iter()
        .find(|(name, _)| name.starts_with("FPGA_AFU_"));
    wanted.map(|(name, _)| format!("{name} in the image's environment"))
}

/// The VA-API drivers in an image, one of each vendor: (vendor, path).
pub(crate) fn media_drivers(image: &ImageFacts) -> Vec<(&'static str, String)> {
    const DRIVERS: [(&str, &str); 7] = [
        ("iHD_drv_video.so", "intel"),
        ("i965_drv_video.so", "intel"),
        ("radeonsi_drv_video.so", "amd"),
        ("r600_drv_video.so", "amd"),
        ("nvidia_drv_video.so", "nvidia"),
        ("nouveau_drv_video.so", "nouveau"),
        ("virtio_gpu_drv_video.so", "virtio"),
    ];
    let mut found: Vec<(&'static str, String)> = Vec::new();
    for (name, vendor) in DRIVERS {
        if let Some(library) = image.libraries.get(name)
            && !found.iter().any(|(known, _)| *known == vendor)
        {
            found.push((vendor, library.path.clone()));
        }
    }
    found
}
