//! A builder of windows from plain numbers.

use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::{CgroupLayout, CpuTimes, Fidelity, Host, OwnerCpu};
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{
    CpuClaim, LevelWeight, ParentQuota, PartyUse, PartyWait, PressureUse, Stalls, WindowUse,
};
use dunnage_model::verdict::{Cause, Fact, Judgement, Verdict};

/// A window under construction; parties are numbers.
pub(super) struct World {
    pub(super) window: WindowUse,
    rows: Vec<PartyWait>,
}

impl World {
    pub(super) fn new(cpus: u32, seconds: f64) -> World {
        let host = Host {
            name: "n1".into(),
            kernel: "6.18.0".into(),
            cpus,
            cgroup: CgroupLayout::V2,
        };
        let window = WindowUse {
            host,
            start_unix: Nanos::ZERO,
            length: Nanos::from_seconds(seconds),
            machine: CpuTimes::default(),
            machine_pressure: PressureUse::default(),
            parties: Vec::new(),
            waits: None,
            stalls: Stalls::default(),
            fidelity: Fidelity::Exact,
            gaps: Vec::new(),
        };
        World {
            window,
            rows: Vec::new(),
        }
    }

    fn party(&mut self, party: Party, claim: CpuClaim) -> usize {
        self.window.parties.push(PartyUse {
            claim,
            ..PartyUse::new(party)
        });
        self.rows.push(PartyWait {
            party: self.rows.len(),
            wait: Nanos::ZERO,
            throttled: Nanos::ZERO,
            blame: Vec::new(),
            unexplained: Nanos::ZERO,
            apportioned: Nanos::ZERO,
            waking: Nanos::ZERO,
            waits: 0,
            wakes: 0,
            p99: None,
        });
        self.rows.len() - 1
    }

    /// A party at `path`, each level of which has the weight given (100 where the list ends).
    pub(super) fn at(&mut self, kind: PartyKind, name: &str, path: &str, weights: &[f64]) -> usize {
        let mut party = Party::new(path, kind, name);
        party.cgroup = Some(path.to_owned());
        if kind == PartyKind::Container {
            party.engine = Some("docker".into());
            party.id = format!("{name}0123456789abcdef");
        }
        let mut levels = Vec::new();
        let mut so_far = String::new();
        for (i, part) in path.split('/').skip(1).enumerate() {
            so_far = format!("{so_far}/{part}");
            let weight = weights.get(i).copied().unwrap_or(100.0);
            levels.push(LevelWeight {
                path: so_far.as_str().into(),
                weight,
            });
        }
        self.party(
            party,
            CpuClaim {
                weights: levels,
                ..CpuClaim::default()
            },
        )
    }

    pub(super) fn container(&mut self, name: &str) -> usize {
        self.at(PartyKind::Container, name, &format!("/{name}"), &[])
    }

    pub(super) fn service(&mut self, name: &str) -> usize {
        self.at(PartyKind::Service, name, &format!("/{name}.service"), &[])
    }

    pub(super) fn root_command(&mut self, name: &str) -> usize {
        self.party(Party::root_command(name), CpuClaim::default())
    }

    pub(super) fn kernel(&mut self) -> usize {
        self.party(Party::kernel(), CpuClaim::default())
    }

    pub(super) fn claim(&mut self, party: usize) -> &mut CpuClaim {
        &mut self.window.parties[party].claim
    }

    pub(super) fn row(&mut self, party: usize) -> &mut PartyWait {
        &mut self.rows[party]
    }

    pub(super) fn cpuset(&mut self, party: usize, cpus: &str) {
        self.claim(party).cpuset = CpuSet::parse(cpus);
    }

    fn on(&mut self, party: usize, cpu: u32) -> &mut OwnerCpu {
        let cpus = &mut self.window.parties[party].cpu.cpus;
        let place = cpus.iter().position(|on| on.cpu == cpu).unwrap_or_else(|| {
            cpus.push(OwnerCpu {
                cpu,
                ..OwnerCpu::default()
            });
            cpus.len() - 1
        });
        &mut cpus[place]
    }

    /// `party` ran on `cpu`.
    pub(super) fn ran(&mut self, party: usize, cpu: u32, seconds: f64) {
        let time = Nanos::from_seconds(seconds);
        self.on(party, cpu).run += time;
        self.window.parties[party].cpu.usage += time;
        if self.window.parties[party].party.kind != PartyKind::Hypervisor {
            self.window.machine.user += time;
        }
    }

    /// `victim` waited on `cpu` while `culprit` ran.
    pub(super) fn waited(&mut self, victim: usize, culprit: usize, cpu: u32, seconds: f64) {
        let time = Nanos::from_seconds(seconds);
        self.on(victim, cpu).wait += time;
        let row = self.row(victim);
        row.wait += time;
        match row.blame.iter_mut().find(|(party, _)| *party == culprit) {
            Some((_, so_far)) => *so_far += time,
            None => row.blame.push((culprit, time)),
        }
    }

    /// `victim` waited on `cpu`, and nobody knows for whom.
    pub(super) fn waited_unexplained(&mut self, victim: usize, cpu: u32, seconds: f64) {
        let time = Nanos::from_seconds(seconds);
        self.on(victim, cpu).wait += time;
        self.row(victim).wait += time;
        self.row(victim).unexplained += time;
    }

    /// Its own quota of so many CPUs held it back.
    pub(super) fn held_by_quota(&mut self, party: usize, cpus: f64, seconds: f64, periods: u64) {
        self.claim(party).quota_cpus = Some(cpus);
        let use_ = &mut self.window.parties[party].cpu;
        use_.throttled = Some(Nanos::from_seconds(seconds));
        use_.throttled_periods = Some(periods);
        self.row(party).throttled += Nanos::from_seconds(seconds);
    }

    /// The quota of a parent held it back.
    pub(super) fn held_by_parent(&mut self, party: usize, path: &str, cpus: f64, seconds: f64) {
        let quota = ParentQuota {
            path: path.into(),
            cpus,
            throttled: Nanos::from_seconds(seconds),
        };
        self.claim(party).parent_quotas.push(quota);
        self.row(party).throttled += Nanos::from_seconds(seconds);
    }

    /// The window with exact waits.
    pub(super) fn exact(mut self) -> WindowUse {
        for (party, row) in self.rows.iter_mut().enumerate() {
            if row.waits == 0 {
                // As many waits as time slices of 3 ms, unless the test says otherwise.
                let slices = self.window.parties[party].cpu.usage.0 / 3_000_000;
                row.waits = slices.max(u64::from(row.wait.0 > 0));
            }
            if row.wakes == 0 {
                row.wakes = row.waits;
            }
            row.p99 = (row.wait.0 > 0).then_some(Nanos(3_000_000));
        }
        let told = |row: &PartyWait| row.waits > 0 || row.wait.0 > 0 || row.throttled.0 > 0;
        self.window.waits = Some(self.rows.into_iter().filter(told).collect());
        self.window
    }

    /// The window as it looks without the kernel-side part.
    pub(super) fn without_waits(mut self) -> WindowUse {
        for party in &mut self.window.parties {
            party.cpu.cpus.clear();
        }
        self.window
    }
}

/// Who is accused of harming whom, by name: neighbours and the host, most harm first.
pub(super) fn accusations(judgement: &Judgement) -> Vec<(String, Cause, Vec<String>)> {
    let others = judgement
        .verdicts
        .iter()
        .filter(|v| v.cause != Cause::Itself);
    others
        .map(|v| (v.victim.name.clone(), v.cause, names(v)))
        .collect()
}

fn names(verdict: &Verdict) -> Vec<String> {
    verdict
        .culprits
        .iter()
        .map(|culprit| culprit.party.name.clone())
        .collect()
}

/// The verdict on a victim for a cause.
pub(super) fn verdict<'a>(judgement: &'a Judgement, victim: &str, cause: Cause) -> &'a Verdict {
    let found = judgement
        .verdicts
        .iter()
        .find(|v| v.victim.name == victim && v.cause == cause);
    found.unwrap_or_else(|| panic!("no verdict {cause:?} for {victim} in {judgement:#?}"))
}

/// A word among the facts.
pub(super) fn text<'a>(verdict: &'a Verdict, name: &str) -> Option<&'a str> {
    match verdict.facts.get(name)? {
        Fact::Text(text) => Some(text),
        Fact::Number(_) => None,
    }
}

/// A number among the facts.
pub(super) fn number(verdict: &Verdict, name: &str) -> Option<f64> {
    match verdict.facts.get(name)? {
        Fact::Number(number) => Some(*number),
        Fact::Text(_) => None,
    }
}

/// Why a party was cleared.
pub(super) fn why<'a>(judgement: &'a Judgement, name: &str) -> Option<&'a str> {
    judgement
        .cleared
        .iter()
        .find(|c| c.party.name == name)
        .map(|c| c.why.as_str())
}
