//! Xilinx and AMD FPGA cards with XRT's drivers, `xocl` and `xclmgmt`
//! (<https://xilinx.github.io/XRT/master/html/sysfs.html>).
//!
//! A card shows two PCI functions: the user function, whose DRM render node is all that an
//! application needs, and the management function, whose `/dev/xclmgmtN` loads shells and resets the
//! card. A card is one [`Device`], by its user function; the management node goes along for
//! administration. Where only the management function is to be seen, that is listed instead.

use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Health, Kind, Node, PciPlace, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use std::path::{Path, PathBuf};

/// The most entries of a function's directory that are looked at; a card has a hundred or so.
const ENTRIES_LIMIT: usize = 4096;

/// Who makes cards that XRT drives: Xilinx, Advantech, Amazon (F1), Arista.
const VENDORS: [u32; 4] = [0x10ee, 0x13fe, 0x1d0f, 0x3475];

/// Cards with XRT's drivers.
pub(super) struct Xrt;

/// One function of a card.
struct Function {
    address: String,
    directory: PathBuf,
    /// The names in its directory.
    names: Vec<String>,
}

impl Family for Xrt {
    fn name(&self) -> &'static str {
        "xrt"
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let (mut users, mut managers) = (Vec::new(), Vec::new());
        for address in pci::functions(host) {
            match role(host, &address) {
                Some(Side::User) => users.push(Function::read(host, address)),
                Some(Side::Management) => managers.push(Function::read(host, address)),
                None => {}
            }
        }
        let mut found = Found::default();
        for user in &users {
            let manager = managers.iter().find(|other| same_card(user, other));
            found.devices.extend(describe(host, user, manager));
        }
        for manager in managers
            .iter()
            .filter(|manager| !users.iter().any(|user| same_card(user, manager)))
        {
            found.devices.extend(describe_lone_manager(host, manager));
        }
        found
    }
}

enum Side {
    User,
    Management,
}

/// Which of the two functions this is; `None` where it is none of a card with XRT's drivers.
fn role(host: &HostRoot, address: &str) -> Option<Side> {
    let directory = pci::directory(address);
    let vendor = pci::hexadecimal(&host.fact(directory.join("vendor"))?)?;
    if !VENDORS.contains(&vendor) {
        return None;
    }
    match pci::last_part(host, &directory.join("driver")).as_deref() {
        Some("xocl") => Some(Side::User),
        Some("xclmgmt") => Some(Side::Management),
        _ => None,
    }
}

/// The two functions of a card differ in the last digit.
fn same_card(left: &Function, right: &Function) -> bool {
    let slot = |function: &Function| {
        function
            .address
            .rsplit_once('.')
            .map(|(slot, _)| slot.to_owned())
    };
    slot(left) == slot(right)
}

impl Function {
    fn read(host: &HostRoot, address: String) -> Function {
        let directory = pci::directory(&address);
        let (names, _) = host.entries(&directory, ENTRIES_LIMIT).unwrap_or_default();
        Function {
            names: names
                .into_iter()
                .filter_map(|name| name.into_string().ok())
                .collect(),
            address,
            directory,
        }
    }

    /// The parts of the function whose names begin with `prefix`: `rom.u.1025`.
    fn parts<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        self.names
            .iter()
            .filter(move |name| name.starts_with(prefix))
            .map(|name| self.directory.join(name))
    }

    /// The first of the parts whose names begin with `prefix` that has the file `name`.
    fn fact(&self, host: &HostRoot, prefix: &str, name: &str) -> Option<String> {
        self.parts(prefix)
            .find_map(|part| host.fact(part.join(name)))
    }
}

/// The nodes in a folder of class devices, as `drm` or `xrt_mgmt` are.
fn nodes_in(host: &HostRoot, folder: &Path, prefix: &str, role: Role) -> Vec<Node> {
    let (names, _) = host.entries(folder, ENTRIES_LIMIT).unwrap_or_default();
    names
        .iter()
        .filter(|name| name.to_str().is_some_and(|name| name.starts_with(prefix)))
        .filter_map(|name| nodes::of_sysfs(host, folder.join(name), role))
        .collect()
}

/// The node of a management function.
fn management_nodes(host: &HostRoot, manager: &Function) -> Vec<Node> {
    let listed = nodes_in(
        host,
        &manager.directory.join("xrt_mgmt"),
        "xclmgmt",
        Role::Management,
    );
    if !listed.is_empty() {
        return listed;
    }
    let instance = host
        .fact(manager.directory.join("instance"))
        .and_then(|text| text.parse::<u32>().ok());
    instance
        .and_then(|number| nodes::at(host, format!("/dev/xclmgmt{number}"), Role::Management))
        .into_iter()
        .collect()
}

/// A function as a device, without nodes, health and what only this family has.
fn base(host: &HostRoot, function: &Function) -> Option<Device> {
    let place: PciPlace = pci::place(host, &function.address)?;
    let vendor = if place.vendor == 0x10ee {
        "xilinx".to_owned()
    } else {
        format!("{:04x}", place.vendor)
    };
    let mut device = Device::new(function.address.clone(), "xrt", Kind::Fpga, vendor);
    device.driver = pci::driver(host, &function.directory);
    device.numa_node = pci::numa_node(host, &function.directory);
    device.parent.clone_from(&place.physical_function);
    device.pci = Some(place);
    Some(device)
}

/// A card, by its user function.
fn describe(host: &HostRoot, user: &Function, manager: Option<&Function>) -> Option<Device> {
    let mut device = base(host, user)?;
    // XRT in the container finds the node by the name that sysfs gives it, so it keeps that name:
    // it is the card's own node and not one of a GPU.
    device.nodes = nodes_in(host, &user.directory.join("drm"), "renderD", Role::Own);
    for part in user.parts("dma.qdma.u.") {
        // The streaming queues of QDMA shells.
        device.nodes.extend(nodes_in(
            host,
            &part.join("xrt_user"),
            "dma.qdma",
            Role::Own,
        ));
    }
    if let Some(manager) = manager {
        device.aliases.push(manager.address.clone());
        device.nodes.extend(management_nodes(host, manager));
    }
    let board = manager.and_then(|manager| host.fact(manager.directory.join("board_name")));
    let shell = user.fact(host, "rom", "VBNV");
    device.model = board.or_else(|| shell.clone());
    device.health = health(host, user, manager, &device);
    device
        .attributes
        .extend(shell.map(|shell| ("xrt.shell", shell)));
    for (name, prefix, file) in [
        ("xrt.timestamp", "rom", "timestamp"),
        ("xrt.uuid", "rom", "uuid"),
        ("xrt.serial", "xmc", "serial_num"),
    ] {
        let value = user.fact(host, prefix, file);
        device.attributes.extend(value.map(|value| (name, value)));
    }
    for (name, file) in [
        ("xrt.logic_uuid", "logic_uuids"),
        ("xrt.interface_uuid", "interface_uuids"),
        ("xrt.xclbin", "xclbinuuid"),
    ] {
        // Shells of two stages have a line each; the first is the one that is loaded.
        let value = host.fact(user.directory.join(file));
        let first = value.and_then(|text| text.lines().next().map(str::to_owned));
        device.attributes.extend(first.map(|value| (name, value)));
    }
    Some(device)
}

/// A card whose user function is not there.
fn describe_lone_manager(host: &HostRoot, manager: &Function) -> Option<Device> {
    let mut device = base(host, manager)?;
    device.nodes = management_nodes(host, manager);
    let shell = manager.fact(host, "rom", "VBNV");
    device.model = host
        .fact(manager.directory.join("board_name"))
        .or_else(|| shell.clone());
    device
        .attributes
        .extend(shell.map(|shell| ("xrt.shell", shell)));
    device.health = Health::Unknown(
        "no user function with the xocl driver: the card runs its golden image, has no shell, or \
         its user function is given to a virtual machine"
            .to_owned(),
    );
    Some(device)
}

/// Whether a card can be used.
fn health(host: &HostRoot, user: &Function, manager: Option<&Function>, device: &Device) -> Health {
    if !device.nodes.iter().any(|node| node.role == Role::Own) {
        return Health::Unhealthy("the xocl driver made no render node".to_owned());
    }
    let number = |directory: &Path, name: &str| number(&host.fact(directory.join(name))?);
    if number(&user.directory, "dev_offline").is_some_and(|value| value != 0) {
        return Health::Unhealthy(
            "the card is offline, as during a reset (dev_offline)".to_owned(),
        );
    }
    let tripped = manager
        .and_then(|manager| manager.fact(host, "firewall", "detected_level"))
        .and_then(|level| self::number(&level));
    if let Some(level) = tripped.filter(|level| *level != 0) {
        return Health::Unhealthy(format!(
            "the AXI firewall has tripped at level {level}: xbutil reset clears it"
        ));
    }
    match number(&user.directory, "ready") {
        Some(0) => Health::Unhealthy("the card is not ready (ready)".to_owned()),
        Some(_) => Health::Healthy,
        None => Health::Unknown("its driver does not tell whether it is ready".to_owned()),
    }
}

/// `1` or `0x1`: versions of the driver differ.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
