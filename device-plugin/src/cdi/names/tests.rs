//! Names: which, and that the parser's rules hold for whatever a vendor calls itself.

use super::*;
use dunnage_inventory::Kind;
use proptest::prelude::*;

fn gpu(id: &str, vendor: &str) -> Device {
    Device::new(id, "nvidia", Kind::Gpu, vendor)
}

fn inventory(devices: Vec<Device>) -> Inventory {
    Inventory {
        devices,
        ..Inventory::default()
    }
}

#[test]
fn devices_are_numbered_within_their_kind() {
    let mut part = gpu("MIG-1", "nvidia");
    part.parent = Some("GPU-b".to_owned());
    let all = inventory(vec![
        gpu("GPU-a", "nvidia"),
        gpu("0000:03:00.0", "intel"),
        gpu("GPU-b", "nvidia"),
        part,
    ]);
    let names_of: Vec<_> = all
        .devices
        .iter()
        .map(|device| qualified_name(device, &all))
        .collect();
    assert_eq!(
        names_of,
        [
            "nvidia.com/gpu=0",
            "intel.com/gpu=0",
            "nvidia.com/gpu=1",
            "nvidia.com/gpu=1:0"
        ]
    );
    assert_eq!(names(&all.devices[1], &all), ["0", "0000:03:00.0"]);
    for device in &all.devices {
        for name in names(device, &all) {
            let full = format!("{}={name}", kind(device));
            assert_eq!(resolve(&full, &all), [device], "{full}");
        }
        assert_eq!(resolve(&device.id, &all), [device]);
    }
    assert!(resolve("nvidia.com/gpu=7", &all).is_empty());
    assert!(resolve("", &all).is_empty());
}

#[test]
fn vendors_get_a_domain() {
    for (vendor, name) in [
        ("intel", "intel.com/gpu"),
        ("habana", "habana.ai/gpu"),
        ("0x1d0f", "pci-1d0f.dunnage/gpu"),
        ("accel.example", "accel.example/gpu"),
        ("abcd", "pci-abcd.dunnage/gpu"),
        ("Some One", "Some-One.dunnage/gpu"),
        ("\u{1b}[31m", "pci-31m.dunnage/gpu"),
        ("", "other.dunnage/gpu"),
    ] {
        assert_eq!(kind(&gpu("x", vendor)), name);
    }
}

#[test]
fn several_gpus_are_asked_for_by_names_that_go_together() {
    let mut devices = vec![gpu("a", "intel"), gpu("b", "amd")];
    for device in &mut devices {
        device.nodes = vec![dunnage_inventory::Node {
            path: "/dev/dri/renderD128".into(),
            role: dunnage_inventory::Role::Render,
            block: false,
            major: 226,
            minor: 128,
            access: None,
        }];
    }
    let all = inventory(devices);
    let both: Vec<_> = all.devices.iter().collect();
    let asked = together(&both, &all);
    assert_eq!(asked, ["intel.com/gpu=host-0", "amd.com/gpu=host-0"]);
    assert_eq!(resolve(&asked[1], &all), [both[1]]);
    assert_eq!(together(&both[..1], &all), ["intel.com/gpu=0"]);
}

/// The parser's rules.
fn is_qualified(name: &str) -> bool {
    let Some((kind, device)) = name.split_once('=') else {
        return false;
    };
    let Some((vendor, class)) = kind.split_once('/') else {
        return false;
    };
    let alnum = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let of = |text: &str, more: &str| {
        alnum(text.chars().last())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c) || more.contains(c))
    };
    let lettered = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
    of(vendor, "")
        && lettered(vendor)
        && of(class, "")
        && lettered(class)
        && of(device, ":")
        && alnum(device.chars().next())
}

proptest! {
    #[test]
    fn whatever_it_is_called_its_names_are_valid_and_its_own(
        ids in proptest::collection::btree_set(".{0,20}|[0-9]|all|host-[0-9]", 1..6),
        vendor in ".{0,12}|[a-z]{1,8}",
    ) {
        let all = inventory(ids.iter().map(|id| gpu(id, &vendor)).collect());
        let mut seen = std::collections::BTreeSet::new();
        for device in &all.devices {
            for name in names(device, &all) {
                let full = format!("{}={name}", kind(device));
                prop_assert!(is_qualified(&full), "{full:?}");
                prop_assert!(seen.insert(full.clone()), "{full:?} is there twice");
                prop_assert_eq!(resolve(&full, &all), vec![device]);
            }
        }
    }

    #[test]
    fn parents_in_a_loop_do_not_hang(a in 0_usize..4, b in 0_usize..4, c in 0_usize..4) {
        let mut devices: Vec<_> = (0..4).map(|n| gpu(&format!("d{n}"), "nvidia")).collect();
        for (device, of) in [(0, a), (1, b), (2, c)] {
            devices[device].parent = Some(format!("d{of}"));
        }
        let all = inventory(devices);
        for device in &all.devices {
            prop_assert!(is_qualified(&qualified_name(device, &all)));
        }
    }
}
