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
    assert_eq!(whole.model.as_deref(), Some("Intel QAT 4xxx"));
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
