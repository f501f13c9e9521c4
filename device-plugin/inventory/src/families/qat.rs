//! Intel QuickAssist: engines for cryptography and compression (`drivers/crypto/intel/qat`,
//! `Documentation/ABI/testing/sysfs-driver-qat`).
//!
//! User space works on virtual functions that are bound to vfio-pci, so a virtual function is what
//! can be given away: its node is that of its IOMMU group. The physical function holds state and
//! services, and has nodes of its own only with Intel's out-of-tree driver.

use super::vfio::Group;
use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Health, Kind, Node, PciPlace, Role, Shares};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use std::path::Path;

/// Intel QuickAssist.
pub(super) struct Qat;

/// A generation of the hardware, by PCI device ids as in `drivers/crypto/intel/qat` and qatlib.
struct Generation {
    name: &'static str,
    physical: u16,
    virtual_function: u16,
}

/// All that Linux knows.
const GENERATIONS: &[Generation] = &[
    generation("Intel QAT DH895xCC", 0x0435, 0x0443),
    generation("Intel QAT C3xxx", 0x19e2, 0x19e3),
    generation("Intel QAT C62x", 0x37c8, 0x37c9),
    generation("Intel QAT D15xx", 0x6f54, 0x6f55),
    generation("Intel QAT C4xxx", 0x18a0, 0x18a1),
    generation("Intel QAT 200xx", 0x18ee, 0x18ef),
    generation("Intel QAT 4xxx", 0x4940, 0x4941),
    generation("Intel QAT 401xx", 0x4942, 0x4943),
    generation("Intel QAT 402xx", 0x4944, 0x4945),
    generation("Intel QAT 420xx", 0x4946, 0x4947),
    generation("Intel QAT 6xxx", 0x4948, 0x4949),
];

/// The generations, by their physical functions, that vfio-pci refuses since Linux 5.9 unless it is told
/// otherwise (`vfio_pci_dev_in_denylist` in `drivers/vfio/pci/vfio_pci.c`): DH895xCC, C3xxx, C62x.
const DENIED_BY_VFIO: [u16; 3] = [0x0435, 0x19e2, 0x37c8];

const fn generation(name: &'static str, physical: u16, virtual_function: u16) -> Generation {
    Generation {
        name,
        physical,
        virtual_function,
    }
}

impl Family for Qat {
    fn name(&self) -> &'static str {
        "qat"
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let devices = pci::functions(host)
            .iter()
            .filter(|address| {
                let vendor = host.fact(pci::directory(address).join("vendor"));
                vendor.and_then(|text| pci::hexadecimal(&text)) == Some(0x8086)
            })
            .filter_map(|address| pci::place(host, address))
            .filter_map(|place| describe(host, place))
            .collect();
        Found {
            devices,
            gaps: Vec::new(),
        }
    }
}

/// A function as a device; `None` where it is none of this family.
fn describe(host: &HostRoot, place: PciPlace) -> Option<Device> {
    let generation = GENERATIONS
        .iter()
        .find(|known| [known.physical, known.virtual_function].contains(&place.device))?;
    let is_virtual = place.device == generation.virtual_function;
    let directory = pci::directory(&place.address);
    // Services and state are set on the physical function; a virtual machine does not see it.
    let whole = match &place.physical_function {
        Some(address) => pci::directory(address),
        None => directory.clone(),
    };
    let mut device = Device::new(place.address.clone(), "qat", Kind::Qat, "intel");
    let suffix = if is_virtual { " virtual function" } else { "" };
    device.model = Some(format!("{}{suffix}", generation.name));
    device.driver = pci::driver(host, &directory);
    device.numa_node = pci::numa_node(host, &directory);
    device.parent.clone_from(&place.physical_function);
    let state = host.fact(whole.join("qat/state"));
    let (nodes, health) = if is_vfio(&device) {
        device.shares = Shares::One;
        given_by_vfio(host, &place.address, state.as_deref())
    } else {
        let denied = DENIED_BY_VFIO.contains(&generation.physical);
        given_by_driver(
            host,
            &directory,
            &device,
            is_virtual,
            denied,
            state.as_deref(),
        )
    };
    device.nodes = nodes;
    device.health = health;
    device.pci = Some(place);
    device
        .attributes
        .extend(state.map(|state| ("qat.state", state)));
    for (name, file) in [
        ("qat.services", "qat/cfg_services"),
        ("qat.rings", "qat/num_rps"),
        ("qat.auto_reset", "qat/auto_reset"),
    ] {
        device
            .attributes
            .extend(host.fact(whole.join(file)).map(|value| (name, value)));
    }
    if !is_virtual {
        let functions = host.fact(directory.join("sriov_numvfs"));
        device
            .attributes
            .extend(functions.map(|count| ("qat.virtual_functions", count)));
    }
    Some(device)
}

fn is_vfio(device: &Device) -> bool {
    device
        .driver
        .as_ref()
        .is_some_and(|driver| driver.name.contains("vfio"))
}

/// The nodes and the health of a function that VFIO has.
fn given_by_vfio(host: &HostRoot, address: &str, state: Option<&str>) -> (Vec<Node>, Health) {
    let Some(group) = Group::of(host, address) else {
        let why = "bound to VFIO and in no IOMMU group: is the IOMMU switched on?";
        return (Vec::new(), Health::Unhealthy(why.to_owned()));
    };
    let health = match group.obstacle() {
        Some(why) => Health::Unhealthy(why),
        None if state == Some("down") => down(),
        None => Health::Healthy,
    };
    (group.nodes, health)
}

/// The nodes and the health of a function that a QAT driver has, or none.
fn given_by_driver(
    host: &HostRoot,
    directory: &Path,
    device: &Device,
    is_virtual: bool,
    denied: bool,
    state: Option<&str>,
) -> (Vec<Node>, Health) {
    let nodes = out_of_tree_nodes(host, directory);
    let health = match (&device.driver, state) {
        (None, _) => Health::Unhealthy("no driver is bound to it".to_owned()),
        (_, Some("down")) => down(),
        (Some(driver), _) if is_virtual && nodes.is_empty() => Health::Unknown(format!(
            "{} keeps it for the kernel: bind it to vfio-pci to give it to a container{}",
            driver.name,
            if denied {
                ", and load vfio-pci with disable_denylist=1, since it refuses this generation else"
            } else {
                ""
            }
        )),
        (_, Some("up")) => Health::Healthy,
        (_, Some(other)) => Health::Unknown(format!("its state is {other:?}")),
        // Kernels before 6.0 and the out-of-tree driver have no such file.
        (_, None) => Health::Unknown("its driver does not tell its state".to_owned()),
    };
    (nodes, health)
}

fn down() -> Health {
    Health::Unhealthy("the device is down (qat/state)".to_owned())
}

/// What Intel's out-of-tree driver makes: a UIO node for each device, and nodes that all of them
/// share. The kernel's own driver has the first of those too, for itself, so without a UIO node they
/// say nothing.
fn out_of_tree_nodes(host: &HostRoot, directory: &Path) -> Vec<Node> {
    let folder = directory.join("uio");
    let (names, _) = host.entries(&folder, 64).unwrap_or_default();
    let mut all: Vec<Node> = names
        .iter()
        .filter_map(|name| nodes::of_sysfs(host, folder.join(name), Role::Own))
        .collect();
    if !all.is_empty() {
        let shared = [
            "/dev/qat_adf_ctl",
            "/dev/qat_dev_processes",
            "/dev/usdm_drv",
        ];
        all.extend(
            shared
                .iter()
                .filter_map(|path| nodes::at(host, path, Role::Control)),
        );
    }
    all
}
