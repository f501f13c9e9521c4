//! Traffic by the sockets' cgroup, for containers on the host's network.
//!
//! Loopback is included: to a socket it is traffic like any other. Needs CAP_BPF and CAP_NET_ADMIN,
//! and a version 2 hierarchy to attach to.

use super::loader::loader;
use aya::maps::{HashMap as BpfHashMap, MapData};
use aya::programs::cgroup_skb::CgroupSkbAttachType;
use aya::programs::{CgroupAttachMode, CgroupSkb, ProgramError};
use aya::{Btf, Ebpf, EbpfError};
use dunnage_model::observation::SocketTraffic;
use dunnage_model::units::Bytes;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The compiled program; `build-ebpf.sh` makes it, a test compares it.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!("sockets.bpf.o");

/// Why the sockets of host-network containers are not counted.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// The folder of the version 2 hierarchy cannot be opened.
    #[error("opening the cgroup root {path} failed: {source}")]
    Root {
        /// The folder.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The object was refused.
    #[error("loading the socket program failed: {0}")]
    Load(#[source] Box<EbpfError>),
    /// The program was refused; EPERM wants CAP_NET_ADMIN.
    #[error("attaching the socket program to the cgroup root failed: {0}")]
    Attach(#[from] ProgramError),
    /// A part is missing from the object.
    #[error("the socket program has no {0}")]
    Missing(&'static str),
}

/// The loaded program with the values of the last read.
pub struct Sockets {
    traffic: BpfHashMap<MapData, u64, [u64; 2]>,
    last: HashMap<u64, [u64; 2]>,
    _ebpf: Ebpf,
}

impl Sockets {
    /// Loads the program and attaches it to the root of the version 2 hierarchy at `root`;
    /// `btf` are the kernel's types.
    ///
    /// # Errors
    /// Where the folder is missing, or the kernel refuses the program.
    pub fn load(root: &Path, btf: &Btf) -> Result<Sockets, SocketsError> {
        let folder = std::fs::File::open(root).map_err(|source| SocketsError::Root {
            path: root.to_owned(),
            source,
        })?;
        let mut ebpf = loader(btf)
            .load(OBJECT)
            .map_err(|e| SocketsError::Load(Box::new(e)))?;
        for (name, at) in [
            ("on_ingress", CgroupSkbAttachType::Ingress),
            ("on_egress", CgroupSkbAttachType::Egress),
        ] {
            let program: &mut CgroupSkb = ebpf
                .program_mut(name)
                .ok_or(SocketsError::Missing("program"))?
                .try_into()?;
            program.load()?;
            // A link is always beside others; the flag for that is refused by BPF_LINK_CREATE.
            program.attach(&folder, at, CgroupAttachMode::Single)?;
        }
        let traffic = ebpf
            .take_map("traffic")
            .and_then(|m| BpfHashMap::try_from(m).ok());
        let traffic = traffic.ok_or(SocketsError::Missing("map"))?;
        Ok(Sockets {
            traffic,
            last: HashMap::new(),
            _ebpf: ebpf,
        })
    }

    /// Traffic since the last call, by version 2 cgroup id.
    pub fn window(&mut self) -> Vec<SocketTraffic> {
        let mut window = Vec::new();
        let mut now = HashMap::with_capacity(self.last.len());
        for (id, [received, sent]) in self.traffic.iter().flatten() {
            let [received_before, sent_before] = self.last.get(&id).copied().unwrap_or_default();
            now.insert(id, [received, sent]);
            let received = Bytes(received).since(Bytes(received_before));
            let sent = Bytes(sent).since(Bytes(sent_before));
            if received.0 + sent.0 > 0 {
                window.push(SocketTraffic {
                    v2_id: id,
                    received,
                    sent,
                });
            }
        }
        self.last = now;
        window
    }
}
