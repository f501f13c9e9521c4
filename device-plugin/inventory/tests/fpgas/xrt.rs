//! Cards with XRT's drivers.

use super::{Tree, devices, nodes, why};
use dunnage_inventory::{Health, Role};

#[test]
fn a_card_is_its_user_function() {
    let found = devices(&Tree::load("xrt-u200"), "xrt");
    let [card] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(card.id, "0000:b3:00.1");
    assert!(card.is_called("0000:b3:00.0"));
    assert_eq!(nodes(card), ["/dev/dri/renderD129", "/dev/xclmgmt45824"]);
    assert_eq!(card.nodes[0].role, Role::Own);
    assert_eq!(card.nodes[1].role, Role::Management);
    assert_eq!(
        (card.vendor.as_str(), card.model.as_deref()),
        ("xilinx", Some("u200"))
    );
    assert_eq!(card.attributes["xrt.shell"], "xilinx_u200_xdma_201830_3");
    assert_eq!(card.attributes["xrt.timestamp"], "1561465320");
    let driver = card.driver.as_ref().unwrap();
    assert_eq!(
        (driver.name.as_str(), driver.version.as_deref()),
        ("xocl", Some("2.9.0"))
    );
    assert_eq!((card.numa_node, &card.health), (Some(1), &Health::Healthy));
}

#[test]
fn a_shell_of_two_stages_has_uuids_and_no_timestamp() {
    let found = devices(&Tree::load("xrt-u55c"), "xrt");
    assert_eq!(found.len(), 1);
    assert_eq!(nodes(&found[0]), ["/dev/dri/renderD128"]);
    assert_eq!(
        found[0].attributes["xrt.logic_uuid"],
        "97088961feaeda9152a21d9dfd63ccef"
    );
    assert!(!found[0].attributes.contains_key("xrt.timestamp"));
    assert_eq!(
        found[0].model.as_deref(),
        Some("xilinx_u55c_gen3x16_xdma_base_3")
    );
    assert_eq!(
        (found[0].numa_node, &found[0].health),
        (None, &Health::Healthy)
    );
}

#[test]
fn a_golden_image_and_a_tripped_firewall() {
    let found = devices(&Tree::load("xrt-golden"), "xrt");
    let [u280, u250] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (u280.id.as_str(), u250.id.as_str()),
        ("0000:65:00.1", "0000:17:00.0")
    );
    assert!(matches!(&u280.health, Health::Unhealthy(why) if why.contains("level 2")));
    assert!(matches!(&u250.health, Health::Unknown(why) if why.contains("golden")));
    assert_eq!(nodes(u250), ["/dev/xclmgmt5888"]);
}

#[test]
fn states_that_forbid_use() {
    let user = "/sys/devices/pci0000:b2/0000:b2:00.0/0000:b3:00.1";
    for (change, wanted) in [
        (format!("F {user}/ready = 0x0\\n"), "not ready"),
        (format!("F {user}/dev_offline = 1\\n"), "offline"),
        (format!("F {user}/ready = \\n"), "does not tell"),
        (
            format!("F {user}/drm/renderD129/dev = none\\n"),
            "no render node",
        ),
    ] {
        let tree = Tree::load("xrt-u200");
        tree.add(&change);
        let found = devices(&tree, "xrt");
        assert!(why(&found[0]).contains(wanted), "{change}: {found:?}");
    }
}

#[test]
fn xilinx_functions_of_other_drivers_are_left_to_others() {
    let tree = Tree::load("vfio-bridge");
    assert_eq!(devices(&tree, "xrt"), []);
}

#[test]
fn cards_in_use_by_their_owners() {
    for (name, id, board, shell, class) in [
        (
            "xrt-u50-desktop",
            "0000:01:00.1",
            "u50",
            "xilinx_u50_gen3x16_xdma_201920_3",
            0x12_0000,
        ),
        (
            "xrt-vck5000",
            "0000:0b:00.1",
            "vck5000",
            "xilinx_vck5000_gen3x16_xdma_base_1",
            0x05_8000,
        ),
    ] {
        let tree = Tree::load(name);
        let found = devices(&tree, "xrt");
        let [card] = found.as_slice() else {
            panic!("{name}: {found:?}");
        };
        assert_eq!((card.id.as_str(), card.model.as_deref()), (id, Some(board)));
        assert!(card.is_called(&id.replace(".1", ".0")));
        assert_eq!(card.attributes["xrt.shell"], shell);
        assert_eq!(card.health, Health::Healthy);
        // A card counts by its driver: the class is a memory controller's with one of them.
        assert_eq!(card.pci.as_ref().unwrap().class, class);
        assert_eq!(devices(&tree, "drm-gpu"), [], "{name}");
    }
}

#[test]
fn four_cards_keep_their_numbers() {
    let found = devices(&Tree::load("xrt-four-u55c"), "xrt");
    let told: Vec<_> = found
        .iter()
        .map(|card| (card.id.as_str(), card.nodes[0].minor))
        .collect();
    assert_eq!(
        told,
        [
            ("0000:16:00.1", 128),
            ("0000:38:00.1", 129),
            ("0000:49:00.1", 130),
            ("0000:5a:00.1", 131),
        ]
    );
    for card in &found {
        assert_eq!(card.nodes.len(), 1, "never the management function's");
        let driver = card.driver.as_ref().unwrap();
        assert!(driver.version.as_deref().unwrap().starts_with("2.18.179"));
        assert_eq!(
            card.attributes["xrt.logic_uuid"],
            "97088961feaeda9152a21d9dfd63ccef"
        );
        assert!(card.is_called(&card.id.replace(".1", ".0")));
        assert_eq!(card.health, Health::Healthy);
    }
}
