//! What a labelled scenario is: who takes part, when, and what is true.
//!
//! A scenario is a value. To add one, write it down in the file of its resource under `scenarios/`;
//! to add a kind of load, a file under `roles/`.

use anyhow::bail;
use dunnage_model::verdict::Resource;

/// Seconds from the start of the script in which nothing is judged: the loads come up.
pub(crate) const SETTLE: f64 = 0.5;

/// The culprit's name where the kernel itself is one, in the disturbed phase.
pub(crate) const KERNEL: &str = "kernel";

/// One labelled situation.
pub(crate) struct Scenario {
    /// Its name, unique: `cpu-one-culprit`.
    pub(crate) name: &'static str,
    /// The resource that it is about.
    pub(crate) resource: Resource,
    /// What is true.
    pub(crate) label: Label,
    /// Who takes part.
    pub(crate) cast: Vec<Actor>,
    /// Seconds in which victim and innocents are alone.
    pub(crate) calm: f64,
    /// Seconds in which the culprits are on.
    pub(crate) disturbed: f64,
    /// What must be there before anybody starts: a device, a link.
    pub(crate) prop: Option<fn() -> anyhow::Result<Prop>>,
    /// A memory limit that all who take part have together.
    pub(crate) shared: Option<Limit>,
    /// Whether it belongs to the short run of the test command.
    pub(crate) subset: bool,
}

impl Scenario {
    /// A scenario of the usual length, in which nobody takes part yet.
    pub(crate) fn new(name: &'static str, resource: Resource, label: Label) -> Scenario {
        Scenario {
            name,
            resource,
            label,
            cast: Vec::new(),
            calm: 2.0,
            disturbed: 5.0,
            prop: None,
            shared: None,
            subset: false,
        }
    }

    /// Somebody who takes part.
    pub(crate) fn with(mut self, actor: Actor) -> Scenario {
        self.cast.push(actor);
        self
    }

    /// Several of the same, as `NAME-1`, `NAME-2`, ...: bystanders.
    pub(crate) fn with_many(mut self, count: usize, actor: &Actor) -> Scenario {
        for number in 1..=count {
            let mut one = actor.clone();
            one.name = format!("{}-{number}", actor.name);
            self.cast.push(one);
        }
        self
    }

    /// Other lengths than usual, in seconds.
    pub(crate) fn lasting(mut self, calm: f64, disturbed: f64) -> Scenario {
        self.calm = calm;
        self.disturbed = disturbed;
        self
    }

    /// What must be there first.
    pub(crate) fn on_prop(mut self, prop: fn() -> anyhow::Result<Prop>) -> Scenario {
        self.prop = Some(prop);
        self
    }

    /// A memory limit that all who take part have together.
    pub(crate) fn sharing(mut self, limit: Limit) -> Scenario {
        self.shared = Some(limit);
        self
    }

    /// Real containers in the place of cgroups made by hand.
    pub(crate) fn in_runc(mut self) -> Scenario {
        for actor in &mut self.cast {
            if actor.home == Home::Container {
                actor.home = Home::Runc;
            }
        }
        self
    }

    /// Part of the short run.
    pub(crate) fn in_subset(mut self) -> Scenario {
        self.subset = true;
        self
    }

    /// When the culprits come, in seconds of the script.
    pub(crate) fn onset(&self) -> f64 {
        SETTLE + self.calm
    }

    /// When the script ends.
    pub(crate) fn end(&self) -> f64 {
        self.onset() + self.disturbed
    }

    /// The spans in which an actor is on, in seconds of the script.
    pub(crate) fn spans(&self, actor: &Actor) -> Vec<(f64, f64)> {
        match &actor.when {
            When::Always => vec![(0.0, self.end())],
            When::Disturbed => vec![(self.onset(), self.end())],
            When::Spans(spans) => spans
                .iter()
                .map(|(from, to)| (self.onset() + from, self.onset() + to))
                .collect(),
        }
    }

    /// Whether the kernel's own work is what the scenario is about.
    pub(crate) fn accuses_the_kernel(&self) -> bool {
        let mut culprits = self.label.accusations.iter().flat_map(|a| &a.culprits);
        culprits.any(|culprit| culprit.name == KERNEL)
    }

    /// The number of an actor in the cast.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.cast.iter().position(|actor| actor.name == name)
    }

    /// Refuses what could never be scored: unknown names, shares over 1, two of one name.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let names = || self.cast.iter().map(|actor| actor.name.as_str());
        for name in names() {
            if names().filter(|other| *other == name).count() > 1 {
                bail!("{}: two actors are called {name}", self.name);
            }
        }
        let accused = self.label.accusations.iter().chain(&self.label.tolerated);
        let culprits = accused
            .clone()
            .flat_map(|a| a.culprits.iter().map(|c| c.name));
        let victims = accused.map(|a| a.victim);
        for name in [self.label.victim]
            .into_iter()
            .chain(victims)
            .chain(culprits)
        {
            if name != KERNEL && self.find(name).is_none() {
                bail!(
                    "{}: the label names {name}, who does not take part",
                    self.name
                );
            }
        }
        for accusation in &self.label.accusations {
            let shares: f64 = accusation.culprits.iter().filter_map(|c| c.share).sum();
            if shares > 1.0 + 1e-6 {
                bail!(
                    "{}: the shares of the culprits add up to {shares}",
                    self.name
                );
            }
        }
        Ok(())
    }
}

/// What is true of a scenario.
pub(crate) struct Label {
    /// The one who measures itself.
    pub(crate) victim: &'static str,
    /// What its own latencies must show for the scenario to count.
    pub(crate) felt: Felt,
    /// What must be said; nothing else may be said of those who take part.
    pub(crate) accusations: Vec<Accusation>,
    /// What may be said and need not be: side effects that are true and small.
    pub(crate) tolerated: Vec<Accusation>,
    /// Where this host has no means to tell, the right answer is to say so: `coverage` is `none`.
    pub(crate) abstain: bool,
}

/// What the victim's own latencies show, disturbed beside calm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Felt {
    /// The mean is at least this many times the calm one.
    Slower(f64),
    /// The mean is at most this many times the calm one.
    Same(f64),
    /// Nothing is asked: the victim is held back in both phases.
    Anything,
}

/// A verdict that is right.
pub(crate) struct Accusation {
    /// Who loses.
    pub(crate) victim: &'static str,
    /// On what.
    pub(crate) resource: Resource,
    /// By whose doing.
    pub(crate) cause: Cause,
    /// Who does it; the victim itself where the cause is its own limit.
    pub(crate) culprits: Vec<Culprit>,
}

impl Accusation {
    fn new(
        victim: &'static str,
        resource: Resource,
        cause: Cause,
        culprits: &[(&'static str, Option<f64>)],
    ) -> Accusation {
        let culprit = |(name, share): &(&'static str, Option<f64>)| Culprit {
            name,
            share: *share,
        };
        Accusation {
            victim,
            resource,
            cause,
            culprits: culprits.iter().map(culprit).collect(),
        }
    }
}

/// One who does harm.
pub(crate) struct Culprit {
    /// Its name in the cast.
    pub(crate) name: &'static str,
    /// Its share of the harm, 0 to 1, where the setting decides it.
    pub(crate) share: Option<f64>,
}

/// By whose doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Another container.
    Neighbour,
    /// A service of the host.
    Host,
    /// A limit of the victim's own, by the name that `facts.limit` gives it.
    Limit(&'static str),
}

impl Cause {
    /// The word of the documents.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Cause::Neighbour => "neighbour",
            Cause::Host => "host",
            Cause::Limit(_) => "self",
        }
    }
}

/// The mean latency that counts as felt, and that as not felt, where a label says nothing else.
const SLOWER: f64 = 1.15;
const SAME: f64 = 1.25;

impl Label {
    /// `victim` is harmed on `resource` by these, each with its share where that is known.
    pub(crate) fn harmed(
        victim: &'static str,
        resource: Resource,
        cause: Cause,
        culprits: &[(&'static str, Option<f64>)],
    ) -> Label {
        let label = Label {
            victim,
            felt: Felt::Slower(SLOWER),
            accusations: Vec::new(),
            tolerated: Vec::new(),
            abstain: false,
        };
        label.also(victim, resource, cause, culprits)
    }

    /// One more accusation: mixed causes, several victims.
    pub(crate) fn also(
        mut self,
        victim: &'static str,
        resource: Resource,
        cause: Cause,
        culprits: &[(&'static str, Option<f64>)],
    ) -> Label {
        self.accusations
            .push(Accusation::new(victim, resource, cause, culprits));
        self
    }

    /// What may be said and need not be.
    pub(crate) fn tolerating(
        mut self,
        victim: &'static str,
        resource: Resource,
        cause: Cause,
        culprits: &[&'static str],
    ) -> Label {
        let culprits: Vec<_> = culprits.iter().map(|name| (*name, None)).collect();
        self.tolerated
            .push(Accusation::new(victim, resource, cause, &culprits));
        self
    }

    /// `victim` is held back by its own limit, such as `cpu.max`; nobody else is accused.
    pub(crate) fn limited(victim: &'static str, resource: Resource, limit: &'static str) -> Label {
        Label {
            felt: Felt::Anything,
            ..Label::harmed(
                victim,
                resource,
                Cause::Limit(limit),
                &[(victim, Some(1.0))],
            )
        }
    }

    /// Nobody is harmed and nobody may be accused.
    pub(crate) fn nobody(victim: &'static str) -> Label {
        Label {
            victim,
            felt: Felt::Same(SAME),
            accusations: Vec::new(),
            tolerated: Vec::new(),
            abstain: false,
        }
    }

    /// There is harm that this host cannot prove: the right answer is to abstain. Where the
    /// resource is covered after all, the scenario is left out.
    pub(crate) fn abstain(victim: &'static str) -> Label {
        Label {
            abstain: true,
            felt: Felt::Anything,
            ..Label::nobody(victim)
        }
    }

    /// Another bound on what must be felt.
    pub(crate) fn felt(mut self, felt: Felt) -> Label {
        self.felt = felt;
        self
    }

    /// One word for tables: neighbour, host, self, none, abstain, mixed.
    pub(crate) fn class(&self) -> &'static str {
        if self.abstain {
            return "abstain";
        }
        let mut words = self.accusations.iter().map(|a| a.cause.word());
        match words.next() {
            None => "none",
            Some(first) if words.all(|word| word == first) => first,
            Some(_) => "mixed",
        }
    }
}

/// One workload, in a home of its own.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// Its name in the label.
    pub(crate) name: String,
    /// The role and its arguments, as on a command line; `{NAME}` stands for a word of the prop.
    pub(crate) play: &'static str,
    /// Where it lives.
    pub(crate) home: Home,
    /// The CPUs that it may use.
    pub(crate) cpus: Cpus,
    /// Its limits and weights.
    pub(crate) limits: Vec<Limit>,
    /// When it is on.
    pub(crate) when: When,
}

impl Actor {
    /// A container on the first CPU that is always on.
    pub(crate) fn new(name: &str, play: &'static str) -> Actor {
        Actor {
            name: name.to_owned(),
            play,
            home: Home::Container,
            cpus: Cpus::First,
            limits: Vec::new(),
            when: When::Always,
        }
    }

    /// Another home.
    pub(crate) fn at(mut self, home: Home) -> Actor {
        self.home = home;
        self
    }

    /// Other CPUs.
    pub(crate) fn on(mut self, cpus: Cpus) -> Actor {
        self.cpus = cpus;
        self
    }

    /// A limit or a weight.
    pub(crate) fn limit(mut self, limit: Limit) -> Actor {
        self.limits.push(limit);
        self
    }

    /// On in the disturbed phase alone: a culprit.
    pub(crate) fn disturbing(mut self) -> Actor {
        self.when = When::Disturbed;
        self
    }

    /// On in these spans, in seconds after the onset.
    pub(crate) fn during(mut self, spans: &[(f64, f64)]) -> Actor {
        self.when = When::Spans(spans.to_vec());
        self
    }
}

/// Where a workload lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// A cgroup with a container's path, made by hand.
    Container,
    /// A real container, started by runc.
    Runc,
    /// A cgroup with the path of a systemd service.
    Service,
}

/// The CPUs that a workload may use: the host's first two take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cpus {
    /// The first.
    First,
    /// The second.
    Second,
    /// Both of them.
    Both,
}

/// What bounds a workload, by version 2's names; version 1's files are written where they apply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// `cpu.shares`, where 1,024 is what everybody has.
    CpuShares(u64),
    /// `cpu.max`, in CPUs.
    CpuMax(f64),
    /// `memory.max`, in bytes.
    MemoryMax(u64),
    /// `pids.max`, in tasks.
    PidsMax(u64),
    /// `rbps` of `io.max` on the disk below the files of loads, in bytes a second.
    ReadRate(u64),
}

/// When a workload is on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum When {
    /// From the start to the end.
    Always,
    /// In the disturbed phase.
    Disturbed,
    /// In these spans, in seconds after the onset.
    Spans(Vec<(f64, f64)>),
}

/// Something that a scenario needs, made before it and taken away after it.
pub(crate) struct Prop {
    /// What the actors need to know of it: `{NAME}` in their words becomes the value.
    pub(crate) words: Vec<(&'static str, String)>,
    /// Folders to remove, commands to undo: whatever undoes it when dropped.
    pub(crate) _undo: Box<dyn std::any::Any>,
}
