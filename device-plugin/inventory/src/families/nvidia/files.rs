//! What sysfs and `/proc` tell of the GPUs, without NVIDIA's library.

use super::proc::{self, Capability, Information, Version};
use crate::device::{Driver, Node, PciPlace, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

/// NVIDIA's vendor id on the PCI bus.
const VENDOR: u16 = 0x10de;

/// The PCI base class of display controllers; switches and sound cards of NVIDIA have others.
const DISPLAY: u32 = 0x03;

/// Where the kernel driver tells of itself.
pub(super) const DRIVER: &str = "/proc/driver/nvidia";

/// Where it says which minor number stands for which right.
const MINORS: &str = "/proc/driver/nvidia-caps/mig-minors";

/// The most bytes that are taken of a file of the driver; `mig-minors` of 32 GPUs has 110 000.
const FILE_LIMIT: usize = 1 << 20;

/// The most GPUs, and the most instances of one, that are looked at.
const GPUS_LIMIT: usize = 1024;

/// The major number of all of NVIDIA's nodes that have no other (`NV_MAJOR_DEVICE_NUMBER`).
const MAJOR: u32 = 195;

/// Drivers that only keep a device for somebody else, mostly a virtual machine.
const KEEPERS: &[&str] = &["pci-stub", "pciback", "xen-pciback", "uio_pci_generic"];

/// One GPU on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Card {
    /// `0000:65:00.0`.
    pub(super) address: String,
    /// Absent where only the driver tells of the GPU.
    pub(super) pci: Option<PciPlace>,
    /// What is bound.
    pub(super) driver: Option<Driver>,
    /// What the driver tells; absent where it tells nothing.
    pub(super) information: Option<Information>,
    /// The processor's NUMA node that it hangs on.
    pub(super) numa_node: Option<u32>,
    /// The NUMA node that its own memory is.
    pub(super) memory_node: Option<u32>,
    /// Its DRM nodes.
    pub(super) drm: Vec<Node>,
    /// Whether its configuration space reads as all ones: nothing answers there any more.
    pub(super) gone: bool,
    /// MIG instances: GPU instance and compute instance id.
    pub(super) instances: BTreeSet<(u32, u32)>,
}

impl Card {
    /// Whether NVIDIA's own driver has it.
    pub(super) fn is_driven(&self) -> bool {
        self.driver
            .as_ref()
            .is_some_and(|driver| driver.name == "nvidia")
    }

    /// A key that sorts as the driver counts: by domain, bus, slot and function.
    pub(super) fn order(&self) -> (u32, String) {
        order(&self.address)
    }
}

/// Sorts addresses by number: domains have four digits or more.
pub(super) fn order(address: &str) -> (u32, String) {
    let domain = address.split(':').next().and_then(pci::hexadecimal);
    (domain.unwrap_or(u32::MAX), address.to_owned())
}

/// All that the files tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// In the driver's order.
    pub(super) cards: Vec<Card>,
    /// The running module; absent where none runs or it cannot be seen.
    pub(super) version: Option<Version>,
    /// Whether `/proc/driver/nvidia` is there.
    pub(super) speaks: bool,
    /// Which minor number stands for which right.
    pub(super) minors: BTreeMap<Capability, u32>,
    /// Major numbers by driver.
    pub(super) majors: BTreeMap<String, u32>,
}

/// Reads it all. Where there is neither an NVIDIA GPU nor its driver this is two listings.
pub(super) fn read(host: &HostRoot) -> Files {
    let speaks = host
        .locate(DRIVER)
        .is_ok_and(|located| located.metadata.is_dir());
    let mut addresses: BTreeSet<String> = pci::functions(host)
        .into_iter()
        .filter(|address| is_gpu(host, address))
        .collect();
    addresses.extend(
        names(host, Path::new(DRIVER).join("gpus"))
            .into_iter()
            .filter(|name| pci::is_address(name)),
    );
    let mut files = Files {
        speaks,
        ..Files::default()
    };
    if addresses.is_empty() && !speaks {
        return files;
    }
    files.version = text(host, Path::new(DRIVER).join("version"))
        .and_then(|text| proc::version(&text))
        .or_else(|| module_version(host));
    files.minors = text(host, MINORS)
        .map(|text| proc::mig_minors(&text))
        .unwrap_or_default();
    files.majors = text(host, "/proc/devices")
        .map(|text| proc::character_majors(&text))
        .unwrap_or_default();
    files.cards = addresses
        .into_iter()
        .take(GPUS_LIMIT)
        .filter_map(|address| card(host, address, files.version.as_ref()))
        .collect();
    files.cards.sort_by_key(Card::order);
    files
}

/// The version of the running kernel driver, and the file that says so.
pub(super) fn driver_version(host: &HostRoot) -> Option<(String, PathBuf)> {
    let from_proc = Path::new(DRIVER).join("version");
    if let Some(version) = text(host, &from_proc).and_then(|text| proc::version(&text)) {
        return Some((version.version, from_proc));
    }
    Some((module_version(host)?.version, PathBuf::from(MODULE)))
}

/// The loaded module's version (`Documentation/ABI/stable/sysfs-module`).
const MODULE: &str = "/sys/module/nvidia/version";

fn module_version(host: &HostRoot) -> Option<Version> {
    let version = host.fact(MODULE)?;
    proc::is_version(&version).then_some(Version {
        version,
        open: None,
    })
}

fn is_gpu(host: &HostRoot, address: &str) -> bool {
    let directory = pci::directory(address);
    let hex = |name: &str| {
        host.fact(directory.join(name))
            .and_then(|text| pci::hexadecimal(&text))
    };
    hex("vendor") == Some(u32::from(VENDOR)) && hex("class").is_some_and(|c| c >> 16 == DISPLAY)
}

/// `None` for a GPU that was put aside for a virtual machine, and for a virtual function that nobody
/// drives: those are other families' or nobody's.
fn card(host: &HostRoot, address: String, version: Option<&Version>) -> Option<Card> {
    let directory = pci::directory(&address);
    let proc_directory = Path::new(DRIVER).join("gpus").join(&address);
    let information = text(host, proc_directory.join("information"));
    let place = pci::place(host, &address);
    let mut driver = pci::driver(host, &directory);
    let told = host.locate(&proc_directory).is_ok();
    if driver.is_none() && told {
        driver = Some(Driver {
            name: "nvidia".to_owned(),
            version: None,
        });
    }
    if let Some(driver) = &mut driver {
        if driver.name.contains("vfio") || KEEPERS.contains(&driver.name.as_str()) {
            return None;
        }
        if driver.name == "nvidia" {
            driver.version = version
                .map(|version| version.version.clone())
                .or_else(|| driver.version.take());
        }
    } else if place
        .as_ref()
        .is_some_and(|p| p.physical_function.is_some())
    {
        return None;
    }
    let information = information.map(|text| proc::information(&text));
    let minor = information.as_ref().and_then(|i| i.minor);
    Some(Card {
        numa_node: pci::numa_node(host, &directory),
        memory_node: text(host, proc_directory.join("numa_status"))
            .and_then(|text| proc::memory_node(&text)),
        drm: drm(host, &directory),
        gone: is_gone(host, &directory),
        instances: minor
            .map(|minor| instances(host, minor))
            .unwrap_or_default(),
        address,
        pci: place,
        driver,
        information,
    })
}

/// The DRM nodes of a PCI function, the render node first.
fn drm(host: &HostRoot, directory: &Path) -> Vec<Node> {
    let directory = directory.join("drm");
    let mut found: Vec<_> = names(host, &directory)
        .into_iter()
        .filter_map(|name| {
            let role = if proc::numbered(&name, "renderD").is_some() {
                Role::Render
            } else if proc::numbered(&name, "card").is_some() {
                Role::Card
            } else {
                return None;
            };
            nodes::of_sysfs(host, directory.join(name), role)
        })
        .collect();
    found.sort_by_key(|node| node.role);
    found
}

/// Whether the function does not answer: `Documentation/PCI/pci-error-recovery.rst` calls all ones
/// the sign of it. A suspended GPU is left alone, because reading would wake it.
fn is_gone(host: &HostRoot, directory: &Path) -> bool {
    if host.fact(directory.join("power/runtime_status")).as_deref() == Some("suspended") {
        return false;
    }
    let mut first = [0; 4];
    host.open(directory.join("config"))
        .and_then(|mut file| file.read_exact(&mut first))
        .is_ok_and(|()| first == [0xff; 4])
}

/// The MIG instances of the GPU with this minor number: each has a folder below `capabilities`.
fn instances(host: &HostRoot, minor: u32) -> BTreeSet<(u32, u32)> {
    let gpu = capabilities(minor);
    let mut found = BTreeSet::new();
    for name in names(host, &gpu) {
        let Some(instance) = proc::numbered(&name, "gi") else {
            continue;
        };
        let computes = names(host, gpu.join(&name));
        found.extend(
            computes
                .iter()
                .filter_map(|name| proc::numbered(name, "ci"))
                .map(|compute| (instance, compute)),
        );
    }
    found
}

fn capabilities(minor: u32) -> PathBuf {
    Path::new(DRIVER).join(format!("capabilities/gpu{minor}/mig"))
}

impl Files {
    /// The node for a right, with the numbers that the kernel gave it.
    pub(super) fn capability_node(&self, host: &HostRoot, right: Capability) -> Option<Node> {
        let minor = self.minors.get(&right).copied().or_else(|| {
            let file = match right {
                Capability::Config => Path::new(DRIVER).join("capabilities/mig/config"),
                Capability::Monitor => Path::new(DRIVER).join("capabilities/mig/monitor"),
                Capability::GpuInstance { gpu, instance } => {
                    capabilities(gpu).join(format!("gi{instance}/access"))
                }
                Capability::ComputeInstance {
                    gpu,
                    instance,
                    compute,
                } => capabilities(gpu).join(format!("gi{instance}/ci{compute}/access")),
            };
            text(host, file).and_then(|text| proc::capability_minor(&text))
        })?;
        let path = format!("/dev/nvidia-caps/nvidia-cap{minor}");
        let major = self.majors.get("nvidia-caps").copied();
        node(host, &path, Role::Own, major.map(|major| (major, minor)))
    }

    /// `/dev/nvidia<minor>`.
    pub(super) fn own_node(&self, host: &HostRoot, minor: u32, role: Role) -> Option<Node> {
        let numbers = self.runs().then_some((MAJOR, minor));
        node(host, &format!("/dev/nvidia{minor}"), role, numbers)
    }

    /// The nodes that all GPUs need. Those of modules that are not loaded are left out.
    pub(super) fn control_nodes(&self, host: &HostRoot) -> Vec<Node> {
        let uvm = self.majors.get("nvidia-uvm").copied();
        let modeset = self.majors.get("nvidia-modeset").copied();
        let expected = [
            ("/dev/nvidiactl", self.runs().then_some((MAJOR, 255))),
            ("/dev/nvidia-uvm", uvm.map(|major| (major, 0))),
            ("/dev/nvidia-uvm-tools", uvm.map(|major| (major, 1))),
            ("/dev/nvidia-modeset", modeset.map(|major| (major, 254))),
        ];
        expected
            .into_iter()
            .filter_map(|(path, numbers)| node(host, path, Role::Control, numbers))
            .collect()
    }

    /// Whether the kernel driver is seen to run.
    fn runs(&self) -> bool {
        self.speaks || self.majors.values().any(|major| *major == MAJOR)
    }
}

/// The node at `path`, with the kernel's numbers where they are known: a node in `/dev` with others
/// is another device, and its permissions say nothing.
fn node(host: &HostRoot, path: &str, role: Role, numbers: Option<(u32, u32)>) -> Option<Node> {
    let there = nodes::at(host, path, role).filter(|node| !node.block);
    let Some((major, minor)) = numbers else {
        return there;
    };
    let same = there.filter(|node| (node.major, node.minor) == (major, minor));
    Some(same.unwrap_or(Node {
        path: PathBuf::from(path),
        role,
        block: false,
        major,
        minor,
        access: None,
    }))
}

fn names(host: &HostRoot, directory: impl AsRef<Path>) -> Vec<String> {
    let (names, _) = host.entries(directory, GPUS_LIMIT).unwrap_or_default();
    names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect()
}

fn text(host: &HostRoot, path: impl AsRef<Path>) -> Option<String> {
    let bytes = host.read(path, FILE_LIMIT).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
