//! Who fills the queues of network devices, and whose packets stand in them meanwhile.
//!
//! `link.bpf.c` keeps a flat table a queue; [`Link`] takes the differences of one window as a
//! [`LinkWindow`]. What would be entered for every packet of the machine is attached only while queues
//! are in use (`demand`). Needs CAP_BPF and CAP_PERFMON, BTF, Linux 5.15 and a version 2 hierarchy, whose
//! cgroups sockets carry. Loopback, and whatever else has no queue, is not a link.

mod demand;
mod layout;
mod queues;

use super::owner::owner_of_key;
use super::resources::{Context, Source};
use super::sched::Names;
use super::tracepoint::{AttachError, attach, load};
use crate::causes::chain;
use crate::clock;
use crate::sources::table::{TableError, mapped};
use crate::sys::MappedArray;
use aya::EbpfError;
use aya::programs::ProgramError;
use demand::Demand;
use dunnage_model::gap::Gap;
use dunnage_model::observation::{LinkWindow, Owner, ResourceWindows};
use layout::{QUEUES, queue, watch};
use queues::Queues;
use std::collections::BTreeSet;

/// The compiled program; `build-ebpf.sh` makes it, a test compares it.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!("link.bpf.o");

/// What happens in queues; without these nothing is seen.
const QUEUED: [(&str, &str); 2] = [
    ("on_enqueue", "qdisc_enqueue"),
    ("on_dequeue", "qdisc_dequeue"),
];

/// What happens to every packet of the machine: attached only while queues are in use. The first says
/// whose large packets are that a queue cuts up, and whose it does not take.
const ON_DEMAND: [(&str, &str, &str); 3] = [
    (
        "on_offer",
        "net_dev_queue",
        "whose the packets are that queues drop or cut up, or that this host routes",
    ),
    ("on_drop", "kfree_skb", "packets dropped by queues"),
    (
        "on_receive",
        "netif_receive_skb",
        "whose the packets are that this host routes",
    ),
];

/// Why the queues of network devices are not watched.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The kernel refused the maps or the object does not fit it.
    #[error("loading the program for network queues failed: {0}")]
    Load(#[source] Box<EbpfError>),
    /// The kernel refused a program at its tracepoint.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A map is missing from the object.
    #[error("the program for network queues has no map {0}")]
    Missing(&'static str),
    /// The kernel refused what is attached while queues are in use.
    #[error("attaching the programs that see every packet failed: {0}")]
    Demand(#[source] Box<ProgramError>),
    /// Nobody would attach and detach them.
    #[error("starting the thread that watches whether queues are in use failed: {0}")]
    Thread(#[from] std::io::Error),
    /// Sockets carry no cgroup.
    #[error("sockets carry version 2 cgroups only, and this host has no such hierarchy")]
    NoUnified,
}

/// The loaded programs and their tables.
pub(crate) struct Link {
    queues: Queues,
    lost: MappedArray,
    last_lost: u64,
    notices: Vec<Gap>,
    /// Dropping it detaches the programs, so it goes last.
    _demand: Demand,
}

impl Link {
    /// Loads and attaches the programs; accounting begins at once.
    pub(crate) fn open(context: &Context<'_>) -> Result<Link, LinkError> {
        if context.v2_absent == 1 {
            return Err(LinkError::NoUnified);
        }
        let mut ebpf = context
            .loader()
            .load(OBJECT)
            .map_err(|e| LinkError::Load(Box::new(e)))?;
        let table = mapped(&ebpf, "queues", QUEUES, queue::WORDS)?;
        let lost = mapped(&ebpf, "lost", 1, 1)?;
        let watch = mapped(&ebpf, "watches", 1, watch::WORDS)?;
        for (program, tracepoint) in QUEUED {
            attach(&mut ebpf, context.btf, program, tracepoint)?;
        }
        let (mut on_demand, mut notices) = (Vec::new(), Vec::new());
        for (program, tracepoint, what) in ON_DEMAND {
            match load(&mut ebpf, context.btf, program, tracepoint) {
                Ok(_) => on_demand.push(program),
                Err(error) => notices.push(Gap::new(what, chain(&error))),
            }
        }
        Ok(Link {
            queues: Queues::new(table, queues::namespace_of_host(context.root)),
            lost,
            last_lost: 0,
            notices,
            _demand: Demand::start(ebpf, watch, on_demand)?,
        })
    }
}

impl Source for Link {
    fn window(&mut self, names: &dyn Names, windows: &mut ResourceWindows) {
        let mut window = LinkWindow::default();
        self.queues.take(clock::monotonic(), names, &mut window);
        let lost = self.lost.load(0, 0);
        window.lost = lost.saturating_sub(self.last_lost);
        self.last_lost = lost;
        let owners: BTreeSet<Owner> = window.owners.iter().map(|entry| entry.owner).collect();
        window.names = owners
            .into_iter()
            .filter_map(|owner| Some((owner, names.path(owner)?)))
            .collect();
        windows.link = Some(window);
    }

    fn notices(&self) -> Vec<Gap> {
        self.notices.clone()
    }
}
