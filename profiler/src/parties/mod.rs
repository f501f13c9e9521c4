//! 2. Who: cgroup -> container, pod, service.
//!
//! Two halves. [`recognise`] reads the path alone and is pure. The engines ([`engines`]) are asked in
//! one background thread for names, images, labels and pods; what they tell is merged in `names` and
//! cached. A lookup never waits for them: until a name arrives the party goes by its id.

mod bounds;
pub mod engines;
mod names;
pub mod recognise;
mod shared;

use crate::host::HostRoot;
use dunnage_model::party::Party;
use shared::{Ask, Shared};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub use engines::EngineKind;

/// Answers who a reading belongs to. Never blocks: names that are not known yet are simply missing.
pub trait PartyLookup {
    /// The party that the cgroup at `path` (as in `/proc/PID/cgroup`, from the host's cgroup root)
    /// belongs to. [`Party::cgroup`] of the answer is `path` or one of its parents: a container or
    /// unit owns everything below its own cgroup. `/` gives the party of the root cgroup's rest.
    fn of_cgroup(&self, path: &str) -> Arc<Party>;

    /// The party of a process of the root cgroup with this command name.
    fn of_root_process(&self, command: &str) -> Arc<Party>;
}

/// What to ask, and how patiently.
#[derive(Clone, Debug)]
pub struct PartiesOptions {
    /// Whether engines are asked at all. State files of runc and crun are read in any case.
    pub engines: bool,
    /// How long one request may take.
    pub timeout: Duration,
    /// Where to find engines instead of the usual places. `Runc` takes a folder with the states of
    /// runc or crun (their `--root`), which comes on top of the usual ones.
    pub sockets: Option<Vec<(EngineKind, PathBuf)>>,
}

impl Default for PartiesOptions {
    fn default() -> PartiesOptions {
        PartiesOptions {
            engines: true,
            timeout: Duration::from_secs(2),
            sockets: None,
        }
    }
}

/// How an engine behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineHealth {
    /// `docker`, `podman`, `containerd`, `cri`.
    pub engine: String,
    /// Where it was looked for, under the host root.
    pub socket: PathBuf,
    /// What came of it.
    pub state: EngineState,
}

/// What came of asking an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// It answers.
    Answering {
        /// How many containers it has.
        containers: usize,
    },
    /// There is no such socket.
    Absent,
    /// It is there and will not talk to us, for this reason.
    Refused(String),
    /// It is there and gives no usable answer, for this reason.
    Failing(String),
}

/// The lookup with everything behind it. Dropping it ends the background thread.
pub struct Parties {
    shared: Arc<Shared>,
    /// Closed when this is dropped; the thread waits for that.
    _stop: oneshot::Sender<()>,
}

impl Parties {
    /// Starts to ask in a thread of its own and returns at once. What fails costs names, nothing else.
    #[must_use]
    pub fn open(root: &HostRoot, options: &PartiesOptions) -> Parties {
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        engines::start(root, options, &shared, stopped);
        Parties {
            shared,
            _stop: stop,
        }
    }

    /// Asks for what is new and waits until the answers are in, at most `patience`. To be called
    /// before a window is charged: at first it waits for all engines that are there, later it costs
    /// a few directory listings, or one question where a container has no name yet.
    pub fn settle(&self, patience: Duration) {
        self.shared.ask(Ask::Cheap);
        self.shared.settle(patience);
    }

    /// The engine that has a container of this name or id, running or not, and its short id.
    #[must_use]
    pub fn kept(&self, name: &str) -> Option<(&'static str, String)> {
        self.shared.names(|names| names.kept(name))
    }

    /// How the engines behave, one entry for each place that was looked at.
    #[must_use]
    pub fn health(&self) -> Vec<EngineHealth> {
        self.shared.health()
    }
}

impl PartyLookup for Parties {
    fn of_cgroup(&self, path: &str) -> Arc<Party> {
        self.shared.party(path)
    }

    fn of_root_process(&self, command: &str) -> Arc<Party> {
        Arc::new(Party::root_command(&bounds::name(command)))
    }
}

#[cfg(test)]
mod tests;
