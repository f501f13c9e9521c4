//! One source of a resource by itself: for measuring what it costs and for naming what is lost.

use super::cgroup::{CgroupError, CgroupReader, Controller};
use super::collector::possible_cpus;
use super::resources::{self, Context, Source};
use super::sched::Names;
use crate::causes::chain;
use crate::host::HostRoot;
use aya::{Btf, BtfError};
use dunnage_model::observation::{CgroupLayout, Owner, ResourceWindows};
use std::sync::Arc;

/// Why a source does not run by itself.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    /// No cgroups: nobody to charge.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The kernel shows no types.
    #[error("reading the kernel's types failed: {0}")]
    Types(#[from] BtfError),
    /// There is no such source.
    #[error("there is no source called {0:?}")]
    Unknown(String),
    /// The source does not open on this host.
    #[error("{what} does not open: {why}")]
    Refused {
        /// What is lost without it.
        what: &'static str,
        /// The reason.
        why: String,
    },
}

/// An open source, attached until it is dropped.
pub struct Alone {
    source: Box<dyn Source>,
}

impl Alone {
    /// Every source, by what is lost without it.
    pub fn all() -> impl Iterator<Item = &'static str> {
        resources::SOURCES.iter().map(|entry| entry.what)
    }

    /// What takes the place of the one called `what`.
    #[must_use]
    pub fn instead(what: &str) -> Option<&'static str> {
        let entry = resources::SOURCES.iter().find(|entry| entry.what == what);
        entry.map(|entry| entry.instead)
    }

    /// Opens one on this host.
    ///
    /// # Errors
    /// Where it does not load, with the reason.
    pub fn open(what: &str) -> Result<Alone, AloneError> {
        let entry = resources::SOURCES.iter().find(|entry| entry.what == what);
        let entry = entry.ok_or_else(|| AloneError::Unknown(what.to_owned()))?;
        let root = HostRoot::default();
        let cgroups = CgroupReader::open(&root)?;
        let btf = Btf::from_sys_fs()?;
        let context = Context {
            root: &root,
            mounts: cgroups.mounts(),
            btf: &btf,
            cpus: possible_cpus(&root).unwrap_or(1),
            v1_cpu: u32::from(cgroups.mounts().of(Controller::Cpu).is_some()),
            v2_absent: u32::from(cgroups.layout() == CgroupLayout::V1),
        };
        let source = (entry.open)(&context).map_err(|why| AloneError::Refused {
            what: entry.what,
            why: chain(&*why),
        })?;
        Ok(Alone { source })
    }

    /// Takes what was accumulated, as at the end of a window.
    pub fn window(&mut self) -> ResourceWindows {
        let mut windows = ResourceWindows::default();
        self.source.window(&Nameless, &mut windows);
        windows
    }
}

/// Nobody has a name: what is measured is the counting.
struct Nameless;

impl Names for Nameless {
    fn path(&self, _: Owner) -> Option<Arc<str>> {
        None
    }

    fn is_gone(&self, _: Owner) -> bool {
        false
    }
}
