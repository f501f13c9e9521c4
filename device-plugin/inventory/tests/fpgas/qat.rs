//! QuickAssist.

use super::{Tree, devices, nodes, why};
use dunnage_inventory::{Health, Shares};

#[test]
fn virtual_functions_of_vfio_can_be_given_away() {
    let tree = Tree::load("qat-4xxx");
    let found = devices(&tree, "qat");
    let ids: Vec<_> = found.iter().map(|device| device.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "0000:f3:00.0",
            "0000:f3:00.1",
            "0000:f3:00.2",
            "0000:f7:00.0",
            "0000:f7:00.1",
            "0000:f7:00.2"
        ]
    );
    let [whole, given, kept, down, given_of_down, _] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((&whole.health, nodes(whole)), (&Health::Healthy, vec![]));
    assert_eq!(whole.model.as_deref(), Some("Intel QAT 401xx"));
    assert_eq!(whole.driver.as_ref().unwrap().name, "4xxx");
    assert_eq!(whole.attributes["qat.virtual_functions"], "2");
    assert_eq!(nodes(given), ["/dev/vfio/101", "/dev/vfio/vfio"]);
    assert_eq!(
        (&given.health, given.shares),
        (&Health::Healthy, Shares::One)
    );
    assert_eq!(given.parent.as_deref(), Some("0000:f3:00.0"));
    assert_eq!(given.attributes["qat.services"], "sym;asym");
    assert!(why(kept).contains("4xxxvf") && why(kept).contains("vfio-pci"));
    assert_eq!(nodes(kept), Vec::<&str>::new());
    assert!(matches!(&down.health, Health::Unhealthy(why) if why.contains("down")));
    assert_eq!(down.attributes["qat.services"], "dc");
    assert!(matches!(&given_of_down.health, Health::Unhealthy(why) if why.contains("down")));
    // VFIO does not list the same groups again.
    assert_eq!(devices(&tree, "vfio"), []);
}

#[test]
fn the_out_of_tree_driver_has_nodes_on_the_physical_function() {
    let found = devices(&Tree::load("qat-8960-oot"), "qat");
    assert_eq!(found.len(), 1);
    assert_eq!(nodes(&found[0]), ["/dev/uio0"]);
    assert_eq!(
        found[0].driver.as_ref().unwrap().version.as_deref(),
        Some("4.24.0")
    );
    assert!(matches!(&found[0].health, Health::Unknown(_)));
}

#[test]
fn an_older_kernel_does_not_tell_the_state() {
    let found = devices(&Tree::load("qat-200xx"), "qat");
    assert_eq!(found[0].model.as_deref(), Some("Intel QAT 200xx"));
    assert!(why(&found[0]).contains("does not tell"));
    let tree = Tree::load("qat-200xx");
    std::fs::remove_file(tree.path("/sys/bus/pci/devices/0000:01:00.0/driver")).unwrap();
    let found = devices(&tree, "qat");
    assert!(matches!(&found[0].health, Health::Unhealthy(why) if why.contains("no driver")));
}

#[test]
fn functions_that_dpdk_has_can_be_given_away() {
    let found = devices(&Tree::load("qat-8480-dpdk"), "qat");
    let ids: Vec<_> = found.iter().map(|device| device.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "0000:6b:00.0",
            "0000:6b:00.1",
            "0000:6b:00.7",
            "0000:6b:02.0",
            "0000:e8:00.0",
            "0000:e8:00.1"
        ]
    );
    let (whole, last) = (&found[0], &found[3]);
    assert_eq!(whole.model.as_deref(), Some("Intel QAT 4xxx"));
    assert_eq!(whole.driver.as_ref().unwrap().name, "4xxx");
    assert!(why(whole).contains("does not tell"));
    // The sixteenth function of a device stands in another slot of the bus.
    assert_eq!(last.parent.as_deref(), Some("0000:6b:00.0"));
    assert_eq!(last.health, Health::Healthy);
    assert_eq!(nodes(last), ["/dev/vfio/462", "/dev/vfio/vfio"]);
}

#[test]
fn an_older_generation_needs_a_word_to_vfio() {
    let found = devices(&Tree::load("qat-vf-in-vm"), "qat");
    assert_eq!(found.len(), 4);
    for device in &found {
        assert_eq!(
            device.model.as_deref(),
            Some("Intel QAT C62x virtual function")
        );
        assert_eq!(
            (device.parent.as_deref(), device.numa_node),
            (None, Some(0))
        );
        assert!(
            why(device).contains("disable_denylist=1"),
            "{}",
            why(device)
        );
    }
    let newer = devices(&Tree::load("qat-4xxx"), "qat");
    assert!(newer.iter().all(|device| !why(device).contains("denylist")));
}
