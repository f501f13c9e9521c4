//! The topology of KFD, the compute side of amdgpu: `/sys/class/kfd/kfd/topology/nodes/N`.
//!
//! The files are written by `drivers/gpu/drm/amd/amdkfd/kfd_topology.c`: a name and a decimal number
//! a line. CPUs are nodes too (without SIMDs).

use crate::families::class_device::{self, line, number};
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use dunnage_model::units::Bytes;
use std::collections::BTreeMap;
use std::path::Path;

/// Where the nodes are.
const NODES: &str = "/sys/class/kfd/kfd/topology/nodes";

/// The most link and memory files read over all nodes. Eight GPUs of eight partitions each have some
/// four thousand.
const FILES_LIMIT: usize = 32_768;

/// The type of a link over PCI Express (`CRAT_IOLINK_TYPE_PCIEXPRESS` in `kfd_crat.h`).
const PCI_EXPRESS: u64 = 2;

/// The type of a link over XGMI (`CRAT_IOLINK_TYPE_XGMI`).
const XGMI: u64 = 11;

/// One GPU or partition as KFD knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KfdNode {
    /// The number of the node.
    pub(super) index: u32,
    /// KFD's own id of the GPU.
    pub(super) gpu_id: Option<u64>,
    /// The name that the driver has for the chip, where it is one (`aldebaran`).
    pub(super) name: Option<String>,
    /// How many SIMD units; 0 for a CPU.
    pub(super) simds: u64,
    /// The instruction set as KFD writes it: 90010 for gfx90a.
    gfx_target_version: u64,
    /// The render node's minor number.
    pub(super) render_minor: Option<u32>,
    domain: u64,
    location: u64,
    /// The XGMI hive that it belongs to.
    pub(super) hive: Option<u64>,
    /// Memory on board, all banks.
    pub(super) memory: Option<Bytes>,
    /// Links to other nodes.
    pub(super) links: Vec<Link>,
}

/// A link to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The other node's number.
    pub(super) to: u32,
    /// `xgmi` or `pcie`.
    pub(super) over: &'static str,
}

impl KfdNode {
    /// The PCI address: `location_id` is bus and device; its lowest three bits are the PCI function,
    /// or the partition's number where the GPU is divided, and GPUs are function 0.
    pub(super) fn address(&self) -> Option<String> {
        if self.simds == 0 {
            return None;
        }
        let bus = (self.location >> 8) & 0xff;
        let slot = (self.location >> 3) & 0x1f;
        Some(format!("{:04x}:{bus:02x}:{slot:02x}.0", self.domain))
    }

    /// The number of the partition within its GPU.
    pub(super) fn partition(&self) -> u64 {
        self.location & 7
    }

    /// The instruction set as compilers name it: `gfx90a`.
    pub(super) fn target(&self) -> Option<String> {
        let version = self.gfx_target_version;
        let (major, minor, step) = (version / 10_000, version / 100 % 100, version % 100);
        (version > 0).then(|| format!("gfx{major}{minor:x}{step:x}"))
    }
}

/// All GPU nodes, and what could not be read. No KFD is no gap: graphics work without.
pub(super) fn read(host: &HostRoot) -> (Vec<KfdNode>, Vec<Gap>) {
    let (names, mut gaps) = class_device::members(host, Path::new(NODES));
    let mut budget = FILES_LIMIT;
    let mut hidden = 0_usize;
    let mut nodes = Vec::new();
    for index in names.iter().filter_map(|name| name.parse().ok()) {
        match node(host, index, &mut budget) {
            Some(node) if node.simds > 0 => nodes.push(node),
            Some(_) => {}
            None => hidden += 1,
        }
    }
    if hidden > 0 {
        gaps.push(Gap::new(
            NODES,
            format!("{hidden} nodes could not be read: inside a container KFD shows only the devices that it was given; run on the host"),
        ));
    }
    if budget == 0 {
        gaps.push(Gap::new(
            NODES,
            format!("it has more than {FILES_LIMIT} links; the rest was not looked at"),
        ));
    }
    (nodes, gaps)
}

fn node(host: &HostRoot, index: u32, budget: &mut usize) -> Option<KfdNode> {
    let directory = Path::new(NODES).join(index.to_string());
    let mut node = from_properties(index, &properties(&host.fact(directory.join("properties"))?));
    if node.simds == 0 {
        return Some(node);
    }
    node.gpu_id = number(host, directory.join("gpu_id"));
    node.name = line(host, directory.join("name"));
    for bank in below(host, &directory.join("mem_banks"), budget) {
        if let Some(bytes) = on_board(&bank) {
            let sum = node.memory.map_or(0, |memory| memory.0);
            node.memory = Some(Bytes(sum.saturating_add(bytes)));
        }
    }
    for of in ["io_links", "p2p_links"] {
        let links = below(host, &directory.join(of), budget);
        node.links.extend(links.iter().filter_map(link));
    }
    Some(node)
}

/// The properties of everything in a folder of numbered folders.
fn below(host: &HostRoot, folder: &Path, budget: &mut usize) -> Vec<BTreeMap<String, u64>> {
    let (names, _) = class_device::members(host, folder);
    let mut all = Vec::new();
    for name in names.iter().filter(|name| name.parse::<u32>().is_ok()) {
        let Some(left) = budget.checked_sub(1) else {
            break;
        };
        *budget = left;
        let path = folder.join(name).join("properties");
        all.extend(host.fact(path).map(|text| properties(&text)));
    }
    all
}

fn from_properties(index: u32, values: &BTreeMap<String, u64>) -> KfdNode {
    let value = |name: &str| values.get(name).copied();
    let some = |name: &str| value(name).filter(|value| *value > 0);
    KfdNode {
        index,
        simds: value("simd_count").unwrap_or(0),
        gfx_target_version: value("gfx_target_version").unwrap_or(0),
        render_minor: some("drm_render_minor").and_then(|minor| u32::try_from(minor).ok()),
        domain: value("domain").unwrap_or(0),
        location: value("location_id").unwrap_or(0),
        hive: some("hive_id"),
        ..KfdNode::default()
    }
}

/// A link to another GPU that is of a sort people ask for.
fn link(values: &BTreeMap<String, u64>) -> Option<Link> {
    let over = match values.get("type")? {
        &XGMI => "xgmi",
        &PCI_EXPRESS => "pcie",
        _ => return None,
    };
    let to = u32::try_from(*values.get("node_to")?).ok()?;
    Some(Link { to, over })
}

/// The size of a bank of local memory: heap type 1 (visible to the CPU) or 2 (not), as
/// `HSA_MEM_HEAP_TYPE_FB_*` in `kfd_topology.h`.
fn on_board(values: &BTreeMap<String, u64>) -> Option<u64> {
    matches!(values.get("heap_type")?, 1 | 2).then_some(*values.get("size_in_bytes")?)
}

/// `name value` a line; lines of another form are left out.
fn properties(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.trim().split_once(' ')?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(domain: u64, location: u64) -> KfdNode {
        KfdNode {
            simds: 1,
            domain,
            location,
            ..KfdNode::default()
        }
    }

    #[test]
    fn places_are_pci_addresses() {
        assert_eq!(at(0, 25344).address().unwrap(), "0000:63:00.0");
        let third = at(1, 41_986);
        assert_eq!(third.address().unwrap(), "0001:a4:00.0");
        assert_eq!(third.partition(), 2);
        assert_eq!(KfdNode::default().address(), None);
    }

    #[test]
    fn instruction_sets_are_named_as_compilers_do() {
        let named = |version| {
            KfdNode {
                gfx_target_version: version,
                ..KfdNode::default()
            }
            .target()
        };
        for (version, name) in [
            (90_010, "gfx90a"),
            (90_402, "gfx942"),
            (110_000, "gfx1100"),
            (100_306, "gfx1036"),
            (90_012, "gfx90c"),
        ] {
            assert_eq!(named(version).as_deref(), Some(name));
        }
        assert_eq!(named(0), None);
    }

    #[test]
    fn links_of_other_sorts_are_left_out() {
        let of = |sort| link(&properties(&format!("type {sort}\nnode_to 3\n")));
        assert_eq!(of(11), Some(Link { to: 3, over: "xgmi" }));
        assert_eq!(of(2), Some(Link { to: 3, over: "pcie" }));
        assert_eq!(of(1), None);
        assert_eq!(link(&properties("type 11\n")), None);
    }

    #[test]
    fn memory_of_the_host_is_not_the_gpus() {
        assert_eq!(on_board(&properties("heap_type 1\nsize_in_bytes 5\n")), Some(5));
        assert_eq!(on_board(&properties("heap_type 0\nsize_in_bytes 5\n")), None);
    }

    proptest! {
        #[test]
        fn any_properties_can_be_read(text in "[a-z_0-9 \\n-]{0,300}", index: u32) {
            let values = properties(&text);
            let node = from_properties(index, &values);
            let _ = (node.address(), node.target(), link(&values), on_board(&values));
        }

        #[test]
        fn any_place_is_an_address(domain in 0_u64..=u64::from(u32::MAX), location: u64) {
            prop_assert!(crate::pci::is_address(&at(domain, location).address().unwrap()));
        }
    }
}
