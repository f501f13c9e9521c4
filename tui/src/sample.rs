//! A host with a victim, a culprit and a bystander, for tests.

use crate::feed::Tick;
use dunnage_model::gap::Gap;
use dunnage_model::observation::{CgroupLayout, CpuTimes, Fidelity, Host};
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{
    CpuUse, DiskUse, LevelWeight, MemoryUse, NetworkUse, PartyUse, PartyWait, PressureUse, Stalls,
    WindowUse,
};
use dunnage_model::verdict::{Cause, Cleared, Coverage, Culprit, Judgement, Resource, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

fn seconds(value: f64) -> Nanos {
    Nanos::from_seconds(value)
}

pub(crate) fn container(name: &str) -> Party {
    let mut party = Party::new(format!("/docker/{name}"), PartyKind::Container, name);
    party.engine = Some("docker".into());
    party.image = Some(format!("shop/{name}:1.4"));
    party.cgroup = Some(format!("/docker/{name}"));
    party
}

pub(crate) fn using(party: Party, cpu: f64, wait: Option<f64>) -> PartyUse {
    PartyUse {
        cpu: CpuUse {
            usage: seconds(cpu),
            runqueue_wait: wait.map(seconds),
            ..CpuUse::default()
        },
        ..PartyUse::new(party)
    }
}

/// A window in which nobody is there.
pub(crate) fn empty() -> Tick {
    let window = WindowUse {
        host: Host {
            name: "n1".into(),
            kernel: "6.18.0".into(),
            cpus: 2,
            cgroup: CgroupLayout::Hybrid,
        },
        start_unix: seconds(1_795_248_000.0),
        length: seconds(10.0),
        machine: CpuTimes {
            user: seconds(16.0),
            system: seconds(1.0),
            idle: seconds(3.0),
            ..CpuTimes::default()
        },
        machine_pressure: PressureUse {
            cpu_some: Some(0.4),
            ..PressureUse::default()
        },
        parties: Vec::new(),
        waits: None,
        stalls: Stalls::default(),
        fidelity: Fidelity::Exact,
        gaps: Vec::new(),
    };
    Tick {
        window,
        judgement: Judgement::default(),
        coverage: BTreeMap::new(),
    }
}

/// `batch` takes `web`'s CPU, `cache` is busier and harms nobody.
pub(crate) fn tick() -> Tick {
    let mut tick = empty();
    let mut web = using(container("web"), 3.0, Some(3.51));
    web.claim.weights = vec![LevelWeight {
        path: "/docker/web".into(),
        weight: 100.0,
    }];
    web.memory = Some(MemoryUse {
        used: Bytes(64 << 20),
        ..MemoryUse::default()
    });
    web.network = Some(NetworkUse {
        received: Bytes(5 << 20),
        sent: Bytes(50 << 20),
        dropped: None,
    });
    let mut batch = using(container("batch"), 4.0, Some(0.2));
    batch.memory = Some(MemoryUse {
        used: Bytes(512 << 20),
        limit: Some(Bytes(1 << 30)),
        ..MemoryUse::default()
    });
    batch.disk = Some(vec![DiskUse {
        device: "vda".into(),
        read: Bytes(10 << 20),
        written: Bytes(0),
        reads: 80,
        writes: 0,
    }]);
    let cache = using(container("cache"), 9.9, Some(0.0));
    let kernel = using(Party::kernel(), 0.1, None);
    tick.window.parties = vec![web, batch, cache, kernel];
    tick.window.waits = Some(vec![PartyWait {
        party: 0,
        wait: seconds(3.51),
        throttled: Nanos::ZERO,
        blame: vec![(1, seconds(2.9)), (0, seconds(0.5))],
        unexplained: seconds(0.11),
        apportioned: Nanos::ZERO,
        waking: Nanos::ZERO,
        waits: 812,
        wakes: 400,
        p99: Some(Nanos(12_000_000)),
    }]);
    tick.window.gaps = vec![Gap::new("docker", "no answer within 2 s")];
    tick.coverage = [
        (Resource::Cpu, Coverage::Exact),
        (Resource::Disk, Coverage::None),
    ]
    .into();
    tick.judgement = judgement();
    tick
}

fn judgement() -> Judgement {
    let verdict = Verdict {
        victim: Arc::new(container("web")),
        resource: Resource::Cpu,
        cause: Cause::Neighbour,
        harm: seconds(3.51),
        fraction: 0.54,
        culprits: vec![Culprit {
            party: Arc::new(container("batch")),
            time: seconds(2.9),
            share: 0.826,
        }],
        unexplained: 0.174,
        confidence: 0.97,
        evidence: "web waited 3.51 s for a CPU in 10 s".into(),
        advice: "give batch a CPU limit".into(),
        facts: BTreeMap::new(),
    };
    let cleared = Cleared {
        party: Arc::new(container("cache")),
        of: Resource::Cpu,
        why: "ran on CPUs that nobody waited for".into(),
    };
    Judgement {
        verdicts: vec![verdict],
        cleared: vec![cleared],
    }
}
