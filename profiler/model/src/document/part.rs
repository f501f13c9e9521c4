//! What several documents have in common: host, window, party, pressure, gaps, governor.

use super::time::rfc3339;
use super::{Word, finite, number};
use crate::gap::Gap;
use crate::observation::{Fidelity, Host};
use crate::party::{Party, PartyKind, Pod};
use crate::units::Nanos;
use crate::usage::{PressureUse, WindowUse};
use serde::{Deserialize, Serialize};

/// The host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostDocument {
    /// `uname -n`.
    pub name: String,
    /// `uname -r`.
    pub kernel: String,
    /// Online CPUs.
    pub cpus: u32,
    /// `v1`, `hybrid`, `v2` or `none`.
    pub cgroup: Word,
}

impl From<&Host> for HostDocument {
    fn from(host: &Host) -> HostDocument {
        HostDocument {
            name: host.name.clone(),
            kernel: host.kernel.clone(),
            cpus: host.cpus,
            cgroup: host.cgroup.as_str().into(),
        }
    }
}

/// The window that was observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowDocument {
    /// When it opened, RFC 3339.
    pub start: String,
    /// How long it was.
    pub seconds: f64,
    /// How long it should have been; only where it was cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_seconds: Option<f64>,
}

impl WindowDocument {
    /// The window of `window`; `requested` is how long it should have been.
    #[must_use]
    pub fn new(window: &WindowUse, requested: Nanos) -> WindowDocument {
        WindowDocument {
            start: rfc3339(window.start_unix),
            seconds: window.length.seconds(),
            requested_seconds: cut_short(window.length, requested).then(|| requested.seconds()),
        }
    }
}

/// Whether a window ended before its time; 2 % are allowed for the timer.
fn cut_short(length: Nanos, requested: Nanos) -> bool {
    requested.since(length).0 > requested.0 / 50
}

/// A party. Fields that are not known, or that the kind does not have, are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartyDocument {
    /// `container`, `service`, `kernel` or `hypervisor`.
    pub kind: Word,
    /// The engine's id of a container, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name as the engine shows it.
    pub name: String,
    /// The engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The image reference as the engine shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The cgroup path from the host's cgroup root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The pod, for containers in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodDocument>,
}

impl From<&Party> for PartyDocument {
    fn from(party: &Party) -> PartyDocument {
        PartyDocument {
            kind: party.kind.as_str().into(),
            id: Some(party.id.clone()).filter(|id| !id.is_empty()),
            name: party.name.clone(),
            engine: party.engine.clone(),
            image: party.image.clone(),
            cgroup: party.cgroup.clone(),
            pod: party
                .pod
                .as_ref()
                .filter(|_| party.kind == PartyKind::Container)
                .map(PodDocument::from),
        }
    }
}

/// The pod of a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodDocument {
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The container's name within the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Its uid as the cgroup path shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl From<&Pod> for PodDocument {
    fn from(pod: &Pod) -> PodDocument {
        PodDocument {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            container: pod.container.clone(),
            uid: pod.uid.clone(),
        }
    }
}

/// Pressure as a share of the window, 0 to 1 (`Documentation/accounting/psi.rst`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PressureDocument {
    /// CPU, at least one task stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_some: Option<f64>,
    /// CPU, all tasks stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_full: Option<f64>,
    /// Memory, at least one task stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_some: Option<f64>,
    /// Memory, all tasks stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_full: Option<f64>,
    /// I/O, at least one task stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_some: Option<f64>,
    /// I/O, all tasks stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_full: Option<f64>,
}

impl PressureDocument {
    /// The pressure, or nothing where no file could be read.
    #[must_use]
    pub fn of(pressure: &PressureUse) -> Option<PressureDocument> {
        let document = PressureDocument {
            cpu_some: pressure.cpu_some.and_then(finite),
            cpu_full: pressure.cpu_full.and_then(finite),
            memory_some: pressure.memory_some.and_then(finite),
            memory_full: pressure.memory_full.and_then(finite),
            io_some: pressure.io_some.and_then(finite),
            io_full: pressure.io_full.and_then(finite),
        };
        (document != PressureDocument::default()).then_some(document)
    }
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapDocument {
    /// The source or file.
    pub what: String,
    /// Why, and what would help.
    pub why: String,
}

impl From<&Gap> for GapDocument {
    fn from(gap: &Gap) -> GapDocument {
        GapDocument {
            what: gap.what.clone(),
            why: gap.why.clone(),
        }
    }
}

/// That switches of tasks were seen for a part of the time: to keep within the CPU budget, or because a light
/// load switches very often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GovernorDocument {
    /// `sampling`.
    pub state: Word,
    /// The share of the window that was accounted for, 0 to 1. The amounts are scaled up by it.
    pub sampled_fraction: f64,
}

impl GovernorDocument {
    /// Nothing where every event was accounted for, or where nothing was.
    #[must_use]
    pub fn of(window: &WindowUse) -> Option<GovernorDocument> {
        match (window.waits.is_some(), window.fidelity) {
            (true, Fidelity::Sampled(fraction)) => Some(GovernorDocument {
                state: "sampling".into(),
                sampled_fraction: number(fraction),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_as_cut_short_beyond_the_timers_slack() {
        let ten = Nanos::from_seconds(10.0);
        assert!(!cut_short(Nanos::from_seconds(9.9), ten));
        assert!(!cut_short(Nanos::from_seconds(10.1), ten));
        assert!(cut_short(Nanos::from_seconds(3.2), ten));
        assert!(!cut_short(Nanos::ZERO, Nanos::ZERO));
    }

    #[test]
    fn the_kernel_has_a_kind_and_a_name_and_nothing_else() {
        let document = serde_json::to_value(PartyDocument::from(&Party::kernel())).unwrap();
        assert_eq!(
            document,
            serde_json::json!({"kind": "kernel", "name": "kernel"})
        );
    }

    #[test]
    fn pressure_that_could_not_be_read_is_absent() {
        assert_eq!(PressureDocument::of(&PressureUse::default()), None);
        let some = PressureUse {
            cpu_some: Some(0.0),
            io_full: Some(f64::NAN),
            ..PressureUse::default()
        };
        let document = serde_json::to_value(PressureDocument::of(&some).unwrap()).unwrap();
        assert_eq!(document, serde_json::json!({"cpu_some": 0.0}));
    }
}
