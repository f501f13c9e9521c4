//! The names of libraries that matter to accelerators.

use crate::check::version::Version;

/// Whether a library comes with a driver of the host and belongs in no image. NVIDIA's alone are so:
/// those of the others go with the kernel and are installed in the image.
pub(crate) fn is_of_driver(soname: &str) -> bool {
    const OWN: [&str; 6] = [
        "libcuda.so",
        "libcudadebugger.so",
        "libnvcuvid.so",
        "libnvoptix.so",
        "libnvidia-",
        "libnvrm_gpu.so",
    ];
    // These bear the name and are programs' own.
    const OTHERS: [&str; 2] = ["libnvidia-container", "libnvidia-egl-"];
    OWN.iter().any(|name| soname.starts_with(name))
        && !OTHERS.iter().any(|name| soname.starts_with(name))
}

/// Whether a symbol is one of NVIDIA's driver: `cuInit`, `nvmlInit_v2`, `cuvidCreateDecoder`.
pub(crate) fn is_driver_symbol(name: &str) -> bool {
    let upper = |prefix: &str| {
        name.strip_prefix(prefix)
            .and_then(|rest| rest.chars().next())
            .is_some_and(|c| c.is_ascii_uppercase())
    };
    (upper("cu") && !name.starts_with("cuFile")) || upper("nvml") || upper("cuvid")
}

/// The library that a driver's symbol is in.
pub(crate) fn library_of_symbol(name: &str) -> &'static str {
    if name.starts_with("nvml") {
        "libnvidia-ml.so.1"
    } else if name.starts_with("cuvid") {
        "libnvcuvid.so.1"
    } else {
        "libcuda.so.1"
    }
}

/// Whether a library in an image says something of what the image is for.
pub(crate) fn is_of_interest(name: &str) -> bool {
    const NAMES: [&str; 27] = [
        "libcudart",
        "libhsa-runtime64.so",
        "libamdhip64.so",
        "librocm_smi64.so",
        "libamd_smi.so",
        "libze_loader.so",
        "libze_intel_gpu.so",
        "libze_intel_npu.so",
        "libze_intel_vpu.so",
        "libigdrcl.so",
        "libsycl.so",
        "libOpenCL.so",
        "libva.so",
        "libvpl.so",
        "libmfx",
        "libopae-c.so",
        "libopae-v.so",
        "libxrt_core.so",
        "libxrt_coreutil.so",
        "libxilinxopencl.so",
        "libSynapse.so",
        "libhl-thunk.so",
        "libqat.so",
        "libqat_s.so",
        "libusdm_drv_s.so",
        "libaccel-config.so",
        "libintel_vpu",
    ];
    is_of_driver(name)
        || name.ends_with("_drv_video.so")
        || NAMES.iter().any(|known| name.starts_with(known))
}

/// The version in a library's file name: `libcudart.so.12.4.127` is 12.4.127.
pub(crate) fn version_in(name: &str) -> Option<Version> {
    let (_, version) = name.split_once(".so.")?;
    Version::parse(version)
}

/// `libcudart-d0da41ae.so.11.0`, as Python's packaging tools rename what they bundle, is
/// `libcudart.so.11.0`.
pub(crate) fn without_hash(name: &str) -> String {
    let Some((stem, rest)) = name.split_once(".so") else {
        return name.to_owned();
    };
    match stem.rsplit_once('-') {
        Some((own, hash))
            if hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            format!("{own}.so{rest}")
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn driver_libraries_and_symbols_are_told_apart() {
        assert!(is_of_driver("libcuda.so.1"));
        assert!(is_of_driver("libnvidia-ptxjitcompiler.so.1"));
        assert!(!is_of_driver("libcudart.so.12"));
        assert!(!is_of_driver("libnvidia-container.so.1"));
        assert!(is_driver_symbol("cuInit") && is_driver_symbol("nvmlInit_v2"));
        for other in [
            "cudaMalloc",
            "cublasCreate_v2",
            "cuFileOpen",
            "cu",
            "nvmlib",
        ] {
            assert!(!is_driver_symbol(other), "{other}");
        }
        assert_eq!(
            without_hash("libcudart-d0da41ae.so.11.0"),
            "libcudart.so.11.0"
        );
        assert_eq!(without_hash("libnvidia-ml.so.1"), "libnvidia-ml.so.1");
        assert_eq!(version_in("libcudart.so.12").unwrap().major(), 12);
    }
}
