//! The kernel's `drm` class (`Documentation/gpu/drm-uapi.rst`): which device each card and render
//! node belongs to.

use super::class_device::{self, Group, Parent, numbered};
use super::pci_names::PciNames;
use crate::device::{Device, Health, Kind, Node, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use std::path::{Path, PathBuf};

/// One device with the nodes that its DRM driver made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// The device.
    pub(super) parent: Parent,
    /// The driver's name; empty where none is bound.
    pub(super) driver: String,
    /// Numbers of its cards: 0 of `card0`.
    pub(super) cards: Vec<u32>,
    /// Numbers of its render nodes: 128 of `renderD128`.
    pub(super) renders: Vec<u32>,
}

/// All devices with DRM nodes, sorted by id.
pub(super) fn units(host: &HostRoot) -> (Vec<Unit>, Vec<Gap>) {
    let ours = |name: &str| {
        numbered(name, "card").is_some() || numbered(name, "renderD").is_some()
    };
    let (groups, gaps) = class_device::groups(host, "drm", ours);
    (groups.into_iter().map(|group| unit(host, group)).collect(), gaps)
}

fn unit(host: &HostRoot, group: Group) -> Unit {
    let with = |prefix: &str| {
        group
            .members
            .iter()
            .filter_map(|name| numbered(name, prefix))
            .collect()
    };
    Unit {
        driver: driver_name(host, &group.parent).unwrap_or_default(),
        cards: with("card"),
        renders: with("renderD"),
        parent: group.parent,
    }
}

/// The driver that made the nodes. A virtio GPU's nodes belong to the PCI function, whose driver is
/// the transport's: the GPU's own driver is bound to the virtio device below it.
fn driver_name(host: &HostRoot, parent: &Parent) -> Option<String> {
    let name = pci::last_part(host, &parent.directory.join("driver"))?;
    if name != "virtio-pci" {
        return Some(name);
    }
    let (children, _) = class_device::members(host, &parent.directory);
    children
        .iter()
        .filter(|child| numbered(child, "virtio").is_some())
        .find_map(|child| {
            pci::last_part(host, &parent.directory.join(child).join("driver"))
        })
        .or(Some(name))
}

impl Unit {
    /// The sysfs directory of a card of it.
    pub(super) fn card_directory(&self) -> Option<PathBuf> {
        let card = self.cards.first()?;
        Some(PathBuf::from(format!("/sys/class/drm/card{card}")))
    }

    /// Its nodes: the render nodes first, then the cards.
    pub(super) fn nodes(&self, host: &HostRoot) -> Vec<Node> {
        let class = Path::new("/sys/class/drm");
        let render = self.renders.iter().filter_map(|number| {
            nodes::of_sysfs(host, class.join(format!("renderD{number}")), Role::Render)
        });
        let card = self.cards.iter().filter_map(|number| {
            nodes::of_sysfs(host, class.join(format!("card{number}")), Role::Card)
        });
        render.chain(card).collect()
    }

    /// The device with all that the class and its bus tell.
    pub(super) fn describe(
        &self,
        host: &HostRoot,
        names: &PciNames,
        family: &'static str,
    ) -> Device {
        let mut device = self.parent.describe(host, names, family, Kind::Gpu);
        if let Some(driver) = device.driver.as_mut().filter(|driver| driver.name != self.driver) {
            driver.version = host.fact(Path::new("/sys/module").join(&self.driver).join("version"));
            driver.name.clone_from(&self.driver);
        }
        device.nodes = self.nodes(host);
        device
            .aliases
            .extend(self.cards.iter().map(|number| format!("card{number}")));
        device
            .aliases
            .extend(self.renders.iter().map(|number| format!("renderD{number}")));
        if device.nodes.is_empty() && matches!(device.health, Health::Healthy) {
            device.health = Health::Unknown("sysfs gives no numbers for its nodes".into());
        }
        device
    }
}

/// The functions that `driver` is bound to and for which it made no node: its start failed. They are
/// shown, because a GPU that is missing without a word is the harder to find.
pub(super) fn without_nodes(
    host: &HostRoot,
    names: &PciNames,
    units: &[Unit],
    driver: &str,
    family: &'static str,
) -> Vec<Device> {
    class_device::bound_to(host, driver)
        .into_iter()
        .filter(|address| {
            units
                .iter()
                .all(|unit| unit.parent.pci.as_deref() != Some(address))
        })
        .filter_map(|address| Parent::at(host, &pci::directory(&address)))
        .map(|parent| {
            let mut device = parent.describe(host, names, family, Kind::Gpu);
            device.health = Health::Unhealthy(format!(
                "{driver} is bound to it and made no node below /dev/dri: its start failed; see the kernel's log"
            ));
            device
        })
        .collect()
}
