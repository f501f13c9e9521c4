//! The sources of the resources other than run queues: a table, a line a source.
//!
//! A source that cannot run takes its own resource away and nothing else.

use super::cgroup::Mounts;
use super::counters::Counters;
use super::disk::Disk;
use super::interrupts::Interrupts;
use super::link::Link;
use super::loader::loader;
use super::parallel::Job;
use super::sched::Names;
use crate::causes::chain;
use crate::host::HostRoot;
use aya::{Btf, EbpfLoader};
use dunnage_model::gap::Gap;
use dunnage_model::observation::{ResourceWindows, SchedWindow};

/// What a source needs to open.
pub(crate) struct Context<'a> {
    /// Where the host's files are.
    pub(crate) root: &'a HostRoot,
    /// The hierarchies.
    pub(crate) mounts: &'a Mounts,
    /// The kernel's types.
    pub(crate) btf: &'a Btf,
    /// One more than the highest possible CPU number.
    pub(crate) cpus: u32,
    /// 1 where the cpu controller is in a version 1 hierarchy.
    pub(crate) v1_cpu: u32,
    /// 1 where no version 2 hierarchy is in use.
    pub(crate) v2_absent: u32,
}

impl<'a> Context<'a> {
    /// A loader that knows the kernel's types, for objects that include `owner.h`.
    pub(crate) fn loader(&'a self) -> EbpfLoader<'a> {
        let mut loader = loader(self.btf);
        loader
            .override_global("v1_cpu", &self.v1_cpu, true)
            .override_global("v2_absent", &self.v2_absent, true);
        loader
    }
}

/// An open source.
pub(crate) trait Source: Send {
    /// Puts what was accumulated since the last call, or since it was opened, into its place in
    /// `windows`. Called at every boundary between two windows.
    fn window(&mut self, names: &dyn Names, windows: &mut ResourceWindows);

    /// Hears who ran in the window that ends, before [`Source::window`] is called.
    fn heed(&mut self, _sched: &SchedWindow) {}

    /// What it cannot see though it runs, to be said once.
    fn notices(&self) -> Vec<Gap> {
        Vec::new()
    }

    /// By which events it sees what kernels show in different ways.
    fn means(&self) -> Option<Means> {
        None
    }
}

/// By which of the kernel's events something is seen that not all kernels show in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Means {
    /// What is seen.
    pub what: &'static str,
    /// By which events, and where.
    pub by: String,
    /// What is lost by it on this host, which is among the notices too.
    pub lost: Option<Gap>,
}

pub(super) type Opened = Result<Box<dyn Source>, Box<dyn std::error::Error + Send + Sync>>;

/// How a source is opened.
pub(super) struct Entry {
    /// What is lost without it.
    pub(super) what: &'static str,
    /// What takes its place then.
    pub(super) instead: &'static str,
    /// Its programs.
    pub(super) object: &'static &'static [u8],
    pub(super) open: fn(&Context<'_>) -> Opened,
}

/// Tells what parties used too, and not only what they lost.
const BLOCK_DEVICES: &str = "waits for block devices, and whose bytes those are";

/// The kernel counts by itself.
static NO_OBJECT: &[u8] = &[];

/// Every source.
pub(super) static SOURCES: &[Entry] = &[
    Entry {
        what: "exact blame for memory",
        instead: "who grew and who stalled comes from cgroup files and pressure, so shares are estimates",
        object: &super::memory::OBJECT,
        open: super::memory::open,
    },
    Entry {
        what: BLOCK_DEVICES,
        instead: "bytes come from blkio or io.stat, and nobody is accused for a disk",
        object: &super::disk::OBJECT,
        open: |context| Ok(Box::new(Disk::open(context)?)),
    },
    Entry {
        what: "queues of network devices",
        instead: "bytes and drops come from the counters of interfaces, and nobody is accused for a link",
        object: &super::link::OBJECT,
        open: |context| Ok(Box::new(Link::open(context)?)),
    },
    Entry {
        what: "time taken by interrupts and softirqs",
        instead: "/proc/stat has the machine's own sum, and no packet's owner is accused",
        object: &super::interrupts::OBJECT,
        open: |context| Ok(Box::new(Interrupts::open(context)?)),
    },
    Entry {
        what: "hardware counters",
        instead: "nothing: nobody is accused for a cache or the memory's bandwidth",
        object: &NO_OBJECT,
        open: |context| Ok(Box::new(Counters::open(context))),
    },
];

/// Sources that are to be opened, and how that went.
#[derive(Default)]
pub(super) struct Opening(Vec<(&'static Entry, Option<Opened>)>);

impl Opening {
    /// Every source.
    pub(super) fn of_all() -> Opening {
        Opening(SOURCES.iter().map(|entry| (entry, None)).collect())
    }

    /// Those that tell what parties used, and not only what they lost.
    pub(super) fn of_use() -> Opening {
        let mut opening = Opening::of_all();
        opening.0.retain(|(entry, _)| entry.what == BLOCK_DEVICES);
        opening
    }

    /// What is to be done, a job a source; none needs another.
    pub(super) fn jobs<'a>(
        &'a mut self,
        context: &'a Context<'_>,
    ) -> impl Iterator<Item = Job<'a>> {
        self.0
            .iter_mut()
            .map(|(entry, opened)| Job::new(entry.object, || *opened = Some((entry.open)(context))))
    }
}

/// The sources that run.
#[derive(Default)]
pub(crate) struct Resources {
    open: Vec<Box<dyn Source>>,
}

impl Resources {
    /// Those that this host allows; what did not open is told in `notices`, in the table's order.
    pub(super) fn opened(opening: Opening, notices: &mut Vec<Gap>) -> Resources {
        let mut resources = Resources::default();
        for (entry, opened) in opening.0 {
            match opened {
                Some(Ok(source)) => {
                    notices.extend(source.notices());
                    resources.open.push(source);
                }
                Some(Err(error)) => notices.push(Gap::new(entry.what, chain(&*error))),
                None => {}
            }
        }
        resources
    }

    /// By which events they see what kernels show in different ways.
    pub(super) fn means(&self) -> Vec<Means> {
        self.open
            .iter()
            .filter_map(|source| source.means())
            .collect()
    }

    /// What all of them accumulated since the last call.
    pub(crate) fn window(
        &mut self,
        names: &dyn Names,
        sched: Option<&SchedWindow>,
    ) -> ResourceWindows {
        let mut windows = ResourceWindows::default();
        for source in &mut self.open {
            if let Some(sched) = sched {
                source.heed(sched);
            }
            source.window(names, &mut windows);
        }
        windows
    }
}
