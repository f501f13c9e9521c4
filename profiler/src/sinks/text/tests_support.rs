//! Hand-made windows and judgements for the tests of the text output.

use crate::tests_support;
pub(crate) use crate::tests_support::party_use;
use dunnage_model::observation::CgroupLayout;
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{PartyUse, WindowUse};
use dunnage_model::verdict::{Cause, Cleared, Coverage, Culprit, Judgement, Resource, Verdict};
use std::collections::BTreeMap;

pub(crate) fn container(name: &str, image: &str) -> Party {
    let mut party = Party::new(format!("/docker/{name}"), PartyKind::Container, name);
    party.id = "9f3c".repeat(16);
    party.engine = Some("docker".into());
    party.image = Some(image.into());
    party.cgroup = Some(format!("/docker/{name}"));
    party
}

pub(crate) fn service(name: &str) -> Party {
    Party::new(format!("/system.slice/{name}"), PartyKind::Service, name)
}

/// Ten seconds on a host of two CPUs that was half busy.
pub(crate) fn window(parties: Vec<PartyUse>) -> WindowUse {
    let mut window = tests_support::window(parties);
    window.host.cgroup = CgroupLayout::Hybrid;
    window.start_unix = Nanos(1_795_244_400_000_000_000);
    window.machine.user = Nanos::from_seconds(10.0);
    window.machine.idle = Nanos::from_seconds(10.0);
    window
}

/// `web` lost 3.51 s, and `batch` took 2.9 s of it.
pub(crate) fn verdict(cause: Cause) -> Verdict {
    let batch = Culprit {
        party: container("batch", "jobs").into(),
        time: Nanos::from_seconds(2.9),
        share: 0.826,
    };
    Verdict {
        victim: container("web", "shop/web:1.4").into(),
        resource: Resource::Cpu,
        cause,
        harm: Nanos::from_seconds(3.51),
        fraction: 0.35,
        culprits: vec![batch],
        unexplained: 0.174,
        confidence: 0.97,
        evidence:
            "web waited 3.51 s for a CPU in 10 s; batch ran for 2.90 s of it while over its share"
                .into(),
        advice: "give batch a CPU limit or fewer shares, or move it off CPUs 0-1".into(),
        facts: BTreeMap::new(),
    }
}

pub(crate) fn judgement() -> Judgement {
    Judgement {
        verdicts: vec![verdict(Cause::Neighbour)],
        cleared: vec![Cleared {
            party: container("cache", "redis").into(),
            of: Resource::Cpu,
            why: "ran on CPUs that nobody waited for".into(),
        }],
    }
}

pub(crate) fn exact_cpu() -> BTreeMap<Resource, Coverage> {
    BTreeMap::from([
        (Resource::Cpu, Coverage::Exact),
        (Resource::Disk, Coverage::None),
    ])
}
