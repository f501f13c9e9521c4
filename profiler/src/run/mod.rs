//! `dunnage run`: a command in a cgroup of its own, watched from its `exec` to its end.
//!
//! - [`cgroups`]: the cgroup, below the caller's own in every hierarchy;
//! - [`command`]: the process, held back until the watching has begun;
//! - [`signals`]: what is sent to Dunnage meanwhile is meant for the command;
//! - [`follow`]: its waits, where no scheduler events can be had;
//! - [`extras`]: what no source tells: switches, migrations, clock frequency;
//! - [`names`]: the cgroup is a party of its own.
//!
//! What was lost is added up by [`disturbance`](crate::disturbance).

mod cgroups;
mod command;
mod extras;
mod follow;
mod names;
mod signals;

pub use cgroups::RunCgroups;
pub use command::{RunCommand, become_command};
pub use extras::{Extras, Frequency, Switches};
pub use follow::Follower;
pub use names::RunNames;
pub use signals::{Forwarding, RunSignals};

use std::io;
use std::path::PathBuf;

/// Why a command could not be run, or not in a cgroup of its own.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file of `/proc` could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No cgroup file system that accounts CPU time is mounted.
    #[error(
        "no cgroup hierarchy with CPU accounting is mounted (looked in /proc/self/mountinfo); mount one, as in: mount -t cgroup2 none /sys/fs/cgroup"
    )]
    NoHierarchy,
    /// A cgroup could not be made or joined.
    #[error(
        "cannot make or join the cgroup {path}; run as root, or in a cgroup that is yours (systemd-run --user --scope -p Delegate=yes dunnage run ...)",
        path = path.display()
    )]
    Cgroup {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The command's process could not be made, held back or let go.
    #[error("cannot {step} the command's process")]
    Process {
        /// What was tried.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl RunError {
    fn process(step: &'static str, source: impl Into<io::Error>) -> RunError {
        RunError::Process {
            step,
            source: source.into(),
        }
    }
}
