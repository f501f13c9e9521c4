//! A demo as it should come out, for tests.

use super::truth::{Actor, Phase, Truth};
use super::{DemoOutcome, Seen, check};
use crate::tests_support::{party_use, window};
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{PartyWait, WindowUse};
use dunnage_model::verdict::{Cause, Cleared, Culprit, Judgement, Resource, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn party(folder: &str, role: &str) -> Arc<Party> {
    Arc::new(Party::new(
        format!("{folder}/{role}"),
        PartyKind::Container,
        role,
    ))
}

fn phase(seconds: f64, latency: f64, lost: f64) -> Phase {
    Phase {
        seconds,
        requests: 500,
        mean_latency_seconds: latency,
        p99_latency_seconds: latency * 2.0,
        lost_seconds: lost,
        run_delay_seconds: Some(lost),
    }
}

pub(super) fn truth() -> Truth {
    Truth {
        victim_cpu: 0,
        alone: phase(2.0, 0.0031, 0.01),
        beside: phase(5.0, 0.0098, 1.71),
        disturbed: false,
        culprit: Actor {
            name: "culprit",
            cpu: 0,
            seconds: 5.0,
            cpu_seconds: 3.5,
        },
        bystander: Some(Actor {
            name: "bystander",
            cpu: 1,
            seconds: 5.0,
            cpu_seconds: 4.99,
        }),
    }
}

pub(super) fn right(folder: &str) -> (Truth, Seen) {
    let wait = PartyWait {
        party: 0,
        wait: Nanos::from_seconds(1.70),
        throttled: Nanos::ZERO,
        blame: vec![(1, Nanos::from_seconds(1.65))],
        unexplained: Nanos::from_seconds(0.05),
        apportioned: Nanos::ZERO,
        waking: Nanos::ZERO,
        waits: 500,
        wakes: 200,
        p99: None,
    };
    let parties = vec![
        party_use(party(folder, "victim"), 1.5),
        party_use(party(folder, "culprit"), 3.5),
        party_use(party(folder, "bystander"), 4.99),
    ];
    let window = WindowUse {
        length: Nanos::from_seconds(5.0),
        waits: Some(vec![wait]),
        ..window(parties)
    };
    let culprit = Culprit {
        party: party(folder, "culprit"),
        time: Nanos::from_seconds(1.65),
        share: 0.97,
    };
    let verdict = Verdict {
        victim: party(folder, "victim"),
        resource: Resource::Cpu,
        cause: Cause::Neighbour,
        harm: Nanos::from_seconds(1.70),
        fraction: 0.53,
        culprits: vec![culprit],
        unexplained: 0.03,
        confidence: 0.97,
        evidence: "victim waited 1.70 s".into(),
        advice: "give culprit a CPU limit".into(),
        facts: BTreeMap::new(),
    };
    let cleared = Cleared {
        party: party(folder, "bystander"),
        of: Resource::Cpu,
        why: "ran on CPUs that nobody waited for".into(),
    };
    let judgement = Judgement {
        verdicts: vec![verdict],
        cleared: vec![cleared],
    };
    (truth(), Seen { window, judgement })
}

pub(super) fn outcome(folder: &str) -> DemoOutcome {
    let (truth, seen) = right(folder);
    let checks = check::checks(&truth, &seen, folder);
    let right = checks.iter().all(|c| c.right);
    DemoOutcome {
        right,
        checks,
        truth,
        seen,
        folder: folder.to_owned(),
    }
}
