//! IOMMU groups that VFIO has.

use super::{Tree, devices, nodes, why};
use dunnage_inventory::{Health, Role, Shares};

#[test]
fn a_group_with_another_driver_is_not_viable() {
    let found = devices(&Tree::load("vfio-not-viable"), "vfio");
    let [group] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (group.id.as_str(), group.vendor.as_str()),
        ("0000:01:00.0", "nvidia")
    );
    assert_eq!(
        why(group),
        "IOMMU group 1 is not viable: 0000:01:00.1 is bound to snd_hda_intel; \
         bind it to vfio-pci too, or unbind it"
    );
    assert_eq!(nodes(group), ["/dev/vfio/1", "/dev/vfio/vfio"]);
}

#[test]
fn bridges_do_not_stand_in_the_way() {
    let found = devices(&Tree::load("vfio-bridge"), "vfio");
    let [disk, card] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (disk.id.as_str(), &disk.health),
        ("0000:02:00.0", &Health::Healthy)
    );
    assert_eq!(
        nodes(disk),
        [
            "/dev/vfio/7",
            "/dev/vfio/devices/vfio0",
            "/dev/vfio/vfio",
            "/dev/iommu"
        ]
    );
    let roles: Vec<_> = disk.nodes.iter().map(|node| node.role).collect();
    assert_eq!(roles, [Role::Own, Role::Own, Role::Control, Role::Control]);
    assert_eq!(
        (card.id.as_str(), &card.health),
        ("0000:05:00.0", &Health::Healthy)
    );
    assert!(card.is_called("vfio-15"));
    assert_eq!(card.shares, Shares::One);
}

#[test]
fn an_unbound_neighbour_does_no_harm_and_a_missing_node_does() {
    let tree = Tree::load("vfio-not-viable");
    std::fs::remove_file(tree.path("/sys/bus/pci/devices/0000:01:00.1/driver")).unwrap();
    assert_eq!(devices(&tree, "vfio")[0].health, Health::Healthy);
    std::fs::remove_dir_all(tree.path("/sys/class/vfio/1")).unwrap();
    assert!(why(&devices(&tree, "vfio")[0]).contains("no node"));
}

#[test]
fn a_mediated_device_goes_by_its_uuid() {
    let found = devices(&Tree::load("vfio-mdev"), "vfio");
    let [part] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(part.id, "bbc4aafe-5807-11e8-a43e-03533cceae7d");
    assert_eq!(part.parent.as_deref(), Some("0000:00:02.0"));
    assert_eq!(part.attributes["mdev.type"], "i915-GVTg_V4_8");
    assert_eq!(part.model.as_deref(), Some("GVTg_V4_8"));
    assert_eq!(nodes(part), ["/dev/vfio/0", "/dev/vfio/vfio"]);
    assert_eq!((part.nodes[0].major, part.nodes[0].minor), (241, 0));
    assert_eq!(part.health, Health::Healthy);
}

#[test]
fn a_card_with_its_audio_function_is_one_group() {
    for (name, id, vendor, group) in [
        ("vfio-radeon-osx-kvm", "0000:01:00.0", "amd", "1"),
        ("vfio-blackwell-proxmox", "0000:02:00.0", "nvidia", "13"),
    ] {
        let tree = Tree::load(name);
        let found = devices(&tree, "vfio");
        let [card] = found.as_slice() else {
            panic!("{name}: {found:?}");
        };
        assert_eq!((card.id.as_str(), card.vendor.as_str()), (id, vendor));
        assert_eq!(card.health, Health::Healthy, "{name}");
        assert_eq!(card.attributes["vfio.group"], group);
        assert!(card.is_called(&id.replace("00.0", "00.1")));
        let group_node = format!("/dev/vfio/{group}");
        assert_eq!(nodes(card), [group_node.as_str(), "/dev/vfio/vfio"]);
        // Neither is it a GPU of the host.
        for family in ["amd-gpu", "nvidia", "drm-gpu"] {
            assert_eq!(devices(&tree, family), [], "{name}: {family}");
        }
    }
}
