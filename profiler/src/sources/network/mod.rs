//! Traffic by network namespace: a container's own devices count what it received and sent.
//!
//! The namespace of a cgroup is that of its first process. The counters are those of
//! `/proc/PID/net/dev` (proc_pid_net(5)), loopback left out; each namespace is read once a sweep,
//! however many cgroups live in it.

use super::cgroup::{decimal, lines, words};
use crate::host::HostRoot;
use dunnage_model::gap::Gap;
use dunnage_model::observation::NetworkReading;
use dunnage_model::units::Bytes;
use std::collections::HashMap;

/// The longest `net/dev` that is read: some 8,000 devices.
const LIMIT: usize = 1 << 20;

/// A process is asked again for its namespace after this many sweeps, as it can move.
const STALE: u64 = 10;

/// The network namespaces of one host.
#[derive(Debug)]
pub(crate) struct Namespaces {
    root: HostRoot,
    /// Inode of the host's own namespace.
    host: Option<u64>,
    sweep: u64,
    /// Namespace of a process, and the sweep in which it was asked.
    known: HashMap<u32, (u64, u64)>,
    /// Counters of this sweep; `None` where they could not be read.
    counters: HashMap<u64, Option<NetworkReading>>,
    denied: bool,
}

impl Namespaces {
    /// Nothing is read before the first question.
    pub(crate) fn open(root: &HostRoot) -> Namespaces {
        let mut namespaces = Namespaces {
            root: root.clone(),
            host: None,
            sweep: 0,
            known: HashMap::new(),
            counters: HashMap::new(),
            denied: false,
        };
        // The first process may be guarded; the second is a kernel thread, which never leaves.
        namespaces.host = namespaces.inode("1").or_else(|| namespaces.inode("2"));
        if namespaces.host.is_none() && root.is_own() {
            namespaces.host = namespaces.inode("self");
        }
        namespaces
    }

    /// The inode of the host's own namespace.
    pub(crate) fn host(&self) -> Option<u64> {
        self.host
    }

    /// Forgets the counters of the last sweep.
    pub(crate) fn begin_sweep(&mut self) {
        self.sweep += 1;
        self.counters.clear();
        self.denied = false;
        let oldest = self.sweep.saturating_sub(STALE);
        self.known.retain(|_, &mut (_, asked)| asked > oldest);
    }

    /// The counters of the namespace that `pid` lives in.
    pub(crate) fn of_process(&mut self, pid: u32) -> Option<NetworkReading> {
        let namespace = match self.known.get(&pid) {
            Some(&(namespace, _)) => namespace,
            None => {
                let namespace = self.inode(&pid.to_string())?;
                self.known.insert(pid, (namespace, self.sweep));
                namespace
            }
        };
        if let Some(known) = self.counters.get(&namespace) {
            return *known;
        }
        let text = self.root.read(format!("/proc/{pid}/net/dev"), LIMIT).ok();
        let reading = text.map(|text| NetworkReading {
            namespace,
            host: self.host == Some(namespace),
            ..devices(&text)
        });
        self.counters.insert(namespace, reading);
        reading
    }

    /// What this sweep could not read.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let why = "the namespaces of other users' processes may not be looked at: run as root or \
                   with CAP_SYS_PTRACE";
        self.denied
            .then(|| Gap::new("network namespaces", why))
            .into_iter()
            .collect()
    }

    /// The inode in `/proc/PID/ns/net`, a link that reads `net:[4026531840]` (namespaces(7)).
    fn inode(&mut self, process: &str) -> Option<u64> {
        let path = self.root.path(format!("/proc/{process}/ns/net"));
        match std::fs::read_link(path) {
            Ok(target) => inode_of(target.to_str()?),
            Err(error) => {
                self.denied |= error.kind() == std::io::ErrorKind::PermissionDenied;
                None
            }
        }
    }
}

fn inode_of(link: &str) -> Option<u64> {
    decimal(link.strip_prefix("net:[")?.strip_suffix(']')?.as_bytes())
}

/// The sums over all devices but loopback.
fn devices(text: &[u8]) -> NetworkReading {
    let mut sum = NetworkReading::default();
    // The two lines of headings have bars where devices have a colon.
    for line in lines(text).filter(|line| !line.contains(&b'|')) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let (name, counters) = line.split_at(colon);
        if name == b"lo" {
            continue;
        }
        let numbers = words(counters.get(1..).unwrap_or_default()).map(decimal);
        let [
            received,
            _,
            _,
            rx_dropped,
            _,
            _,
            _,
            _,
            sent,
            _,
            _,
            tx_dropped,
        ] = first_twelve(numbers);
        sum.received += Bytes(received);
        sum.sent += Bytes(sent);
        sum.dropped = sum
            .dropped
            .saturating_add(rx_dropped)
            .saturating_add(tx_dropped);
    }
    sum
}

fn first_twelve(numbers: impl Iterator<Item = Option<u64>>) -> [u64; 12] {
    let mut first = [0; 12];
    for (place, number) in first.iter_mut().zip(numbers) {
        *place = number.unwrap_or(0);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEV: &[u8] = b"\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    7    0     0          0         0     3193      29    0    7    0     0       0          0
  eth0: 390251186   14014    0    2    0     0          0         0   863318    8695    0    3    0     0       0          0
  eth1:      10       1    0    0    0     0          0         0        5       1    0    0    0     0       0          0
";

    #[test]
    fn devices_are_summed_without_loopback() {
        let sum = devices(DEV);
        assert_eq!(
            (sum.received, sum.sent),
            (Bytes(390_251_196), Bytes(863_323))
        );
        assert_eq!(sum.dropped, 5);
    }

    #[test]
    fn the_link_names_an_inode() {
        assert_eq!(inode_of("net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(inode_of("mnt:[1]"), None);
    }

    #[test]
    fn this_process_has_a_namespace_and_a_vanished_one_has_none() {
        let mut namespaces = Namespaces::open(&HostRoot::default());
        namespaces.begin_sweep();
        let own = namespaces.of_process(std::process::id()).unwrap();
        assert_ne!(own.namespace, 0);
        assert_eq!(namespaces.of_process(std::process::id()), Some(own));
        assert_eq!(namespaces.of_process(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>) {
            let _ = devices(&text);
        }
    }
}
