//! The kernel's uevents: a netlink message for each device, driver and module that comes, goes or
//! changes (`lib/kobject_uevent.c`; the fields: `Documentation/ABI/testing/sysfs-uevent`).

use super::Heard;
use crate::health::wedged;
use dunnage_model::gap::Gap;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt,
    socket, sockopt,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The group on which the kernel itself speaks; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;

/// Longer than any message: the kernel's own buffer has 2048 bytes (`UEVENT_BUFFER_SIZE`) behind a
/// path of at most 4096.
const MESSAGE_LIMIT: usize = 16 << 10;

/// How much the kernel keeps for us while we scan, in bytes; some thousand messages.
const QUEUE: usize = 4 << 20;

/// The most messages of one go. A host that tells more is told to be scanned, and heard again after.
const MESSAGES_LIMIT: usize = 8192;

/// Subsystems that tell nothing of accelerators and much of containers that start: their network
/// interfaces, disks' queues, and the machine's own housekeeping.
const IGNORED: &[&str] = &[
    "net",
    "queues",
    "bdi",
    "cgroup",
    "slab",
    "cpu",
    "memory",
    "node",
    "power_supply",
    "thermal",
    "hwmon",
    "input",
    "leds",
    "rfkill",
    "bluetooth",
    "sound",
    "scsi",
    "scsi_disk",
    "scsi_host",
    "scsi_device",
    "vc",
    "workqueue",
];

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uevent {
    /// `add`, `remove`, `change`, `move`, `online`, `offline`, `bind`, `unbind`.
    pub action: String,
    /// Below `/sys`: `/devices/pci0000:00/0000:00:02.0/drm/card0`.
    pub devpath: String,
    /// `drm`, `pci`, `module`; absent where the message has none.
    pub subsystem: Option<String>,
    /// How a DRM device can be brought back that cannot be used any more (`WEDGED=`), where it says so.
    pub wedged: Option<String>,
}

impl Uevent {
    /// Whether it may change what an inventory finds.
    #[must_use]
    pub fn matters(&self) -> bool {
        match self.subsystem.as_deref() {
            None => true,
            // Disks are written to all the time; those that come and go are rare.
            Some("block") => self.action != "change",
            Some(subsystem) => !IGNORED.contains(&subsystem),
        }
    }

    fn words(&self) -> String {
        let subsystem = self.subsystem.as_deref().unwrap_or("no subsystem");
        format!("{} {} ({subsystem})", self.action, self.devpath)
    }
}

/// Reads a message of the kernel: `ACTION@DEVPATH`, then `KEY=VALUE`, each ended by a zero byte.
/// `None` for anything else (those of udev begin with `libudev`).
#[must_use]
pub fn parse(message: &[u8]) -> Option<Uevent> {
    let mut parts = message.split(|byte| *byte == 0);
    let head = parts.next()?;
    let at = head.iter().position(|byte| *byte == b'@')?;
    let mut event = Uevent {
        action: text(&head[..at]),
        devpath: text(&head[at + 1..]),
        subsystem: None,
        wedged: None,
    };
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    if !is_word(&event.action) || !event.devpath.starts_with('/') {
        return None;
    }
    for part in parts {
        if let Some(value) = part.strip_prefix(b"SUBSYSTEM=") {
            event.subsystem = Some(text(value)).filter(|value| !value.is_empty());
        } else if let Some(value) = part.strip_prefix(b"WEDGED=") {
            event.wedged = Some(text(value));
        }
    }
    Some(event)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn gap(error: Errno) -> Gap {
    let why = format!(
        "the kernel's device events cannot be had ({error}): devices that come and go are seen only \
         where a file in /dev or of the driver changes with them; run it in the host's network \
         namespace"
    );
    Gap::new("uevents", why)
}

/// The socket on which the kernel speaks.
pub(super) struct Uevents {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Uevents {
    pub(super) fn open() -> Result<Uevents, Errno> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        // Beyond the system's limit only with CAP_NET_ADMIN; a loss is noticed in any case.
        if setsockopt(&socket, sockopt::RcvBufForce, &QUEUE).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &QUEUE);
        }
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Uevents {
            socket,
            buffer: vec![0; MESSAGE_LIMIT],
        })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads all that is there.
    pub(super) fn drain(&mut self, heard: &mut Heard) -> io::Result<()> {
        for _ in 0..MESSAGES_LIMIT {
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut self.buffer) {
                Ok((length, sender)) => {
                    let event = parse(&self.buffer[..length]).filter(|_| is_kernel(sender));
                    if let Some(event) = event.filter(Uevent::matters) {
                        heard.note(event.words());
                        heard.note_said(wedged::read(&event));
                    }
                }
                Err(Errno::EAGAIN) => return Ok(()),
                // More was told than the queue holds; what is left in it can still be read.
                Err(Errno::ENOBUFS) => heard.overflow = true,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        heard.overflow = true;
        Ok(())
    }
}

/// Only the kernel sends from port 0; a program's socket never has it (netlink(7)).
fn is_kernel(sender: Option<NetlinkAddr>) -> bool {
    sender.is_some_and(|sender| sender.pid() == 0 && sender.groups() == KERNEL_GROUP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the kernel of a test machine sent it (6.18).
    const CHANGE: &[u8] = b"change@/devices/virtual/mem/null\0ACTION=change\0\
        DEVPATH=/devices/virtual/mem/null\0SUBSYSTEM=mem\0SYNTH_UUID=0\0MAJOR=1\0MINOR=3\0\
        DEVNAME=null\0DEVMODE=0666\0SEQNUM=1234\0";

    #[test]
    fn a_message_of_the_kernel_is_read() {
        let event = parse(CHANGE).unwrap();
        assert_eq!(event.action, "change");
        assert_eq!(event.devpath, "/devices/virtual/mem/null");
        assert_eq!(event.subsystem.as_deref(), Some("mem"));
        assert!(event.matters());
        assert_eq!(event.words(), "change /devices/virtual/mem/null (mem)");
    }

    #[test]
    fn what_the_kernel_does_not_send_is_passed_over() {
        for other in [
            &b""[..],
            b"libudev\0\xfe\xed\xca\xfe",
            b"add",
            b"@/devices",
            b"add@devices",
            b"\x1b[2J@/devices",
        ] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn interfaces_of_containers_do_not_matter_and_drivers_do() {
        let event = |action: &str, subsystem: &str| {
            let message = format!("{action}@/x\0SUBSYSTEM={subsystem}\0");
            parse(message.as_bytes()).unwrap().matters()
        };
        assert!(!event("add", "net") && !event("add", "queues") && !event("change", "block"));
        assert!(event("bind", "pci") && event("add", "module") && event("remove", "drm"));
    }

    proptest! {
        #[test]
        fn no_message_panics(message in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&message);
        }

        #[test]
        fn what_was_sent_is_read(
            action in "[a-z]{1,8}",
            devpath in "/[a-zA-Z0-9/:._-]{0,80}",
            subsystem in "[a-z_]{1,20}",
            noise in proptest::collection::vec("[A-Z]{1,5}=[ -~]{0,20}", 0..8),
        ) {
            let mut message = format!("{action}@{devpath}\0");
            for line in noise {
                message.push_str(&line);
                message.push('\0');
            }
            message.push_str(&format!("SUBSYSTEM={subsystem}\0"));
            let event = parse(message.as_bytes()).unwrap();
            prop_assert_eq!(event.action, action);
            prop_assert_eq!(event.devpath, devpath);
            prop_assert_eq!(event.subsystem, Some(subsystem));
        }
    }
}
