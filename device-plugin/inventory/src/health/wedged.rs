//! Graphics drivers that say that a device cannot be used any more: the uevent `WEDGED=` of a DRM device
//! (`Documentation/gpu/drm-uapi.rst`, Device wedging; Linux 6.15 and later).
//!
//! Its value names the ways back, the mildest first: `rebind`, `bus-reset`, `unknown`. `none` says that
//! the driver has brought the device back itself. The ways back all take the DRM device away and make
//! a new one.

use super::messages::{Message, Said};
use crate::events::Uevent;
use crate::pci;

/// The longest text of a driver that is kept, in characters.
const TEXT_LIMIT: usize = 40;

/// What an event says of the PCI function that it is about; `None` for nearly all events.
#[must_use]
pub fn read(event: &Uevent) -> Option<Message> {
    if event.subsystem.as_deref() != Some("drm") {
        return None;
    }
    let said = match (event.action.as_str(), event.wedged.as_deref()) {
        ("change", Some("none")) => Said::Well,
        ("change", Some(ways)) => Said::Ill(why(ways)),
        ("add" | "remove", _) if is_card(&event.devpath) => Said::Well,
        _ => return None,
    };
    let address = event
        .devpath
        .rsplit('/')
        .find(|part| pci::is_address(part))?;
    Some(Message {
        address: address.to_owned(),
        said,
    })
}

fn why(ways: &str) -> String {
    let way = ways.split(',').next().unwrap_or_default();
    let help = match way {
        "rebind" => "unbind its driver and bind it again",
        "bus-reset" => "reset it on its bus, with its driver unbound meanwhile",
        _ => "see the kernel's log",
    };
    let ways: String = ways
        .chars()
        .take(TEXT_LIMIT)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect();
    format!("its driver has given it up (wedged, {ways}): {help}")
}

/// `/devices/.../0000:65:00.0/drm/card1`, and none of its connectors.
fn is_card(devpath: &str) -> bool {
    let mut parts = devpath.rsplit('/');
    let card = parts.next().and_then(|name| name.strip_prefix("card"));
    let is_number =
        card.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    is_number && parts.next() == Some("drm")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::parse_uevent;
    use proptest::prelude::*;

    const CARD: &str = "/devices/pci0000:64/0000:64:01.0/0000:65:00.0/drm/card1";

    fn said(action: &str, path: &str, more: &str) -> Option<Message> {
        let message = format!("{action}@{path}\0SUBSYSTEM=drm\0{more}\0");
        read(&parse_uevent(message.as_bytes()).unwrap())
    }

    #[test]
    fn a_device_that_its_driver_gave_up_is_ill_until_it_is_made_anew() {
        let ill = said("change", CARD, "WEDGED=rebind,bus-reset").unwrap();
        assert_eq!(ill.address, "0000:65:00.0");
        let Said::Ill(why) = ill.said else {
            panic!("{ill:?}")
        };
        assert!(
            why.contains("rebind,bus-reset") && why.contains("bind it again"),
            "{why}"
        );
        for (action, more) in [("change", "WEDGED=none"), ("remove", ""), ("add", "")] {
            assert_eq!(
                said(action, CARD, more).unwrap().said,
                Said::Well,
                "{action} {more}"
            );
        }
    }

    #[test]
    fn screens_that_are_plugged_in_and_other_devices_say_nothing() {
        assert_eq!(said("change", CARD, "HOTPLUG=1"), None);
        assert_eq!(said("add", &format!("{CARD}/card1-DP-1"), ""), None);
        assert_eq!(
            said(
                "change",
                "/devices/platform/vkms/drm/card0",
                "WEDGED=rebind"
            ),
            None
        );
        let other = format!("change@{CARD}\0SUBSYSTEM=net\0WEDGED=rebind\0");
        assert_eq!(read(&parse_uevent(other.as_bytes()).unwrap()), None);
    }

    proptest! {
        #[test]
        fn no_event_breaks_the_reader(path in "/[ -~]{0,60}", wedged in "[^\\x00]{0,100}") {
            let message = format!("change@{path}\0SUBSYSTEM=drm\0WEDGED={wedged}\0");
            if let Some(Message { said: Said::Ill(why), .. }) =
                parse_uevent(message.as_bytes()).as_ref().and_then(read)
            {
                prop_assert!(why.is_ascii() && why.len() < 200);
            }
        }
    }
}
