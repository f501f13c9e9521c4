//! Tests of `registers`, on folders that stand for a host.

use super::*;
use crate::device::{Kind, PciPlace};
use tempfile::TempDir;

const ADDRESS: &str = "0000:65:00.0";

/// One device on a host that the test writes.
struct Bench {
    host: TempDir,
    device: Device,
    registers: Registers,
}

impl Bench {
    fn new(family: &'static str, kind: Kind, files: &[(&str, &str)]) -> Bench {
        let mut device = Device::new(ADDRESS, family, kind, "acme");
        device.health = Health::Healthy;
        device.pci = Some(PciPlace {
            address: ADDRESS.to_owned(),
            ..PciPlace::default()
        });
        let bench = Bench {
            host: tempfile::tempdir().unwrap(),
            device,
            registers: Registers::default(),
        };
        bench.set(files);
        bench
    }

    fn set(&self, files: &[(&str, &str)]) {
        let directory = self.host.path().join("sys/bus/pci/devices").join(ADDRESS);
        for (name, content) in files {
            let path = directory.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    /// What the registers say of the device now, with another one beside it that has none.
    fn health(&mut self) -> Health {
        let other = Device::new("other", "rules", Kind::Other, "acme");
        let mut inventory = Inventory {
            devices: vec![self.device.clone(), other.clone()],
            gaps: Vec::new(),
        };
        let host = HostRoot::new(self.host.path());
        self.registers.read(&host, &inventory);
        self.registers.mark(&mut inventory);
        assert_eq!(inventory.devices[1], other, "the right device only");
        inventory.devices[0].health.clone()
    }

    fn why(&mut self) -> String {
        match self.health() {
            Health::Unhealthy(why) => why,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn without_registers_there_is_nothing_to_wake_up_for() {
    let mut bench = Bench::new("rules", Kind::Other, &[("vendor", "0x1234\n")]);
    assert_eq!(bench.health(), Health::Healthy);
    assert!(!bench.registers.again());
}

#[test]
fn uncorrectable_errors_count_until_the_driver_is_loaded_again() {
    let mut bench = Bench::new(
        "amd-gpu",
        Kind::Gpu,
        &[("ras/umc_err_count", "ue: 0\nce: 7\n")],
    );
    assert_eq!(bench.health(), Health::Healthy);
    assert!(bench.registers.again());
    bench.set(&[("ras/umc_err_count", "ue: 2\nce: 7\n")]);
    assert!(bench.why().contains("2 in umc"));
    bench.set(&[("ras/umc_err_count", "ue: 0\nce: 0\n")]);
    assert_eq!(bench.health(), Health::Healthy);
}

#[test]
fn of_intels_counters_the_fatal_ones_count() {
    let counter = |name: &str| format!("drm/card0/gt/gt0/error_counter/{name}");
    let (corrected, nonfatal) = (counter("correctable_guc"), counter("sgunit_nonfatal"));
    let fatal = counter("fatal_l3_ecc_checker");
    let mut bench = Bench::new(
        "intel-gpu",
        Kind::Gpu,
        &[
            (corrected.as_str(), "9\n"),
            (nonfatal.as_str(), "1\n"),
            (fatal.as_str(), "0\n"),
        ],
    );
    assert_eq!(bench.health(), Health::Healthy);
    bench.set(&[(fatal.as_str(), "3\n")]);
    let why = bench.why();
    assert!(why.contains("3 fatal_l3_ecc_checker in gt0"), "{why}");
}

#[test]
fn a_link_that_got_narrow_is_ill_where_it_does_not_save_power() {
    let full = [
        ("current_link_speed", "16.0 GT/s PCIe\n"),
        ("current_link_width", "16\n"),
        ("max_link_width", "32\n"),
    ];
    let narrow = [("current_link_width", "4\n")];
    let mut card = Bench::new("xrt", Kind::Fpga, &full);
    assert_eq!(card.health(), Health::Healthy, "the slot has no more lanes");
    card.set(&[("current_link_speed", "2.5 GT/s PCIe\n")]);
    assert_eq!(
        card.health(),
        Health::Healthy,
        "speed is given up to save power"
    );
    card.set(&narrow);
    assert!(card.why().contains("4 of 16 lanes"));
    card.set(&full);
    assert_eq!(card.health(), Health::Healthy);

    let mut gpu = Bench::new("nvidia", Kind::Gpu, &full);
    assert_eq!(gpu.health(), Health::Healthy);
    gpu.set(&narrow);
    assert_eq!(
        gpu.health(),
        Health::Healthy,
        "nothing says that it is busy"
    );
    gpu.set(&[("gpu_busy_percent", "0\n")]);
    assert_eq!(gpu.health(), Health::Healthy);
    gpu.set(&[("gpu_busy_percent", "73\n")]);
    assert!(gpu.why().contains("4 of 16 lanes"));
}

#[test]
fn a_link_that_is_gone_is_ill_and_one_that_never_was_is_not() {
    let none = [
        ("current_link_speed", "Unknown\n"),
        ("current_link_width", "0\n"),
    ];
    let mut bench = Bench::new("qat", Kind::Qat, &none);
    assert_eq!(
        bench.health(),
        Health::Healthy,
        "as virtual functions have it"
    );
    bench.set(&[
        ("current_link_speed", "8.0 GT/s PCIe\n"),
        ("current_link_width", "8\n"),
    ]);
    assert_eq!(bench.health(), Health::Healthy);
    // A function that is off the bus reads as all ones.
    bench.set(&[
        ("current_link_speed", "Unknown\n"),
        ("current_link_width", "63\n"),
    ]);
    assert!(bench.why().contains("link is down"));
    bench.set(&none);
    bench.set(&[("power/runtime_status", "suspended\n")]);
    assert!(
        bench.why().contains("link is down"),
        "what sleeps is not asked"
    );
}

#[test]
fn a_device_is_too_hot_from_its_limit_until_it_is_clearly_cooler() {
    let mut bench = Bench::new(
        "habana",
        Kind::Npu,
        &[
            ("hwmon/hwmon3/temp1_input", "99000\n"),
            ("hwmon/hwmon3/temp1_crit", "100000\n"),
            ("hwmon/hwmon3/temp1_label", "junction\n"),
            ("hwmon/hwmon3/temp2_input", "500000\n"),
        ],
    );
    assert_eq!(
        bench.health(),
        Health::Healthy,
        "a sensor without a limit says nothing"
    );
    let set = |bench: &Bench, now: &str| bench.set(&[("hwmon/hwmon3/temp1_input", now)]);
    set(&bench, "101000\n");
    let why = bench.why();
    assert!(
        why.contains("101 °C at junction, the limit is 100 °C"),
        "{why}"
    );
    set(&bench, "97000\n");
    assert!(bench.why().contains("97 °C"));
    set(&bench, "94000\n");
    assert_eq!(bench.health(), Health::Healthy);
    // With an emergency above it, what is critical slows the device down and no more.
    bench.set(&[("hwmon/hwmon3/temp1_emergency", "115000\n")]);
    set(&bench, "110000\n");
    assert_eq!(bench.health(), Health::Healthy);
}

#[test]
fn what_a_family_found_goes_before_it() {
    let mut bench = Bench::new(
        "amd-gpu",
        Kind::Gpu,
        &[("ras/gfx_err_count", "ue: 1\nce: 0\n")],
    );
    bench.device.health = Health::Unhealthy("no driver".to_owned());
    assert_eq!(bench.why(), "no driver");
}

#[test]
fn hostile_files_say_nothing() {
    let long = "9".repeat(5000);
    for text in ["", "\n", "-1\n", "x", &long] {
        let mut bench = Bench::new(
            "amd-gpu",
            Kind::Gpu,
            &[
                ("current_link_speed", text),
                ("current_link_width", text),
                ("hwmon/hwmon0/temp1_input", text),
                ("hwmon/hwmon0/temp1_crit", text),
                ("ras/umc_err_count", text),
            ],
        );
        assert_eq!(bench.health(), Health::Healthy, "{text:?}");
    }
}
