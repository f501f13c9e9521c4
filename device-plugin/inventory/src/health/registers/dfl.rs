//! The error registers of an FPGA's port and of its card's management engine
//! (`Documentation/ABI/testing/sysfs-platform-dfl-port` and `-dfl-fme`). The drivers raise no event
//! that a file could be waited on for.

use super::Reading;
use crate::device::Device;
use dunnage_host::HostRoot;
use std::path::{Path, PathBuf};

/// Where the two drivers show regions, what a region's name begins with, a port's, and an engine's.
const LAYOUTS: [[&str; 4]; 2] = [
    ["/sys/class/fpga_region", "region", "dfl-port.", "dfl-fme."],
    [
        "/sys/class/fpga",
        "intel-fpga-dev.",
        "intel-fpga-port.",
        "intel-fpga-fme.",
    ],
];

/// The most entries of a region that are looked at; there are some tens.
const ENTRIES_LIMIT: usize = 4096;

/// Those of a port. `first_error` only repeats which of them came first.
const PORT: &[&str] = &["errors/errors"];

/// Those of a management engine: of the kernel's driver, and where they differ of the other one.
/// `inject_errors` is a switch and no error.
const FME: &[&str] = &[
    "errors/fme_errors",
    "errors/fme-errors/errors",
    "errors/pcie0_errors",
    "errors/pcie1_errors",
    "errors/catfatal_errors",
    "errors/nonfatal_errors",
    "errors/bbs_errors",
    "errors/gbs_errors",
];

/// Reads those of the port that `device` is, and of the engine beside it.
pub(super) fn read(host: &HostRoot, device: &Device) -> Option<Reading> {
    if device.family != "dfl" {
        return None;
    }
    let region = device.attributes.get("region")?;
    let [class, _, port, fme] = LAYOUTS
        .iter()
        .find(|[_, prefix, ..]| region.starts_with(prefix))?;
    let folder = Path::new(class).join(region);
    let (names, _) = host.entries(&folder, ENTRIES_LIMIT).ok()?;
    let names = || names.iter().filter_map(|name| name.to_str());
    let own = names().find(|name| name.starts_with(port) && device.is_called(name))?;
    let engine: Option<PathBuf> = names()
        .find(|name| name.starts_with(fme))
        .map(|name| folder.join(name));
    let mut errors = set(host, &folder.join(own), PORT);
    errors.extend(engine.iter().flat_map(|engine| set(host, engine, FME)));
    let ill =
        (!errors.is_empty()).then(|| format!("error registers are set: {}", errors.join(", ")));
    Some(Reading::of(ill))
}

/// The registers below `folder` that are not zero, as `name=0x10`. One that is not there, or holds no
/// number, says nothing.
fn set(host: &HostRoot, folder: &Path, names: &[&str]) -> Vec<String> {
    names
        .iter()
        .filter_map(|name| {
            let value = value(&host.fact(folder.join(name))?)?;
            let short = name.strip_prefix("errors/").unwrap_or(name);
            (value != 0).then(|| format!("{short}={value:#x}"))
        })
        .collect()
}

/// `0x10` or `16`: the drivers write both.
fn value(text: &str) -> Option<u128> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_hexadecimal_or_decimal() {
        assert_eq!(value("0x00000000000000000000000000000000"), Some(0));
        assert_eq!(value("0x8000000000000001"), Some(0x8000_0000_0000_0001));
        assert_eq!(value("0"), Some(0));
        assert_eq!(value("12"), Some(12));
        for bad in ["", "0x", "x", "-1"] {
            assert_eq!(value(bad), None, "{bad}");
        }
    }
}
