//! `dunnage devices`: the device plugin's commands, with the engines' names for whoever uses a device.

use super::session::parties_options;
use crate::cli::Global;
use dunnage_device_plugin::cli::DevicesArgs;
use dunnage_device_plugin::commands::{self, Context, NameParty};
use dunnage_model::document::PartyDocument;
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::parties::{Parties, PartyLookup};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

/// How long to wait for engines before containers show by their id.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks the engines once somebody's name is wanted: most commands want none.
struct Engines {
    root: HostRoot,
    global: Global,
    parties: OnceLock<Parties>,
}

impl NameParty for Engines {
    fn party(&self, path: &str) -> Option<PartyDocument> {
        // Of a process in the root cgroup its command says more than "/".
        if path == "/" {
            return None;
        }
        let parties = self.parties.get_or_init(|| {
            let parties = Parties::open(&self.root, &parties_options(&self.global));
            parties.settle(PATIENCE);
            parties
        });
        let first = parties.of_cgroup(path);
        parties.settle(PATIENCE);
        let party = if first.image.is_some() {
            first
        } else {
            parties.of_cgroup(path)
        };
        Some(PartyDocument::from(&*party))
    }
}

pub(super) fn run(global: &Global, args: &DevicesArgs) -> anyhow::Result<ExitCode> {
    let root = HostRoot::new(&global.host_root);
    let mut context = Context::new(root.clone(), global.json, args)?;
    context.parties = Some(Box::new(Engines {
        root,
        global: global.clone(),
        parties: OnceLock::new(),
    }));
    commands::run(&context, args)
}
