//! Work queues of DSA and IAA.

use super::{Tree, devices, nodes, why};
use dunnage_inventory::{Health, Kind, Shares};

#[test]
fn queues_for_user_space_are_devices() {
    let found = devices(&Tree::load("idxd-sapphire-rapids"), "idxd");
    let ids: Vec<_> = found.iter().map(|device| device.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "0000:6a:01.0-wq0",
            "0000:6a:01.0-wq1",
            "0000:6a:01.0-wq2",
            "0000:6a:02.0-wq0"
        ]
    );
    let [disabled, shared, dedicated, analytics] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(
        matches!(&disabled.health, Health::Unhealthy(why) if why.contains("enable-wq dsa0/wq0.0"))
    );
    assert_eq!(nodes(shared), ["/dev/dsa/wq0.1"]);
    assert_eq!((shared.nodes[0].major, shared.nodes[0].minor), (511, 24));
    assert_eq!(
        (shared.kind, shared.shares, &shared.health),
        (Kind::Dsa, Shares::Any, &Health::Healthy)
    );
    assert_eq!(shared.attributes["wq.size"], "8");
    assert_eq!(shared.attributes["wq.name"], "app1");
    assert_eq!(shared.parent.as_deref(), Some("0000:6a:01.0"));
    assert!(shared.is_called("wq0.1") && shared.is_called("dsa/wq0.1"));
    assert_eq!(shared.driver.as_ref().unwrap().name, "idxd");
    // The numbers alone tell of this one's node.
    assert_eq!(nodes(dedicated), ["/dev/dsa/wq0.2"]);
    assert_eq!(
        (dedicated.nodes[0].major, dedicated.nodes[0].minor),
        (511, 25)
    );
    assert_eq!(
        (dedicated.shares, dedicated.numa_node),
        (Shares::One, Some(0))
    );
    assert_eq!(nodes(analytics), ["/dev/iax/wq1.0"]);
    assert!(analytics.model.as_deref().unwrap().contains("IAA"));
}

#[test]
fn dedicated_queues_of_several_engines() {
    let found = devices(&Tree::load("idxd-dedicated"), "idxd");
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|device| device.shares == Shares::One));
    assert_eq!(found[2].id, "0000:e7:01.0-wq2");
    assert_eq!(
        (nodes(&found[2]), found[2].numa_node),
        (vec!["/dev/dsa/wq1.2"], Some(1))
    );
}

#[test]
fn an_engine_without_queues_says_what_is_missing() {
    let found = devices(&Tree::load("idxd-unconfigured"), "idxd");
    let [engine] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (engine.id.as_str(), engine.numa_node),
        ("0000:6a:01.0", None)
    );
    assert!(engine.is_called("dsa0") && engine.nodes.is_empty());
    assert!(why(engine).contains("config-wq"));
}

#[test]
fn a_disabled_engine_disables_its_queues() {
    let tree = Tree::load("idxd-dedicated");
    tree.add("F /sys/devices/pci0000:6a/0000:6a:01.0/dsa0/state = disabled\\n");
    let found = devices(&tree, "idxd");
    assert!(why(&found[0]).contains("dsa0 is disabled"));
    assert_eq!(found[2].health, Health::Healthy);
}

#[test]
fn engines_of_a_server_as_it_is_delivered() {
    let found = devices(&Tree::load("idxd-eight-engines"), "idxd");
    let ids: Vec<_> = found.iter().map(|device| device.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "0000:6a:01.0",
            "0000:6f:01.0",
            "0000:74:01.0",
            "0000:79:01.0",
            "0000:6a:02.0",
            "0000:6f:02.0",
            "0000:74:02.0",
            "0000:79:02.0"
        ]
    );
    let first = &found[0];
    assert!(first.is_called("dsa0") && found[7].is_called("iax7"));
    assert_eq!(first.numa_node, Some(0));
    assert_eq!(first.pci.as_ref().unwrap().iommu_group, Some(12));
    assert!(found[7].model.as_deref().unwrap().contains("IAA"));
    for engine in &found {
        assert!(why(engine).contains("config-wq"), "{}", engine.id);
    }
}

#[test]
fn a_queue_that_was_made_with_accel_config() {
    let found = devices(&Tree::load("idxd-emerald-rapids"), "idxd");
    let [queue] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(queue.id, "0000:f2:01.0-wq0");
    assert_eq!(nodes(queue), ["/dev/dsa/wq0.0"]);
    assert_eq!((queue.nodes[0].major, queue.nodes[0].minor), (235, 0));
    assert_eq!(
        (queue.shares, &queue.health, queue.numa_node),
        (Shares::Any, &Health::Healthy, Some(0))
    );
    assert_eq!(queue.attributes["wq.max_transfer_size"], "2097152");
}
