//! What the host says of itself, as far as an image can care: processor, kernel, modules, the driver's
//! libraries, engines.

mod kernel;
mod libraries;
mod node;

use super::facts::ImageFacts;
use super::version::Version;
use dunnage_host::HostRoot;
use dunnage_inventory::{Device, Inventory};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use libraries::HostLibrary;

/// The facts of a host. Paths are the host's own, without the root in front.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// Its name.
    pub name: Option<String>,
    /// The kernel's release: `6.8.0-45-generic`.
    pub kernel: Option<String>,
    /// In the words of image configurations.
    pub architecture: &'static str,
    /// `e_machine` of its programs.
    pub machine: u16,
    /// Where the architecture is said.
    pub architecture_by: String,
    /// Machines that an emulator is registered for.
    pub emulated: BTreeSet<u16>,
    /// `v1`, `hybrid`, `v2`.
    pub cgroup: Option<&'static str>,
    /// Engines whose socket or program is there.
    pub engines: Vec<String>,
    /// Loaded modules; absent where the list cannot be read.
    pub loaded: Option<BTreeSet<String>>,
    /// Modules of accelerators that are installed for this kernel and not loaded.
    pub installed: BTreeSet<String>,
    /// Modules that are built into the kernel, of those that matter.
    pub built_in: BTreeSet<String>,
    /// NVIDIA's kernel module.
    pub nvidia_module: Option<Module>,
    /// The driver's libraries that the image wants, by name.
    pub libraries: BTreeMap<String, HostLibrary>,
    /// Where libraries were looked for.
    pub searched: String,
    /// The kernel's configuration, without `CONFIG_`; this and what follows only where it is asked
    /// for.
    pub config: Option<BTreeMap<String, String>>,
    /// `/etc/os-release`.
    pub os_release: Option<BTreeMap<String, String>>,
    /// The PCI functions.
    pub pci: Option<Vec<BTreeMap<String, String>>>,
    /// The processor.
    pub cpu_model: Option<BTreeMap<String, String>>,
}

/// A kernel module's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The version.
    pub version: Version,
    /// As it is written.
    pub text: String,
    /// Where it is written.
    pub path: String,
}

impl HostFacts {
    /// Reads the host. `image` tells which libraries are of interest.
    #[must_use]
    pub fn read(
        host: &HostRoot,
        inventory: &Inventory,
        image: &ImageFacts,
        root: &Path,
    ) -> HostFacts {
        let mut facts = HostFacts::default();
        kernel::read(host, &mut facts);
        if image.nfd.is_some() {
            node::read(host, &mut facts);
        }
        let nvidia = inventory
            .devices
            .iter()
            .any(|device| device.vendor == "nvidia");
        let wanted = wanted(image);
        if nvidia || facts.nvidia_module.is_some() || !image.wants.is_empty() {
            libraries::read(host, root, &wanted, &mut facts);
        }
        facts
    }

    /// Whether a module is loaded or built in. The kernel writes `_` where files have `-`.
    #[must_use]
    pub fn has_module(&self, name: &str) -> bool {
        let name = name.replace('-', "_");
        let loaded = self
            .loaded
            .as_ref()
            .is_some_and(|loaded| loaded.contains(&name));
        loaded || self.built_in.contains(&name)
    }

    /// The kernel's version.
    #[must_use]
    pub fn kernel_version(&self) -> Option<Version> {
        Version::leading(self.kernel.as_deref()?)
    }

    /// The NVIDIA driver's version, as it is written, and where: the module's, else what the inventory
    /// says of the device.
    #[must_use]
    pub fn nvidia_driver(&self, device: &Device) -> Option<(Version, String, String)> {
        if let Some(module) = &self.nvidia_module {
            return Some((
                module.version.clone(),
                module.text.clone(),
                module.path.clone(),
            ));
        }
        let driver = device
            .driver
            .as_ref()
            .filter(|driver| driver.name == "nvidia")?;
        let text = driver.version.clone()?;
        Some((Version::parse(&text)?, text, device.id.clone()))
    }

    /// The version in the file name of the driver's library, and the file.
    #[must_use]
    pub fn nvidia_library_version(&self) -> Option<(Version, String)> {
        ["libcuda.so.1", "libnvidia-ml.so.1"]
            .iter()
            .find_map(|name| {
                let library = self.libraries.get(*name)?;
                Some((library.version.clone()?, library.path.clone()))
            })
    }
}

/// The libraries that files of the image need, and those that runtimes load by name.
fn wanted(image: &ImageFacts) -> BTreeSet<String> {
    let mut wanted: BTreeSet<String> = image.wants.iter().map(|want| want.soname.clone()).collect();
    wanted.insert("libcuda.so.1".to_owned());
    wanted.insert("libnvidia-ml.so.1".to_owned());
    wanted
}

#[cfg(test)]
mod tests;
