//! What an image says of itself: its configuration, its files, the code in them.
//!
//! These facts are all that the clauses see of an image. They go into the cache, so that they are
//! plain values.

pub mod code;
mod collect;
pub mod elf;
pub(crate) mod names;
pub mod nfd;
mod stream;
mod texts;

use super::version::Version;
use code::Targets;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use collect::Collector;

/// The facts of an image. Paths are the image's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// From the image's configuration, in Go's words: `amd64`.
    pub architecture: Option<String>,
    /// From the image's configuration.
    pub os: Option<String>,
    /// From the image's configuration.
    pub env: Vec<(String, String)>,
    /// From the image's configuration.
    pub labels: BTreeMap<String, String>,
    /// From the image's manifest.
    pub annotations: BTreeMap<String, String>,
    /// The program that is started, where the configuration names one.
    pub program: Option<String>,
    /// Programs by the machine they are for (`e_machine`), each with one of them.
    pub machines: BTreeMap<u16, String>,
    /// The machine of `program`, where it is an ELF file.
    pub program_machine: Option<u16>,
    /// The C library.
    pub libc: Libc,
    /// Libraries of drivers that files need and the image has not.
    pub wants: Vec<Want>,
    /// There were more of them than are kept.
    pub wants_cut: bool,
    /// Libraries that matter to accelerators and are in the image, by name.
    pub libraries: BTreeMap<String, Library>,
    /// Symbols of drivers that libraries of the image itself define.
    pub defined: BTreeSet<String>,
    /// Versions of runtimes: what, version, where that is said.
    pub runtimes: Vec<Runtime>,
    /// Device code, by file.
    pub code: BTreeMap<String, Targets>,
    /// Files that a check should have read and could not: path and why.
    pub unread: BTreeMap<String, String>,
    /// Programs for gate arrays: path, and the platform that each is for.
    pub xclbins: BTreeMap<String, Xclbin>,
    /// What is attached to the image for Node Feature Discovery, and where. Not kept: it may be
    /// attached later.
    #[serde(skip)]
    pub nfd: Option<(nfd::Specification, String)>,
}

/// The C libraries of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libc {
    /// The newest version of glibc's symbols, and the library.
    pub glibc: Option<(Version, String)>,
    /// musl's loader.
    pub musl: Option<String>,
    /// What lets musl run programs for glibc.
    pub gcompat: Option<String>,
}

/// A library of a driver that a file needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The library: `libcuda.so.1`.
    pub soname: String,
    /// The file that needs it.
    pub path: String,
    /// The file's machine (`e_machine`).
    pub machine: u16,
    /// The versions that it wants of that library.
    pub versions: Vec<String>,
    /// The symbols that it wants of drivers.
    pub symbols: Vec<String>,
}

/// A library in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// Where it is.
    pub path: String,
    /// The version in its file's name, or in that of the file a link leads to.
    pub version: Option<Version>,
    /// Whether it is needed by another file of the image, and by which.
    pub needed_by: Option<String>,
}

/// Of what a version is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RuntimeKind {
    /// The CUDA runtime.
    Cuda,
    /// The package that lets newer CUDA run on older drivers: the driver version it is of.
    CudaCompat,
    /// ROCm.
    Rocm,
}

/// A runtime whose version is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Runtime {
    /// Which.
    pub kind: RuntimeKind,
    /// Its version.
    pub version: Version,
    /// Where that is said.
    pub said_by: String,
}

/// A program for a Xilinx gate array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xclbin {
    /// The platform's name (vendor, board, name, version).
    pub platform: String,
    /// The interface's UUID, hexadecimal without dashes; absent where all zeros.
    pub interface: Option<String>,
}

impl ImageFacts {
    /// The value of an environment variable.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        // The last one counts, as for a program that is started with both.
        let mut values = self.env.iter().rev().filter(|(key, _)| key == name);
        values.next().map(|(_, value)| value.as_str())
    }

    /// The first library of the image whose name begins so.
    #[must_use]
    pub fn library(&self, beginning: &str) -> Option<(&str, &Library)> {
        self.libraries
            .range(beginning.to_owned()..)
            .next()
            .filter(|(name, _)| name.starts_with(beginning))
            .map(|(name, library)| (name.as_str(), library))
    }

    /// The newest version of a runtime.
    #[must_use]
    pub fn runtime(&self, kind: RuntimeKind) -> Option<&Runtime> {
        self.runtimes
            .iter()
            .filter(|runtime| runtime.kind == kind)
            .max_by(|a, b| a.version.cmp(&b.version))
    }
}
