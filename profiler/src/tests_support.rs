//! Hand-made windows for the tests of everything that judges or shows them, and a host whose
//! cgroups are all services.

use crate::parties::PartyLookup;
use dunnage_model::observation::{CgroupLayout, CpuTimes, Fidelity, Host};
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{CpuUse, PartyUse, PressureUse, Stalls, WindowUse};
use std::sync::Arc;

/// A party that ran for `cpu_seconds`, and of which nothing else is known.
pub(crate) fn party_use(party: impl Into<Arc<Party>>, cpu_seconds: f64) -> PartyUse {
    PartyUse {
        cpu: CpuUse {
            usage: Nanos::from_seconds(cpu_seconds),
            ..CpuUse::default()
        },
        ..PartyUse::new(party)
    }
}

/// Ten seconds on a host of two CPUs of which no source told anything.
pub(crate) fn window(parties: Vec<PartyUse>) -> WindowUse {
    WindowUse {
        host: Host {
            name: "n1".into(),
            kernel: "6.18.0".into(),
            cpus: 2,
            cgroup: CgroupLayout::V2,
        },
        start_unix: Nanos::ZERO,
        length: Nanos::from_seconds(10.0),
        machine: CpuTimes::default(),
        machine_pressure: PressureUse::default(),
        parties,
        waits: None,
        stalls: Stalls::default(),
        fidelity: Fidelity::Exact,
        gaps: Vec::new(),
    }
}

/// A host without engines, where every cgroup is a service by the name of its path.
pub(crate) struct Services;

impl PartyLookup for Services {
    fn of_cgroup(&self, path: &str) -> Arc<Party> {
        Arc::new(Party::new(path, PartyKind::Service, path))
    }

    fn of_root_process(&self, command: &str) -> Arc<Party> {
        Arc::new(Party::root_command(command))
    }
}
