//! One accelerator, as every family describes it.
//!
//! Every text here comes from sysfs, a driver or a vendor's library. Treat it as hostile where it
//! reaches a terminal, a page or a file.

use dunnage_model::units::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What sort of accelerator, as `kind` in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A graphics or compute processor, or a part of one.
    Gpu,
    /// A programmable gate array, one of its regions or functions.
    Fpga,
    /// A processor for neural networks (the kernel's `accel` class and the like).
    Npu,
    /// A cryptography and compression engine of the QAT kind.
    Qat,
    /// A data streaming or analytics engine (DSA, IAA).
    Dsa,
    /// A codec that is no part of a GPU.
    Media,
    /// Anything else: VFIO groups, devices that a rule of the configuration names.
    Other,
}

impl Kind {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Gpu => "gpu",
            Kind::Fpga => "fpga",
            Kind::Npu => "npu",
            Kind::Qat => "qat",
            Kind::Dsa => "dsa",
            Kind::Media => "media",
            Kind::Other => "other",
        }
    }
}

/// The kernel driver that is bound to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// As sysfs names it: `nvidia`, `amdgpu`, `i915`, `xe`, `vfio-pci`.
    pub name: String,
    /// The module's version, or the driver's own; absent for drivers that go with the kernel.
    pub version: Option<String>,
}

/// What a device node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The device itself: whoever may open it may use the device.
    Own,
    /// A DRM render node (`/dev/dri/renderD*`): rendering and compute without display.
    Render,
    /// A DRM card node (`/dev/dri/card*`): display control too.
    Card,
    /// Shared by all devices of the family and needed beside the device's own
    /// (`/dev/nvidiactl`, `/dev/kfd`, `/dev/vfio/vfio`).
    Control,
    /// For administration, not for ordinary use (`/dev/dfl-fme.N`, `/dev/xclmgmt*`).
    Management,
}

/// One device node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it is on the host, absolute, without the host root in front: `/dev/dri/renderD128`.
    pub path: PathBuf,
    /// What it is for.
    pub role: Role,
    /// Whether it is a block device; else a character device.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits and owner, where the node is there; absent where only the kernel tells of it.
    pub access: Option<Access>,
}

/// Who may open a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The nine permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Where a device sits on the PCI bus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PciPlace {
    /// `0000:65:00.0`, as sysfs writes it.
    pub address: String,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor and device id.
    pub subsystem: Option<(u16, u16)>,
    /// Base class, subclass and interface: `0x030000`.
    pub class: u32,
    /// The bridges from the root complex down to the device, the device itself not included.
    pub path: Vec<String>,
    /// The link as it runs and as it could.
    pub link: Option<PciLink>,
    /// The IOMMU group.
    pub iommu_group: Option<u32>,
    /// For a virtual function: the address of its physical one.
    pub physical_function: Option<String>,
}

/// A PCI Express link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciLink {
    /// Speed as sysfs writes it: `16.0 GT/s PCIe`.
    pub speed: String,
    /// Lanes.
    pub width: u32,
    /// The best speed that the device can do.
    pub max_speed: Option<String>,
    /// The most lanes that the device can use.
    pub max_width: Option<u32>,
}

/// Another device that is reached without crossing the host's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other device's [`Device::id`].
    pub id: String,
    /// `nvlink`, `xgmi`, `pcie`.
    pub over: &'static str,
    /// How many links.
    pub links: u32,
}

/// Whether a device can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Everything that was looked at is in order.
    Healthy,
    /// It cannot be used, and why.
    Unhealthy(String),
    /// It cannot be told, and why.
    Unknown(String),
}

/// How many users a device can have at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shares {
    /// As many as like to: the driver keeps them apart.
    Any,
    /// One alone: the driver refuses a second open.
    One,
    /// At most so many.
    UpTo(u32),
}

/// One accelerator, or the part of one that can be given away by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Stable over reboots and restarts, unique on the host: a UUID where the device has one that
    /// people use (NVIDIA, MIG), else the PCI address, else the kernel's name of it.
    pub id: String,
    /// Other names that people may use for it: `0`, `0000:65:00.0`, `card1`, `GPU-5ab...`.
    pub aliases: Vec<String>,
    /// The family that found it: the name of its file in `families`.
    pub family: &'static str,
    /// What sort of accelerator.
    pub kind: Kind,
    /// `nvidia`, `amd`, `intel`, `xilinx`, `habana`, ... or the PCI vendor id in hex.
    pub vendor: String,
    /// The product, as the driver or the vendor's tables call it.
    pub model: Option<String>,
    /// The driver that is bound.
    pub driver: Option<Driver>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// The nodes, the device's own first.
    pub nodes: Vec<Node>,
    /// The place on the PCI bus.
    pub pci: Option<PciPlace>,
    /// The NUMA node; absent where the host has none or does not say (never -1).
    pub numa_node: Option<u32>,
    /// Other devices that are reached directly.
    pub peers: Vec<Peer>,
    /// Memory on board.
    pub memory: Option<Bytes>,
    /// Whether it can be used.
    pub health: Health,
    /// How many users at the same time.
    pub shares: Shares,
    /// How many containers may have it at the same time, where the operator declared it
    /// ([`crate::config::Sharing`]); schedulers that count give it so often. Absent: once.
    pub slots: Option<u32>,
    /// For a part (MIG instance, partition, virtual function, port): the [`Device::id`] of the whole.
    pub parent: Option<String>,
    /// What only this family has: `afu_id`, `interface_id`, `mig.profile`, `wq.mode`. Names in lower
    /// case with dots.
    pub attributes: BTreeMap<&'static str, String>,
}

impl Device {
    /// A device of which only the identity is known; its health is unknown.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        family: &'static str,
        kind: Kind,
        vendor: impl Into<String>,
    ) -> Device {
        Device {
            id: id.into(),
            aliases: Vec::new(),
            family,
            kind,
            vendor: vendor.into(),
            model: None,
            driver: None,
            firmware: None,
            nodes: Vec::new(),
            pci: None,
            numa_node: None,
            peers: Vec::new(),
            memory: None,
            health: Health::Unknown("nothing tells its health".to_owned()),
            shares: Shares::Any,
            slots: None,
            parent: None,
            attributes: BTreeMap::new(),
        }
    }

    /// Whether `name` means this device: its id or one of its other names.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.aliases.iter().any(|alias| alias == name)
    }
}
