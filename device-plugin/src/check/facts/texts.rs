//! Small files that state a version, and the heads of programs for gate arrays.

use super::{Runtime, RuntimeKind, Xclbin};
use crate::check::version::Version;

/// What a small file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// `/usr/local/cuda/version.json`.
    CudaJson,
    /// `/usr/local/cuda/version.txt`, before CUDA 11.1.
    CudaPlain,
    /// `/opt/rocm/.info/version`.
    Rocm,
    /// A program for a Xilinx gate array.
    Xclbin,
}

impl Text {
    /// The most that is read of such a file, in bytes.
    pub(super) fn limit(self) -> u64 {
        match self {
            Text::Xclbin => 512,
            Text::CudaJson | Text::CudaPlain | Text::Rocm => 64 << 10,
        }
    }
}

/// What a path is by its name.
pub(super) fn of(path: &str) -> Option<Text> {
    if path.contains("/cuda") && path.ends_with("/version.json") {
        Some(Text::CudaJson)
    } else if path.contains("/cuda") && path.ends_with("/version.txt") {
        Some(Text::CudaPlain)
    } else if path.contains("rocm") && path.ends_with("/.info/version") {
        Some(Text::Rocm)
    } else if path.ends_with(".xclbin") {
        Some(Text::Xclbin)
    } else {
        None
    }
}

/// The version that such a file states.
pub(super) fn runtime(text: Text, content: &[u8], path: &str) -> Option<Runtime> {
    let content = std::str::from_utf8(content).ok()?;
    let (kind, version) = match text {
        Text::CudaJson => {
            let json: serde_json::Value = serde_json::from_str(content).ok()?;
            let version = json.get("cuda")?.get("version")?.as_str()?;
            (RuntimeKind::Cuda, Version::parse(version)?)
        }
        Text::CudaPlain => {
            let rest = content.trim().strip_prefix("CUDA Version ")?;
            (RuntimeKind::Cuda, Version::leading(rest)?)
        }
        Text::Rocm => (RuntimeKind::Rocm, Version::leading(content.trim())?),
        Text::Xclbin => return None,
    };
    Some(Runtime {
        kind,
        version,
        said_by: path.to_owned(),
    })
}

/// A version that the name of a Python package's folder states:
/// `nvidia_cuda_runtime_cu12-12.4.127.dist-info`.
pub(super) fn of_package(path: &str) -> Option<Runtime> {
    let name = path
        .strip_suffix(".dist-info/METADATA")?
        .rsplit('/')
        .next()?;
    let (name, version) = name.rsplit_once('-')?;
    let known = name == "nvidia_cuda_runtime" || name.starts_with("nvidia_cuda_runtime_cu");
    known.then(|| {
        Some(Runtime {
            kind: RuntimeKind::Cuda,
            version: Version::parse(version)?,
            said_by: path.to_owned(),
        })
    })?
}

/// The platform of a program for a Xilinx gate array (`struct axlf` of XRT's `xclbin.h`).
pub(super) fn xclbin(head: &[u8]) -> Option<Xclbin> {
    if !head.starts_with(b"xclbin2\0") {
        return None;
    }
    let interface = head.get(336..352)?;
    let platform = head.get(352..416)?;
    let end = platform.iter().position(|&byte| byte == 0).unwrap_or(64);
    let interface: String = interface.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Xclbin {
        platform: String::from_utf8_lossy(&platform[..end]).into_owned(),
        interface: Some(interface).filter(|uuid| uuid.bytes().any(|digit| digit != b'0')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_every_sort_of_text() {
        let path = "/usr/local/cuda-12.4/version.json";
        let json = br#"{"cuda":{"name":"CUDA SDK","version":"12.4.1"}}"#;
        let found = runtime(of(path).unwrap(), json, path).unwrap();
        assert_eq!(found.version, Version::of(&[12, 4, 1]));
        let found = runtime(Text::CudaPlain, b"CUDA Version 10.1.243\n", "x").unwrap();
        assert_eq!(found.version, Version::of(&[10, 1, 243]));
        let found = runtime(
            of("/opt/rocm-6.1.0/.info/version").unwrap(),
            b"6.1.0-82\n",
            "x",
        );
        assert_eq!(found.unwrap().version, Version::of(&[6, 1]));
        let package = "/v/site-packages/nvidia_cuda_runtime_cu12-12.4.127.dist-info/METADATA";
        assert_eq!(
            of_package(package).unwrap().version,
            Version::of(&[12, 4, 127])
        );
        assert!(of_package("/v/nvidia_cublas_cu12-12.4.5.8.dist-info/METADATA").is_none());
        assert!(runtime(Text::CudaJson, b"{\"cuda\":[", "x").is_none());
    }

    #[test]
    fn the_platform_of_a_gate_array_program_is_read() {
        let mut head = vec![0; 512];
        head[..8].copy_from_slice(b"xclbin2\0");
        head[352..376].copy_from_slice(b"xilinx_u250_gen3x16_xdma");
        let found = xclbin(&head).unwrap();
        assert_eq!(found.platform, "xilinx_u250_gen3x16_xdma");
        assert_eq!(found.interface, None);
        assert!(xclbin(&head[..400]).is_none());
        assert!(xclbin(b"xclbin1\0").is_none());
    }
}
