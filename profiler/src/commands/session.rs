//! A host under watch: the collector, the names, and windows that are charged and judged.

use super::diagnostics::Gaps;
use crate::cli::Global;
use anyhow::Context;
use dunnage_model::observation::{Host, Observation};
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Coverage, Judgement, Resource};
use dunnage_profiler::demo::RoleNames;
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::parties::{Parties, PartiesOptions, PartyLookup};
use dunnage_profiler::run::RunNames;
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::sources::{Collector, CollectorOptions};
use dunnage_profiler::stop::Stop;
use dunnage_profiler::verdict::{CacheHistory, Persistence};
use dunnage_profiler::{usage, verdict};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long to wait, at a window's end, for engines that are answering just then. Names that come
/// later are in the next window.
const PATIENCE: Duration = Duration::from_millis(500);

/// One window, charged and judged.
pub(super) struct Judged {
    pub(super) window: WindowUse,
    pub(super) judgement: Judgement,
    pub(super) coverage: BTreeMap<Resource, Coverage>,
}

/// A host under watch.
pub(super) struct Session {
    collector: Collector,
    parties: Parties,
    gaps: Gaps,
    memory: Memory,
}

/// What judges remember of the windows before.
#[derive(Default)]
struct Memory {
    cache: CacheHistory,
    persistence: Persistence,
}

impl Session {
    /// Starts watching; says once what cannot be watched.
    pub(super) fn open(global: &Global, want: Want, resources: bool) -> anyhow::Result<Session> {
        let root = HostRoot::new(&global.host_root);
        root.check()?;
        // Engines are asked while the eBPF programs load.
        let parties = Parties::open(&root, &parties_options(global));
        let options = CollectorOptions {
            // Who is short of memory is for those who judge.
            want: Want {
                shortage: want.shortage && resources,
                ..want
            },
            ebpf: !global.no_ebpf,
            resources,
            cpu_budget: global.cpu_budget,
        };
        let collector = Collector::open(&root, &options)
            .with_context(|| format!("cannot watch the host at {}", global.host_root.display()))?;
        Ok(Session {
            collector,
            parties,
            gaps: Gaps::default(),
            memory: Memory::default(),
        })
    }

    /// Reads less from now on where the scheduler's events tell more.
    pub(super) fn narrow_if_exact(&mut self, want: Want) {
        if self.collector.is_exact() {
            self.collector.narrow(want);
        }
    }

    /// Says what is missing, each thing once.
    pub(super) fn say_notices(&mut self) {
        self.gaps.say(self.collector.notices());
    }

    /// Lets the first window begin now.
    pub(super) fn begin(&mut self) {
        self.collector.begin();
    }

    /// Whether the scheduler's events are accounted for.
    pub(super) fn is_exact(&self) -> bool {
        self.collector.is_exact()
    }

    /// The host.
    pub(super) fn host(&self) -> &Host {
        self.collector.host()
    }

    /// The same for a command in a cgroup of its own at `paths`, called `program`; waits for no name,
    /// so that the next window follows without a gap.
    pub(super) fn watch_run(
        &mut self,
        paths: &[String],
        program: &str,
        length: Duration,
        stop: &Stop,
    ) -> Judged {
        let observation = self.collector.observe(length, stop);
        let names = RunNames::new(&self.parties, paths, program);
        judged(&observation, &names, &mut self.memory)
    }

    /// The names, once engines that are answering just then have told them.
    pub(super) fn settled_names(&self) -> &Parties {
        self.parties.settle(PATIENCE);
        &self.parties
    }

    /// The engine that has a container of this name or id, running or not, and its short id.
    pub(super) fn kept(&self, name: &str) -> Option<(&'static str, String)> {
        self.parties.kept(name)
    }

    /// Watches for `length`, or until `stop` is raised.
    pub(super) fn watch(&mut self, length: Duration, stop: &Stop) -> Judged {
        let observation = self.collector.observe(length, stop);
        if self.collector.saw_changes() {
            self.parties.settle(PATIENCE);
        }
        judged(&observation, &self.parties, &mut self.memory)
    }

    /// The same where the cgroups below `folder` are the demo's roles.
    pub(super) fn watch_demo(&mut self, folder: &str, length: Duration, stop: &Stop) -> Judged {
        let observation = self.collector.observe(length, stop);
        self.parties.settle(PATIENCE);
        let names = RoleNames::new(&self.parties, folder);
        judged(&observation, &names, &mut self.memory)
    }

    /// Says the gaps of a window that were not said before.
    pub(super) fn say_gaps(&mut self, window: &WindowUse) {
        self.gaps.say(&window.gaps);
    }
}

fn judged(observation: &Observation, names: &dyn PartyLookup, memory: &mut Memory) -> Judged {
    let window = usage::charge(observation, names);
    let mut judgement = verdict::judge(&window);
    memory.persistence.settle(&mut judgement);
    verdict::add(&mut judgement, memory.cache.judge(&window));
    Judged {
        judgement,
        coverage: verdict::coverage(&window),
        window,
    }
}

/// What the options say about engines.
pub(super) fn parties_options(global: &Global) -> PartiesOptions {
    let sockets = &global.engine_socket;
    PartiesOptions {
        engines: !global.no_engines,
        sockets: (!sockets.is_empty())
            .then(|| sockets.iter().map(|s| (s.kind, s.path.clone())).collect()),
        ..PartiesOptions::default()
    }
}
