//! Names of PCI devices from the tables on the host: `pci.ids` (the format is described at its head)
//! and `amdgpu.ids` of libdrm. Both may be missing: then a device has no model, only its ids.

use dunnage_host::HostRoot;
use std::cell::OnceCell;

/// Where distributions keep `pci.ids`.
const PCI_IDS: [&str; 3] = [
    "/usr/share/misc/pci.ids",
    "/usr/share/hwdata/pci.ids",
    "/usr/share/pci.ids",
];

/// Where libdrm keeps the names under which AMD sells its GPUs.
const AMDGPU_IDS: &str = "/usr/share/libdrm/amdgpu.ids";

/// The most that is read of a table, in bytes. `pci.ids` of 2026 has 1.6 MB.
const TABLE_LIMIT: usize = 8 << 20;

/// The longest name taken, in characters.
const NAME_LIMIT: usize = 200;

/// The tables, each read when it is first asked, so that a host without such devices reads none.
#[derive(Debug, Default)]
pub(super) struct PciNames {
    pci: OnceCell<Option<String>>,
    amdgpu: OnceCell<Option<String>>,
}

impl PciNames {
    /// The name of a device in `pci.ids`: `Navi 31 [Radeon RX 7900 XT/7900 XTX]`.
    pub(super) fn device(&self, host: &HostRoot, vendor: u16, device: u16) -> Option<String> {
        let text = self.pci.get_or_init(|| {
            PCI_IDS.iter().find_map(|path| table(host, path))
        });
        in_pci_ids(text.as_deref()?, vendor, device)
    }

    /// The name under which AMD sells a GPU, by device id and revision.
    pub(super) fn amd_gpu(&self, host: &HostRoot, device: u16, revision: u8) -> Option<String> {
        let text = self.amdgpu.get_or_init(|| table(host, AMDGPU_IDS));
        in_amdgpu_ids(text.as_deref()?, device, revision)
    }
}

/// The word for a PCI vendor as the inventory writes it; `0x` and the id for those without one.
pub(super) fn vendor_word(vendor: u16) -> String {
    let word = match vendor {
        0x1002 | 0x1022 => "amd",
        0x8086 => "intel",
        0x10de => "nvidia",
        0x10ee => "xilinx",
        0x1da3 => "habana",
        0x17cb => "qualcomm",
        0x1af4 | 0x1b36 => "redhat",
        0x15ad => "vmware",
        0x1d0f => "amazon",
        0x1ae0 => "google",
        0x19e5 => "huawei",
        0x0014 => "loongson",
        _ => return format!("0x{vendor:04x}"),
    };
    word.to_owned()
}

fn table(host: &HostRoot, path: &str) -> Option<String> {
    let bytes = host.read(path, TABLE_LIMIT).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Looks up a device: `vvvv  Vendor` in the first column, `\tdddd  Device` below it.
fn in_pci_ids(text: &str, vendor: u16, device: u16) -> Option<String> {
    let vendor = format!("{vendor:04x}");
    let device = format!("{device:04x}");
    let mut lines = text.lines();
    lines.find(|line| named(line, &vendor).is_some())?;
    lines
        .take_while(|line| line.starts_with('\t') || line.starts_with('#') || line.is_empty())
        .find_map(|line| named(line.strip_prefix('\t')?, &device))
}

/// The name on a line that begins with `id`.
fn named(line: &str, id: &str) -> Option<String> {
    let name = line.strip_prefix(id)?.strip_prefix("  ")?;
    cleaned(name)
}

/// Looks up a GPU: `687F, C1, Name` a line, ids in hexadecimal.
fn in_amdgpu_ids(text: &str, device: u16, revision: u8) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ',');
        let id = u16::from_str_radix(fields.next()?.trim(), 16).ok()?;
        let of = u8::from_str_radix(fields.next()?.trim(), 16).ok()?;
        ((id, of) == (device, revision)).then(|| cleaned(fields.next()?))?
    })
}

fn cleaned(name: &str) -> Option<String> {
    let name: String = name.trim().chars().take(NAME_LIMIT).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IDS: &str = "# a comment\n1002  Advanced Micro Devices, Inc. [AMD/ATI]\n\t1304  Kaveri\n\t\t1043 8623  A board\n\n# more\n\t687f  Vega 10 XL/XT [Radeon RX Vega 56/64]\n8086  Intel Corporation\n\t687f  Not AMD's\nC 03  Display controller\n\t00  VGA compatible controller\n";

    #[test]
    fn a_device_is_found_below_its_own_vendor() {
        assert_eq!(
            in_pci_ids(IDS, 0x1002, 0x687f).as_deref(),
            Some("Vega 10 XL/XT [Radeon RX Vega 56/64]")
        );
        assert_eq!(in_pci_ids(IDS, 0x8086, 0x687f).as_deref(), Some("Not AMD's"));
        assert_eq!(in_pci_ids(IDS, 0x8086, 0x1304), None);
        assert_eq!(in_pci_ids(IDS, 0x1043, 0x8623), None);
        assert_eq!(in_pci_ids(IDS, 0xffff, 0x0000), None);
    }

    #[test]
    fn amd_names_want_device_and_revision() {
        let text = "# List\n1.0.0\n687F,\tC1,\tAMD Radeon RX Vega\n687F,\tC3,\tAMD Radeon RX Vega 56\n";
        assert_eq!(
            in_amdgpu_ids(text, 0x687f, 0xc1).as_deref(),
            Some("AMD Radeon RX Vega")
        );
        assert_eq!(in_amdgpu_ids(text, 0x687f, 0), None);
    }

    #[test]
    fn ids_of_nobody_are_given_in_hex() {
        assert_eq!(vendor_word(0xdead), "0xdead");
        assert_eq!(vendor_word(0x1002), "amd");
    }

    proptest! {
        #[test]
        fn any_table_can_be_read(text in "[\\t\\n 0-9a-fA-F,#\\PC]{0,300}", vendor: u16, device: u16, revision: u8) {
            let _ = in_pci_ids(&text, vendor, device);
            let _ = in_amdgpu_ids(&text, device, revision);
        }

        #[test]
        fn what_is_in_the_table_is_found(vendor: u16, device: u16, name in "[a-zA-Z0-9][a-zA-Z0-9 ]{0,30}[a-z]") {
            let text = format!("{vendor:04x}  Somebody\n\t{device:04x}  {name}\n");
            prop_assert_eq!(in_pci_ids(&text, vendor, device), Some(name));
        }
    }
}
