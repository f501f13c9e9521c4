//! The error registers of a port and of a management engine
//! (`Documentation/ABI/testing/sysfs-platform-dfl-port` and `-dfl-fme`).

use dunnage_host::HostRoot;
use std::path::Path;

/// Those of a port. `first_error` only repeats which of them came first.
pub(super) const PORT: &[&str] = &["errors/errors"];

/// Those of a management engine: of the kernel's driver, and where they differ of the other one.
/// `inject_errors` is a switch and no error.
pub(super) const FME: &[&str] = &[
    "errors/fme_errors",
    "errors/fme-errors/errors",
    "errors/pcie0_errors",
    "errors/pcie1_errors",
    "errors/catfatal_errors",
    "errors/nonfatal_errors",
    "errors/bbs_errors",
    "errors/gbs_errors",
];

/// The registers below `folder` that are not zero, as `name=0x10`. One that is not there, or holds no
/// number, says nothing.
pub(super) fn set(host: &HostRoot, folder: &Path, names: &[&str]) -> Vec<String> {
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
