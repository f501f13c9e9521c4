//! The hosts of the pairs: a tree of files and the devices that an inventory finds on such a host.
//!
//! Trees are made by hand from the kernel's and NVIDIA's documentation; where a host has an NVIDIA
//! driver's files they are Debian's packages of that driver, or, for branches that Debian has not,
//! files with the same names and symbols.

use crate::elf::Elf;
use crate::pieces::{Pieces, plant};
use dunnage_host::HostRoot;
use dunnage_inventory::{Device, Driver, Health, Inventory, Kind, Node, PciPlace, Role};
use std::path::Path;

/// A host as it was built.
pub(crate) struct Built {
    /// Its files.
    pub(crate) dir: tempfile::TempDir,
    /// Its devices.
    pub(crate) inventory: Inventory,
}

impl Built {
    /// The root to read.
    pub(crate) fn root(&self) -> HostRoot {
        HostRoot::new(self.dir.path())
    }
}

const CURRENT: &str = "usr/lib/x86_64-linux-gnu/nvidia/current";

/// Symbols that all of these drivers have.
const SYMBOLS: [&str; 4] = [
    "cuInit",
    "cuDriverGetVersion",
    "nvmlInit_v2",
    "cuvidCreateDecoder",
];

/// Builds a host by its name: words with dashes, the first one the sort. `None` where packages are
/// needed that are not at hand.
pub(crate) fn build(name: &str, pieces: &Pieces) -> Option<Built> {
    let dir = pieces.folder();
    let mut devices = Vec::new();
    let words: Vec<&str> = name.split('-').collect();
    let has = |word: &str| words.contains(&word);
    let file = |path: &str, text: &str| plant(dir.path(), path, text.as_bytes());
    let kernel = if has("oldkernel") {
        "5.4.0-100-generic"
    } else {
        "6.8.0-45-generic"
    };
    file("proc/sys/kernel/osrelease", &format!("{kernel}\n"));
    file("proc/modules", "ext4 1 0 - Live 0x0\n");
    match words[0] {
        "bare" => {}
        "nvidia" => devices.push(nvidia(dir.path(), &words, pieces)?),
        "amd" => devices.push(amd(dir.path(), &words)),
        "intel" => devices.push(intel(&words)),
        "dfl" => devices.push(dfl(words[1])),
        "xrt" => devices.push(xrt(words[1])),
        "gaudi" => devices.push(plain("habana", Kind::Npu, "habana", "habanalabs")),
        "npu" => devices.push(plain("accel", Kind::Npu, "intel", "intel_vpu")),
        other => panic!("no host is of the sort {other}"),
    }
    if has("arm") {
        let init = Elf {
            machine: 183,
            ..Elf::default()
        };
        plant(dir.path(), "sbin/init", &init.bytes());
    }
    let gaps = Vec::new();
    Some(Built {
        dir,
        inventory: Inventory { devices, gaps },
    })
}

fn node(path: &str, role: Role) -> Node {
    Node {
        path: path.into(),
        role,
        block: false,
        major: 195,
        minor: 0,
        access: Some(dunnage_inventory::device::Access {
            mode: 0o666,
            uid: 0,
            gid: 0,
        }),
    }
}

fn driver(name: &str, version: Option<&str>) -> Option<Driver> {
    Some(Driver {
        name: name.to_owned(),
        version: version.map(str::to_owned),
    })
}

/// `nvidia-MODEL-BRANCH-...`.
fn nvidia(dir: &Path, words: &[&str], pieces: &Pieces) -> Option<Device> {
    let has = |word: &str| words.contains(&word);
    let (model, capability) = match words[1] {
        "k80" => ("Tesla K80", "3.7"),
        "v100" => ("Tesla V100-SXM2-16GB", "7.0"),
        "t4" => ("Tesla T4", "7.5"),
        "a100" => ("NVIDIA A100-SXM4-40GB", "8.0"),
        "rtx3090" => ("NVIDIA GeForce RTX 3090", "8.6"),
        "l4" => ("NVIDIA L4", "8.9"),
        "h100" => ("NVIDIA H100 80GB HBM3", "9.0"),
        "b200" => ("NVIDIA B200", "10.0"),
        "b300" => ("NVIDIA B300", "10.3"),
        "rtx5090" => ("NVIDIA GeForce RTX 5090", "12.0"),
        "strange" => ("NVIDIA Strange 1", ""),
        other => panic!("no GPU is called {other}"),
    };
    let version = match words[2] {
        "410" => "410.104",
        "450" => "450.248.02",
        "470" => "470.256.02",
        "525" => "525.147.05",
        "535" => "535.261.03",
        "550" => "550.163.01",
        "580" => "580.65.06",
        "none" => "",
        other => panic!("no driver of branch {other}"),
    };
    let mut device = Device::new("GPU-0", "nvidia", Kind::Gpu, "nvidia");
    device.model = Some(model.to_owned());
    device.health = Health::Healthy;
    if !capability.is_empty() {
        device
            .attributes
            .insert("cuda.capability", capability.to_owned());
    }
    if matches!(words[1], "t4" | "v100") {
        device.attributes.insert("brand", "Tesla".to_owned());
    }
    device.driver = match () {
        () if has("nouveau") => driver("nouveau", None),
        () if has("vfio") => driver("vfio-pci", None),
        () if version.is_empty() => None,
        () => driver("nvidia", Some(version)),
    };
    if has("lost") {
        device.health = Health::Unhealthy("it has fallen off the bus".to_owned());
    }
    if !has("nonode") && !version.is_empty() {
        device.nodes.push(node("/dev/nvidia0", Role::Own));
        device.nodes.push(node("/dev/nvidiactl", Role::Control));
        if !has("nouvm") {
            device.nodes.push(node("/dev/nvidia-uvm", Role::Control));
        }
    }
    if !version.is_empty() {
        let module = if has("mismatch") {
            "525.85.05"
        } else {
            version
        };
        plant(
            dir,
            "sys/module/nvidia/version",
            format!("{module}\n").as_bytes(),
        );
        plant(
            dir,
            "proc/modules",
            b"nvidia 1 0 - Live 0x0\nnvidia_uvm 1 0 - Live 0x0\n",
        );
    }
    if !has("nolibs") && !version.is_empty() {
        libraries(dir, words, version, pieces)?;
    }
    Some(device)
}

/// The driver's files.
fn libraries(dir: &Path, words: &[&str], version: &str, pieces: &Pieces) -> Option<()> {
    let has = |word: &str| words.contains(&word);
    let packages: &[&str] = match words[2] {
        "470" => &[
            "bookworm-libnvidia-tesla-470-cuda1",
            "bookworm-libnvidia-tesla-470-ml1",
            "bookworm-libnvidia-tesla-470-ptxjitcompiler1",
        ],
        "535" => &[
            "bookworm-libcuda1",
            "bookworm-libnvidia-ml1",
            "bookworm-libnvidia-ptxjitcompiler1",
            "bookworm-libnvcuvid1",
            "bookworm-libnvidia-encode1",
        ],
        "550" => &[
            "trixie-libcuda1",
            "trixie-libnvidia-ml1",
            "trixie-libnvidia-ptxjitcompiler1",
        ],
        _ => &[],
    };
    // `like` is a host with files that only look like that driver's, for tests without packages.
    let whole = !packages.is_empty() && !has("like");
    if whole {
        for package in packages {
            pieces.unpack(package, dir)?;
        }
    } else {
        let machine = if has("armlibs") { 183 } else { 62 };
        for (soname, stem) in [
            ("libcuda.so.1", "libcuda"),
            ("libnvidia-ml.so.1", "libnvidia-ml"),
            ("libnvcuvid.so.1", "libnvcuvid"),
            ("libnvidia-encode.so.1", "libnvidia-encode"),
        ] {
            if has("novideo") && stem.contains("nvcuvid") {
                continue;
            }
            let library = Elf {
                machine,
                soname: Some(soname),
                needed: vec!["libc.so.6"],
                wants: vec![("libc.so.6", "GLIBC_2.17")],
                defined: SYMBOLS.to_vec(),
                ..Elf::default()
            };
            let mut bytes = library.bytes();
            if has("cutlibs") {
                bytes.truncate(bytes.len() / 2);
            }
            plant(dir, &format!("{CURRENT}/{stem}.so.{version}"), &bytes);
        }
    }
    Some(())
}

/// `amd-GFX-...`.
fn amd(dir: &Path, words: &[&str]) -> Device {
    let has = |word: &str| words.contains(&word);
    let mut device = Device::new("0000:c1:00.0", "amd_gpu", Kind::Gpu, "amd");
    device.model = Some("AMD Instinct".to_owned());
    device.health = Health::Healthy;
    device.driver = driver("amdgpu", None);
    device.nodes.push(node("/dev/dri/renderD128", Role::Render));
    if !has("nokfd") {
        device.nodes.push(node("/dev/kfd", Role::Control));
        device.attributes.insert("gfx.target", words[1].to_owned());
    }
    plant(dir, "proc/modules", b"amdgpu 1 0 - Live 0x0\n");
    device
}

/// `intel-DEVICE-DRIVER-...`.
fn intel(words: &[&str]) -> Device {
    let mut device = Device::new("0000:00:02.0", "intel_gpu", Kind::Gpu, "intel");
    device.health = Health::Healthy;
    device.pci = Some(PciPlace {
        address: "0000:00:02.0".to_owned(),
        vendor: 0x8086,
        device: u16::from_str_radix(words[1], 16).unwrap(),
        class: 0x03_0000,
        ..PciPlace::default()
    });
    if words[2] != "none" {
        device.driver = driver(words[2], None);
    }
    if !words.contains(&"norender") {
        device.nodes.push(node("/dev/dri/renderD128", Role::Render));
    }
    device
}

fn dfl(afu: &str) -> Device {
    let mut device = plain("dfl", Kind::Fpga, "intel", "dfl-afu");
    device.attributes.insert("afu_id", afu.to_owned());
    device
}

fn xrt(shell: &str) -> Device {
    let mut device = plain("xrt", Kind::Fpga, "xilinx", "xocl");
    device.attributes.insert("xrt.shell", shell.to_owned());
    device
}

fn plain(family: &'static str, kind: Kind, vendor: &str, module: &str) -> Device {
    let mut device = Device::new("0000:65:00.0", family, kind, vendor);
    device.health = Health::Healthy;
    device.driver = driver(module, None);
    device.nodes.push(node("/dev/accelerator0", Role::Own));
    device
}
