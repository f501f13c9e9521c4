//! What devices of each sort become in a container. The devices are made by hand; what families make
//! of real trees is tested there.

use super::*;
use dunnage_inventory::{Kind, Node, PciPlace, Role, device::Access};
use std::path::Path;

pub(crate) fn node(path: &str, role: Role, numbers: (u32, u32), access: (u32, u32)) -> Node {
    Node {
        path: path.into(),
        role,
        block: false,
        major: numbers.0,
        minor: numbers.1,
        access: Some(Access {
            mode: access.0,
            uid: 0,
            gid: access.1,
        }),
    }
}

/// The GPU of this index of a host: `renderD128 + index`, `card + index`.
pub(crate) fn gpu(family: &'static str, driver: &str, index: u32) -> Device {
    let address = format!("0000:{:02x}:00.0", index + 3);
    let mut device = Device::new(address.clone(), family, Kind::Gpu, "intel");
    device.driver = Some(dunnage_inventory::Driver {
        name: driver.to_owned(),
        version: None,
    });
    device.pci = Some(PciPlace {
        address,
        ..PciPlace::default()
    });
    let render = format!("/dev/dri/renderD{}", 128 + index);
    let card = format!("/dev/dri/card{index}");
    device.nodes = vec![
        node(&render, Role::Render, (226, 128 + index), (0o660, 104)),
        node(&card, Role::Card, (226, index), (0o660, 44)),
    ];
    device
}

fn options(root: &Path) -> (HostRoot, Options) {
    (HostRoot::new(root), Options::default())
}

fn given(devices: &[&Device]) -> Edits {
    let dir = tempfile::tempdir().unwrap();
    let (host, options) = options(dir.path());
    let inventory = Inventory::default();
    let (edits, gaps) = offer(&host, &inventory, devices, &options).unwrap();
    assert_eq!(gaps, []);
    for mount in &edits.mounts {
        assert!(host.path(&mount.host_path).is_dir(), "{mount:?}");
    }
    edits
}

fn names(edits: &Edits) -> Vec<(String, u32)> {
    let name = |node: &DeviceNode| node.path.display().to_string();
    edits
        .nodes
        .iter()
        .map(|node| (name(node).replace("/dev/dri/", ""), node.minor))
        .collect()
}

fn own(pairs: &[(&str, u32)]) -> Vec<(String, u32)> {
    pairs.iter().map(|(n, m)| ((*n).to_owned(), *m)).collect()
}

#[test]
fn whichever_gpu_is_given_is_the_first_inside() {
    let second = gpu("intel_gpu", "i915", 1);
    let edits = given(&[&second]);
    assert_eq!(names(&edits), own(&[("renderD128", 129), ("card0", 1)]));
    assert_eq!(edits.nodes[0].host_path, Path::new("/dev/dri/renderD129"));
    assert_eq!(edits.additional_gids, [44, 104]);
    assert_eq!(edits.env["LIBVA_DRIVER_NAME"], "iHD");
    assert_eq!(edits.mounts.len(), 1);

    let third = gpu("intel_gpu", "i915", 2);
    let edits = given(&[&third, &second]);
    assert_eq!(
        names(&edits),
        own(&[
            ("renderD128", 130),
            ("card0", 2),
            ("renderD129", 129),
            ("card1", 1)
        ])
    );
}

#[test]
fn by_path_links_are_its_own_and_lead_to_its_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let (host, options) = options(dir.path());
    let by_path = dir.path().join("dev/dri/by-path");
    std::fs::create_dir_all(&by_path).unwrap();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, by_path.join(name)).unwrap();
    link("../renderD128", "pci-0000:03:00.0-render");
    link("../renderD129", "platform-xyz-render");
    link("../renderD129", "bad\u{1b}name");
    let second = gpu("intel_gpu", "xe", 1);
    let (edits, _) = offer(&host, &Inventory::default(), &[&second], &options).unwrap();
    let folder = host.path(&edits.mounts[0].host_path);
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let target = std::fs::read_link(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), target)
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            ("pci-0000:04:00.0-card".to_owned(), "../card0".into()),
            ("platform-xyz-render".to_owned(), "../renderD128".into())
        ]
    );
}

#[test]
fn drivers_that_compute_the_name_find_it() {
    let mut second = gpu("amd_gpu", "amdgpu", 1);
    second
        .nodes
        .push(node("/dev/kfd", Role::Control, (511, 0), (0o660, 104)));
    let edits = given(&[&second]);
    assert_eq!(
        names(&edits),
        own(&[
            ("renderD128", 129),
            ("renderD129", 129),
            ("card0", 1),
            ("card1", 1),
            ("/dev/kfd", 0)
        ])
    );
    let first = gpu("amd_gpu", "amdgpu", 0);
    let edits = given(&[&second, &first]);
    assert!(names(&edits).contains(&("renderD128".to_owned(), 128)));
    assert!(names(&edits).contains(&("renderD129".to_owned(), 129)));
    assert_eq!(edits.env["LIBVA_DRIVER_NAME"], "radeonsi");
}

#[test]
fn a_hint_that_not_all_share_is_left_out() {
    let (one, other) = (gpu("intel_gpu", "xe", 0), gpu("amd_gpu", "amdgpu", 1));
    let third = gpu("intel_gpu", "xe", 2);
    assert!(given(&[&one, &other, &third]).env.is_empty());
}

#[test]
fn host_names_are_kept_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let (host, mut options) = options(dir.path());
    options.host_names = true;
    let second = gpu("intel_gpu", "i915", 1);
    let (edits, _) = offer(&host, &Inventory::default(), &[&second], &options).unwrap();
    assert_eq!(names(&edits), own(&[("renderD129", 129), ("card1", 1)]));
}

#[test]
fn an_fpga_is_its_port_and_its_management_only_on_request() {
    let mut card = Device::new("dfl-port.0", "dfl", Kind::Fpga, "intel");
    card.nodes = vec![
        node("/dev/dfl-port.0", Role::Own, (240, 1), (0o600, 0)),
        node("/dev/dfl-fme.0", Role::Management, (240, 0), (0o600, 0)),
    ];
    let edits = given(&[&card]);
    assert_eq!(names(&edits), own(&[("/dev/dfl-port.0", 1)]));
    assert_eq!(edits.nodes[0].permissions, "rw");
    // A node of root's alone becomes the container user's: no owner is fixed.
    assert_eq!(
        (edits.nodes[0].uid, edits.nodes[0].mode),
        (None, Some(0o600))
    );
    let options = Options {
        management: true,
        ..Options::default()
    };
    let host = HostRoot::new("/none");
    let all = edits_for(&host, &Inventory::default(), &[&card], &options).unwrap();
    assert_eq!(all.nodes.len(), 2);
}

#[test]
fn a_vfio_group_comes_with_the_container_node() {
    let mut group = Device::new("vfio-12", "vfio", Kind::Other, "0x8086");
    group.nodes = vec![node("/dev/vfio/12", Role::Own, (243, 0), (0o600, 0))];
    let edits = given(&[&group]);
    assert_eq!(
        names(&edits),
        own(&[("/dev/vfio/12", 0), ("/dev/vfio/vfio", 196)])
    );
}

#[test]
fn what_cannot_be_given_is_refused_in_words() {
    let bare = Device::new("x", "accel", Kind::Npu, "intel");
    let host = HostRoot::new("/none");
    let options = Options::default();
    let refused = edits_for(&host, &Inventory::default(), &[&bare], &options);
    assert!(refused.unwrap_err().to_string().contains("no device node"));

    let mut one = Device::new("a", "rules", Kind::Other, "v");
    one.nodes = vec![node("/dev/a", Role::Own, (10, 1), (0o666, 0))];
    let mut other = one.clone();
    other.nodes[0].minor = 2;
    let refused = edits_for(&host, &Inventory::default(), &[&one, &other], &options);
    assert!(matches!(refused, Err(OfferError::Collision { .. })));
}

#[test]
fn without_a_place_for_links_the_device_is_still_given() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("var"), "a file").unwrap();
    let (host, options) = options(dir.path());
    let device = gpu("intel_gpu", "i915", 0);
    let (edits, gaps) = offer(&host, &Inventory::default(), &[&device], &options).unwrap();
    assert_eq!(
        (edits.nodes.len(), edits.mounts.len(), gaps.len()),
        (2, 0, 1)
    );
}
