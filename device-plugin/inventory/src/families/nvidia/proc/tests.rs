//! The parsers, on texts that machines wrote and on anything else.

use super::*;
use proptest::prelude::*;

#[test]
fn both_kinds_of_module_tell_their_version() {
    let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  510.54  Tue Feb  8 04:42:21 UTC 2022\n\
                  GCC version:  gcc version 9.3.0 (Arch Linux 9.3.0-1)\n";
    let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  \
                (dvs-builder@U22-I3-B17-02-5)  Tue Sep 23 09:55:41 UTC 2025\n";
    assert_eq!(
        version(closed),
        Some(Version {
            version: "510.54".to_owned(),
            open: Some(false)
        })
    );
    assert_eq!(
        version(open),
        Some(Version {
            version: "580.95.05".to_owned(),
            open: Some(true)
        })
    );
    // 9.3.0 is the compiler's, in a line that is not the driver's.
    assert_eq!(version("GCC version:  gcc version 9.3.0\n"), None);
    assert_eq!(version("NVRM version: none\n"), None);
}

#[test]
fn what_the_driver_does_not_know_is_absent() {
    let text = "Model: \t\t GeForce GTX 980\nIRQ:   \t\t 11\nGPU UUID: \t GPU-????????-????-????-????-????????????\n\
                Video BIOS: \t ??.??.??.??.??\nBus Type: \t PCIe\nDMA Size: \t 36 bits\n\
                DMA Mask: \t 0xfffffffff\nBus Location: \t 0000:00:05.0\nDevice Minor: \t 0\n\
                GPU Firmware: \t N/A\nGPU Excluded:\t No\n";
    assert_eq!(
        information(text),
        Information {
            model: Some("GeForce GTX 980".to_owned()),
            minor: Some(0),
            ..Information::default()
        }
    );
    assert!(information("Blacklisted:\t Yes\n").excluded);
}

#[test]
fn the_numbers_of_the_rights_are_those_of_a_driver() {
    // The lines that NVIDIA's guide to MIG and its DRA driver quote.
    let text = "config 1\nmonitor 2\ngpu0/gi0/access 3\ngpu0/gi0/ci0/access 4\n\
                gpu6/gi11/ci5/access 918\ngpu31/gi14/ci7/access 4322\n";
    let minors = mig_minors(text);
    assert_eq!(minors.len(), 6);
    let compute = Capability::ComputeInstance {
        gpu: 6,
        instance: 11,
        compute: 5,
    };
    assert_eq!(minors[&compute], 918);
    assert_eq!(minors[&Capability::Config], 1);
    for bad in [
        "gpu0/gi0/ci0/ci1/access 4",
        "gpu0/gi-1/access 4",
        "gpux/gi0/access 4",
        "gpu0/gi0/access",
        "gpu0/gi0/access -4",
        "../../gpu0/gi0/access 3",
    ] {
        assert!(mig_minors(bad).is_empty(), "{bad}");
    }
}

#[test]
fn a_right_tells_its_minor_and_a_gpu_its_memory_node() {
    assert_eq!(
        capability_minor("DeviceFileMinor: 2\nDeviceFileMode: 292\nDeviceFileModify: 1\n"),
        Some(2)
    );
    assert_eq!(
        capability_minor("DeviceFileMinor: 99999999999999999999\n"),
        None
    );
    let status =
        "Node:      255\nStatus:    online\nAddress:   40000000000\nSize:      3f0000000\n";
    assert_eq!(memory_node(status), Some(255));
    assert_eq!(memory_node("Node:      255\nStatus:    offline\n"), None);
}

#[test]
fn majors_of_block_devices_are_not_taken() {
    let text =
        "Character devices:\n  1 mem\n195 nvidia\n234 nvidia-caps\n\nBlock devices:\n  7 loop\n";
    let majors = character_majors(text);
    assert_eq!(majors["nvidia-caps"], 234);
    assert_eq!(majors.len(), 3);
}

#[test]
fn a_uuid_cannot_lead_elsewhere() {
    for good in [
        "GPU-370465f5-30e0-6877-b85c-16729f41b90f",
        "MIG-GPU-370465f5-30e0-6877-b85c-16729f41b90f/1/0",
    ] {
        assert_eq!(uuid(good).as_deref(), Some(good));
    }
    for bad in [
        "GPU-",
        "GPU-../../../etc",
        "GPU-a b c d e f",
        "gpu-370465f5",
        "GPU-\u{1b}[2J12345678",
    ] {
        assert_eq!(uuid(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_a_parser(text in any::<String>()) {
        let _ = (version(&text), information(&text), mig_minors(&text), capability_minor(&text));
        let _ = (memory_node(&text), character_majors(&text));
        if let Some(known) = known(&text) {
            prop_assert!(known.chars().count() <= TEXT_LIMIT && !known.contains(char::is_control));
        }
    }

    #[test]
    fn no_line_of_the_right_form_is_lost(
        model in "[A-Za-z0-9][A-Za-z0-9 ]{0,40}[A-Za-z0-9]", minor in any::<u32>(), excluded in any::<bool>(),
    ) {
        let text = format!(
            "Model: \t\t {model}\nDevice Minor: \t {minor}\nGPU Excluded:\t {}\n",
            if excluded { "Yes" } else { "No" },
        );
        let information = information(&text);
        prop_assert_eq!(information.model.as_deref(), Some(model.as_str()));
        prop_assert_eq!((information.minor, information.excluded), (Some(minor), excluded));
    }

    #[test]
    fn each_right_is_found_again(gpu in 0_u32..64, instance in 0_u32..15, compute in 0_u32..8, minor in any::<u32>()) {
        let minors = mig_minors(&format!("gpu{gpu}/gi{instance}/ci{compute}/access {minor}\n"));
        prop_assert_eq!(minors.get(&Capability::ComputeInstance { gpu, instance, compute }), Some(&minor));
    }

    #[test]
    fn a_version_is_digits_and_dots(text in "\\PC{0,60}") {
        if let Some(found) = version(&format!("NVRM version: {text}")) {
            prop_assert!(found.version.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        }
    }
}
