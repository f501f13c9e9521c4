//! The user-space half of a driver: the files that lie on the host and that a container needs beside
//! the device nodes, because they must be of the same version as the kernel module.
//!
//! Only NVIDIA's driver is like that. Intel's and AMD's user space speaks a stable kernel interface
//! and belongs into the image.

mod elf;
pub mod ld_cache;
mod libraries;
pub mod nvidia;

pub use elf::Machine;
pub use libraries::{HostLibrary, Libraries, libraries};

use dunnage_model::gap::Gap;
use std::path::PathBuf;

/// Where the driver's files are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The folder of the host that is the root of the driver's installation: `/` where it is installed
    /// as usual, `/run/nvidia/driver` where a container installed it. Links below it are followed
    /// inside it.
    pub driver_root: PathBuf,
}

impl Default for Search {
    fn default() -> Search {
        Search {
            driver_root: PathBuf::from("/"),
        }
    }
}

/// What a file of a driver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A shared library that programs load by its name.
    Library,
    /// A module of the X server, which is loaded by its path.
    XorgModule,
    /// A program.
    Binary,
    /// Firmware.
    Firmware,
    /// A socket of a daemon.
    Socket,
    /// A configuration file by which loaders of OpenCL, Vulkan or EGL find the driver.
    Configuration,
}

/// One file of a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverFile {
    /// What it is.
    pub kind: FileKind,
    /// The file itself, all links followed, as the host names it: with the driver root in front,
    /// without the host root.
    pub host_path: PathBuf,
    /// Where the same file belongs in a container: without the driver root.
    pub container_path: PathBuf,
    /// For what is loaded: the further names by which it is asked for, relative to the folder of
    /// `container_path` (`libcuda.so.1`, `gbm/nvidia-drm_gbm.so`). On the host these are links.
    pub links: Vec<PathBuf>,
}

/// The files of one driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverFiles {
    /// The driver's version, as its libraries have it in their names: `535.261.03`.
    pub version: String,
    /// The instruction set of its libraries.
    pub machine: Machine,
    /// The folders that hold its libraries, as the driver root names them, in the order of the search.
    pub library_directories: Vec<PathBuf>,
    /// All files, in a stable order; no `container_path` twice.
    pub files: Vec<DriverFile>,
    /// What could not be read, and why.
    pub gaps: Vec<Gap>,
}

/// Why a driver's files could not be found.
#[derive(Debug, thiserror::Error)]
pub enum DriverFilesError {
    /// The driver root is not there.
    #[error(
        "cannot look below the driver root {root}: {source}; name the folder that has the driver's usr/lib"
    )]
    Root {
        /// The folder that was asked for.
        root: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// No library tells which driver is installed.
    #[error(
        "found neither libcuda.so.X.Y nor libnvidia-ml.so.X.Y below {root}: looked in {looked}; \
         install the driver's user space (Debian: libcuda1) or name its root"
    )]
    NoDriver {
        /// The driver root.
        root: PathBuf,
        /// Where it was looked for.
        looked: String,
    },
}
