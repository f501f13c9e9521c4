//! What a port and its card are: the ids of function and interface, vendor and model.

use crate::device::PciPlace;
use dunnage_host::HostRoot;
use std::path::Path;

/// The most parts of a management engine that are searched for its region.
const PARTS_LIMIT: usize = 1024;

/// An id of 128 bits, as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// There is no such file, or it is empty: not every region has an interface id.
    Absent,
    /// Something else than 32 hexadecimal digits.
    Malformed,
    /// Every bit is set: what a read from hardware that does not answer gives.
    AllOnes,
    /// In lower case.
    Known(String),
}

impl Identity {
    /// Reads the file `path`.
    pub(super) fn read(host: &HostRoot, path: &Path) -> Identity {
        host.fact(path)
            .map_or(Identity::Absent, |text| Identity::parse(&text))
    }

    /// Of the text of such a file.
    pub(super) fn parse(text: &str) -> Identity {
        let text = text.trim();
        if text.is_empty() {
            Identity::Absent
        } else if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Identity::Malformed
        } else if text.bytes().all(|byte| byte.eq_ignore_ascii_case(&b'f')) {
            Identity::AllOnes
        } else {
            Identity::Known(text.to_ascii_lowercase())
        }
    }

    /// The digits, where they are known.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Identity::Known(id) => Some(id.clone()),
            _ => None,
        }
    }
}

/// The id that a partial bitstream must match. With the kernel's driver it is the compatibility id of
/// the region below the management engine, with the other one `pr/interface_id`.
pub(super) fn interface_id(host: &HostRoot, region: &Path, fme: Option<&Path>) -> Identity {
    let of_fme = fme.map_or(Identity::Absent, |fme| below_engine(host, fme));
    if of_fme != Identity::Absent {
        return of_fme;
    }
    // Cards without partial reconfiguration answer ENOENT here.
    Identity::read(host, &region.join("compat_id"))
}

fn below_engine(host: &HostRoot, fme: &Path) -> Identity {
    let out_of_tree = Identity::read(host, &fme.join("pr/interface_id"));
    if out_of_tree != Identity::Absent {
        return out_of_tree;
    }
    for part in children(host, fme, "dfl-fme-region.") {
        let class = part.join("fpga_region");
        for region in children(host, &class, "region") {
            let id = Identity::read(host, &region.join("compat_id"));
            if id != Identity::Absent {
                return id;
            }
        }
    }
    Identity::Absent
}

fn children(host: &HostRoot, folder: &Path, prefix: &str) -> Vec<std::path::PathBuf> {
    let (names, _) = host.entries(folder, PARTS_LIMIT).unwrap_or_default();
    names
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| name.starts_with(prefix))
        .map(|name| folder.join(name))
        .collect()
}

/// The vendor's name, or the PCI vendor id in hexadecimal.
pub(super) fn vendor(id: u16) -> String {
    match id {
        0x8086 => "intel".to_owned(),
        0x1c2c => "silicom".to_owned(),
        other => format!("{other:04x}"),
    }
}

/// The product, by the PCI ids that `drivers/fpga/dfl-pci.c` and the OPAE driver bind to.
pub(super) fn model(place: &PciPlace) -> Option<&'static str> {
    let subsystem = place.subsystem.map(|(_, device)| device);
    Some(match (place.vendor, place.device) {
        (0x8086, 0xbcbd | 0xbcbf | 0xbcc0 | 0xbcc1) => "Intel Xeon with integrated FPGA",
        (0x8086, 0x09c4 | 0x09c5) => "Intel PAC with Arria 10 GX",
        (0x8086, 0x0b30 | 0x0b31) => "Intel FPGA PAC N3000",
        (0x8086, 0x0b2b | 0x0b2c) => "Intel FPGA PAC D5005",
        (0x8086, 0xbcce | 0xbccf) => match subsystem {
            Some(0x138d) => "Intel FPGA PAC D5005 (OFS)",
            Some(0x1770) => "Intel FPGA SmartNIC N6000-PL",
            Some(0x1771) => "Intel FPGA SmartNIC N6001-PL",
            Some(0x17d4) => "Intel IPU C6100",
            _ => "Intel Open FPGA Stack",
        },
        (0x1c2c, 0x1000) => "Silicom FPGA SmartNIC N5010",
        (0x1c2c, 0x1001) => "Silicom FPGA SmartNIC N5011",
        _ => return None,
    })
}
