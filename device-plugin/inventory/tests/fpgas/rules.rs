//! Devices that a rule of the configuration names.

use super::{Tree, devices_with, nodes, why};
use dunnage_inventory::{Health, Kind, Shares};

#[test]
fn a_class_gives_a_device_for_each_node() {
    let tree = Tree::load("rules-apex");
    let config =
        "[[rule]]\nname = \"coral\"\nkind = \"npu\"\nvendor = \"google\"\nclass = \"apex\"\n";
    let found = devices_with(&tree, "rules", config);
    let [first, second] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((first.id.as_str(), first.kind), ("coral-apex_0", Kind::Npu));
    assert!(first.is_called("apex_0") && first.is_called("0000:01:00.0"));
    assert_eq!(nodes(second), ["/dev/apex_1"]);
    assert_eq!(second.driver.as_ref().unwrap().name, "apex");
    assert_eq!(
        (second.numa_node, &second.health),
        (Some(0), &Health::Healthy)
    );
    // With a driver that none of them has, nothing is left.
    let other = format!("{config}driver = \"gasket\"\n");
    assert_eq!(devices_with(&tree, "rules", &other), []);
    let same = format!("{config}driver = \"apex\"\n");
    assert_eq!(devices_with(&tree, "rules", &same).len(), 2);
}

#[test]
fn a_rule_on_a_machine_with_a_coral_and_a_gpu() {
    let tree = Tree::load("rules-coral-shuttle");
    let config =
        "[[rule]]\nname = \"coral\"\nkind = \"npu\"\nvendor = \"google\"\nclass = \"apex\"\n";
    let found = devices_with(&tree, "rules", config);
    let [coral] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((coral.id.as_str(), coral.kind), ("coral-apex_0", Kind::Npu));
    assert_eq!(nodes(coral), ["/dev/apex_0"]);
    assert_eq!((coral.nodes[0].major, coral.nodes[0].minor), (120, 0));
    let place = coral.pci.as_ref().unwrap();
    assert_eq!(
        (place.address.as_str(), place.class),
        ("0000:04:00.0", 0xff)
    );
    assert_eq!(place.path, ["0000:00:1d.0"]);
    assert_eq!(devices_with(&tree, "intel-gpu", config).len(), 1);
}

#[test]
fn a_driver_gives_what_is_bound_to_it() {
    let tree = Tree::load("rules-apex");
    let config = "[[rule]]\nname = \"uio\"\ndriver = \"uio_pci_generic\"\nusers = \"one\"\n";
    let found = devices_with(&tree, "rules", config);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].id.as_str(), nodes(&found[0])),
        ("uio-0000:03:00.0", vec!["/dev/uio0"])
    );
    assert_eq!(found[0].shares, Shares::One);
    let config = "[[rule]]\nname = \"a\"\ndriver = \"apex\"\n";
    assert_eq!(devices_with(&tree, "rules", config).len(), 2);
    let config = "[[rule]]\nname = \"a\"\ndriver = \"nobody\"\n";
    assert_eq!(devices_with(&tree, "rules", config), []);
}

#[test]
fn a_counted_rule_is_one_device_for_so_many() {
    let tree = Tree::load("rules-apex");
    let config = "[[rule]]\nname = \"tpus\"\nclass = \"apex\"\ncount = 5\n";
    let found = devices_with(&tree, "rules", config);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].id.as_str(), found[0].shares),
        ("tpus", Shares::UpTo(5))
    );
    assert_eq!(nodes(&found[0]), ["/dev/apex_0", "/dev/apex_1"]);
}

#[test]
fn what_must_go_along_and_is_not_there_is_said() {
    let tree = Tree::load("rules-apex");
    let rule = "[[rule]]\nname = \"a\"\nclass = \"apex\"\n";
    let missing = format!("{rule}also = [{{ path = \"/dev/gone\" }}]\n");
    assert_eq!(
        why(&devices_with(&tree, "rules", &missing)[0]),
        "/dev/gone is not there or no device"
    );
    let optional = format!("{rule}also = [{{ path = \"/dev/gone\", optional = true }}]\n");
    assert_eq!(
        devices_with(&tree, "rules", &optional)[0].health,
        Health::Healthy
    );
}

/// Device nodes need root to make, so this looks at those of the machine: every Linux has them.
#[test]
fn patterns_find_nodes_and_what_goes_along() {
    let host = dunnage_host::HostRoot::default();
    let config = dunnage_inventory::Config::parse(
        "[[rule]]\nname = \"sinks\"\nnodes = [\"/dev/nu*\", \"/dev/n*ll\"]\n\
         also = [{ path = \"/dev/nu{}\", role = \"control\" }, { path = \"/dev/zero\" }]\n",
    )
    .unwrap();
    let inventory = dunnage_inventory::scan(&host, &config);
    let sinks: Vec<_> = inventory
        .devices
        .iter()
        .filter(|device| device.family == "rules" && device.is_called("null"))
        .collect();
    assert_eq!(sinks.len(), 1);
    assert_eq!(sinks[0].id, "sinks-null");
    assert_eq!(nodes(sinks[0]), ["/dev/null", "/dev/zero"]);
    assert_eq!((sinks[0].nodes[0].major, sinks[0].nodes[0].minor), (1, 3));
    assert_eq!(sinks[0].health, Health::Healthy);
}

#[test]
fn a_rule_does_not_list_again_what_a_family_has() {
    let tree = Tree::load("qemu-devices");
    for class in ["vfio", "accel", "drm"] {
        let config = format!("[[rule]]\nname = \"mine\"\nclass = {class:?}\n");
        assert_eq!(devices_with(&tree, "rules", &config), [], "{class}");
    }
}

#[test]
fn a_node_that_two_rules_select_is_the_first_ones_and_that_is_said() {
    let tree = Tree::load("rules-apex");
    let config = dunnage_inventory::Config::parse(
        "[[rule]]\nname = \"one\"\nclass = \"apex\"\n[[rule]]\nname = \"two\"\ndriver = \"apex\"\n",
    )
    .unwrap();
    let inventory = dunnage_inventory::scan(&tree.host(), &config);
    let rules = inventory.devices.iter().filter(|one| one.family == "rules");
    let ids: Vec<_> = rules.map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["one-apex_0", "one-apex_1"]);
    let gap = inventory.gaps.iter().find(|gap| gap.what == "rule two");
    assert!(gap.unwrap().why.contains("2 of the 2"), "{gap:?}");
}
