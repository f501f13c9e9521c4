//! What the kernel's messages say of a device: a table, a line a kind.
//!
//! Only what a device cannot be used after makes it ill. What a program did wrong, or what the hardware
//! corrected, is nobody's illness.

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The device cannot be used until it is reset, or for good.
    Ill(String),
    /// It can be used again.
    Well,
}

/// A message about a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `0000:65:00.0`; with `.*` for all functions where the driver names none.
    pub address: String,
    /// What it says.
    pub said: Said,
}

/// Every kind of message that is understood.
const KINDS: &[fn(&str) -> Option<Message>] = &[xid, bus_error, recovery];

/// What `text` says of a device; `None` for nearly all that a kernel has to say.
#[must_use]
pub fn read(text: &str) -> Option<Message> {
    KINDS.iter().find_map(|kind| kind(text))
}

/// `NVRM: Xid (PCI:0000:65:00): 79, pid=..., GPU has fallen off the bus.`
/// (docs.nvidia.com, XID Errors). The classes are NVIDIA's catalogue of recovery actions.
fn xid(text: &str) -> Option<Message> {
    let rest = text.strip_prefix("NVRM: Xid (PCI:")?;
    let (address, rest) = rest.split_once("): ")?;
    let address = pci_address(address)?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let number: u32 = rest.get(..digits)?.parse().ok()?;
    let said = if number == 154 {
        // `... GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)`
        let (_, action) = rest.split_once(" to 0x")?;
        if action.starts_with("0 ") {
            Said::Well
        } else {
            let action = action.split_once('(').map_or("", |(_, name)| name);
            let action = action.split(')').next().unwrap_or_default();
            Said::Ill(format!("XID 154: {action}"))
        }
    } else {
        let what = ILLNESSES.iter().find(|(of, _)| *of == number)?.1;
        Said::Ill(format!("XID {number}: {what}"))
    };
    Some(Message { address, said })
}

/// XIDs after which a GPU cannot be used until it, or the machine, is reset. All others are of
/// programs (13, 31, 43, 45, 68, 94, 109, ...), were corrected (92), or are told again by one of
/// these.
const ILLNESSES: &[(u32, &str)] = &[
    (46, "the GPU stopped processing"),
    (48, "double bit error in memory"),
    (61, "internal micro-controller breakpoint"),
    (62, "internal micro-controller halt"),
    (64, "a row of memory could not be remapped"),
    (74, "NVLink error"),
    (79, "the GPU has fallen off the bus"),
    (95, "uncontained memory error"),
    (110, "security fault"),
    (119, "the GSP firmware does not answer"),
    (120, "the GSP firmware failed"),
    (136, "the link could not be trained"),
    (140, "unrecovered memory error"),
    (143, "the GPU could not be initialised"),
    (155, "an NVLink went down"),
    (156, "a resource was retired: the GPU must be reset"),
    (158, "GPU-fatal timeout"),
];

/// `nvidia 0000:65:00.0: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Transaction Layer, ...`
/// (drivers/pci/pcie/aer.c, aer_print_error). Correctable errors were corrected, and what is not fatal
/// the driver handles.
fn bus_error(text: &str) -> Option<Message> {
    let (device, rest) = text.split_once(": PCIe Bus Error: severity=Uncorrect")?;
    let severity = rest.split(',').next()?;
    if !severity.ends_with("(Fatal)") {
        return None;
    }
    let kind = rest.split_once("type=").map_or("", |(_, kind)| kind);
    let kind = kind.split(',').next().unwrap_or_default();
    Some(Message {
        address: last_address(device)?,
        said: Said::Ill(format!("fatal PCIe error ({kind})")),
    })
}

/// `pcieport 0000:64:00.0: AER: device recovery successful`, of the port above (drivers/pci/pcie/err.c);
/// `nvidia 0000:65:00.0: AER: can't recover (no error_detected callback)`.
fn recovery(text: &str) -> Option<Message> {
    let (device, rest) = text.split_once(": AER: ")?;
    let said = if rest == "device recovery successful" {
        Said::Well
    } else if rest.starts_with("can't recover") || rest == "device recovery failed" {
        Said::Ill("could not be recovered after a PCIe error".to_owned())
    } else {
        return None;
    };
    Some(Message {
        address: last_address(device)?,
        said,
    })
}

/// The address at the end of `nvidia 0000:65:00.0`.
fn last_address(device: &str) -> Option<String> {
    let address = pci_address(device.rsplit(' ').next()?)?;
    (!address.ends_with('*')).then_some(address)
}

/// `0000:65:00.0`, or `0000:65:00` as NVIDIA's driver writes it, in the spelling of sysfs.
fn pci_address(text: &str) -> Option<String> {
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut parts = text.split(':');
    let (domain, bus, slot) = (parts.next()?, parts.next()?, parts.next()?);
    let (slot, function) = slot.split_once('.').unwrap_or((slot, "*"));
    let whole = (hex(domain, 4) || hex(domain, 8)) && hex(bus, 2) && hex(slot, 2);
    let function_is = function == "*" || (hex(function, 1) && function < "8");
    if !whole || !function_is || parts.next().is_some() {
        return None;
    }
    let domain = domain.trim_start_matches('0');
    Some(format!("{domain:0>4}:{bus}:{slot}.{function}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ill(text: &str) -> Option<(String, String)> {
        match read(text)? {
            Message {
                address,
                said: Said::Ill(why),
            } => Some((address, why)),
            Message {
                said: Said::Well, ..
            } => None,
        }
    }

    #[test]
    fn a_gpu_that_must_be_reset_is_ill() {
        let (address, why) =
            ill("NVRM: Xid (PCI:0000:65:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.")
                .unwrap();
        assert_eq!(address, "0000:65:00.*");
        assert!(why.contains("79"), "{why}");
        let (address, _) = ill("NVRM: Xid (PCI:00000009:01:00): 48, pid=1, name=x").unwrap();
        assert_eq!(address, "0009:01:00.*");
    }

    #[test]
    fn what_a_program_did_is_no_illness() {
        for number in [8, 13, 31, 32, 43, 45, 63, 68, 69, 92, 94, 109, 137] {
            let text = format!(
                "NVRM: Xid (PCI:0000:65:00): {number}, pid=1234, name=python3, Ch 00000008"
            );
            assert_eq!(read(&text), None, "{text}");
        }
    }

    #[test]
    fn the_driver_says_when_a_gpu_needs_and_needs_no_reset() {
        let changed = |from: &str, to: &str| {
            read(&format!(
                "NVRM: Xid (PCI:0000:65:00): 154, GPU recovery action changed from {from} to {to}"
            ))
            .unwrap()
            .said
        };
        let ill = changed("0x0 (None)", "0x1 (GPU Reset Required)");
        assert_eq!(ill, Said::Ill("XID 154: GPU Reset Required".to_owned()));
        assert_eq!(
            changed("0x1 (GPU Reset Required)", "0x0 (None)"),
            Said::Well
        );
    }

    #[test]
    fn only_fatal_errors_of_the_bus_count() {
        let text = |severity: &str| {
            format!(
                "nvidia 0000:65:00.0: PCIe Bus Error: severity={severity}, type=Transaction Layer, (Requester ID)"
            )
        };
        let (address, why) = ill(&text("Uncorrectable (Fatal)")).unwrap();
        assert_eq!(address, "0000:65:00.0");
        assert!(why.contains("Transaction Layer"), "{why}");
        // As older kernels write it.
        assert!(ill(&text("Uncorrected (Fatal)")).is_some());
        assert_eq!(read(&text("Uncorrectable (Non-Fatal)")), None);
        assert_eq!(read(&text("Correctable")), None);
        let well = read("pcieport 0000:64:00.0: AER: device recovery successful").unwrap();
        assert_eq!(
            (well.address.as_str(), well.said),
            ("0000:64:00.0", Said::Well)
        );
    }

    #[test]
    fn addresses_of_nobody_are_none() {
        for text in [
            "NVRM: Xid (PCI:0000:65:zz): 79, x",
            "NVRM: Xid (PCI:0000:65): 79, x",
            "NVRM: Xid (PCI:../../etc): 79, x",
            "NVRM: Xid (PCI:0000:65:00:00): 79, x",
            "NVRM: Xid (PCI:0000:65:00): , x",
            "x 0000:65:00: PCIe Bus Error: severity=Uncorrectable (Fatal), type=x",
            "x 0000:65:00.9: PCIe Bus Error: severity=Uncorrectable (Fatal), type=x",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn ordinary_lines_say_nothing(text in "[a-zA-Z0-9_:.,()=<>/ -]{0,200}") {
            prop_assume!(!text.starts_with("NVRM: Xid"));
            prop_assert_eq!(read(&text), None);
        }

        #[test]
        fn no_line_breaks_the_reader(tail in any::<String>()) {
            for head in ["NVRM: Xid (PCI:", "NVRM: Xid (PCI:0000:65:00): 154", "x: PCIe Bus Error: severity=Uncorrect"] {
                let _ = read(&format!("{head}{tail}"));
            }
        }
    }
}
