//! The documents against the names in the contract.

use super::{BlameDocument, CheckDocument, DoctorDocument, FactValue, PsDocument, WhyDocument};
use crate::gap::Gap;
use crate::observation::{CgroupLayout, CpuTimes, Fidelity, Host};
use crate::party::{Party, PartyKind, Pod};
use crate::units::{Bytes, Nanos};
use crate::usage::{
    CpuClaim, CpuUse, DiskUse, MemoryUse, NetworkUse, PartyUse, PartyWait, PressureUse, Stalls,
    WindowUse,
};
use crate::verdict::{Cause, Cleared, Coverage, Culprit, Fact, Judgement, Resource, Verdict};
use crate::why::{Answer, Limiter, Metric, Mismatch, Why};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn container(name: &str) -> Arc<Party> {
    let mut party = Party::new(format!("/docker/{name}"), PartyKind::Container, name);
    party.id = format!("{name}-id");
    party.engine = Some("docker".into());
    party.image = Some(format!("shop/{name}:1.4"));
    party.cgroup = Some(format!("/docker/{name}"));
    party.labels.insert("tier".into(), "front".into());
    Arc::new(party)
}

fn party_use(party: Arc<Party>, seconds: f64) -> PartyUse {
    PartyUse {
        party,
        cpu: CpuUse {
            usage: Nanos::from_seconds(seconds),
            user: Some(Nanos::from_seconds(1.0)),
            system: Some(Nanos::from_seconds(0.5)),
            throttled: Some(Nanos::ZERO),
            runqueue_wait: Some(Nanos::from_seconds(3.5)),
            ..CpuUse::default()
        },
        claim: CpuClaim::default(),
        memory: Some(MemoryUse {
            used: Bytes(30),
            anon: Some(Bytes(20)),
            file: Some(Bytes(10)),
            limit: Some(Bytes(100)),
            major_faults: Some(1),
        }),
        disk: Some(vec![
            DiskUse {
                device: "vda".into(),
                read: Bytes(1),
                written: Bytes(2),
                reads: 3,
                writes: 4,
            },
            DiskUse {
                device: "vdb".into(),
                read: Bytes(10),
                written: Bytes(20),
                reads: 30,
                writes: 40,
            },
        ]),
        network: Some(NetworkUse {
            received: Bytes(5),
            sent: Bytes(6),
            dropped: Some(7),
        }),
        pressure: PressureUse {
            cpu_some: Some(0.5),
            memory_some: Some(0.0),
            ..PressureUse::default()
        },
        processes: Some(2),
        threads: Some(9),
    }
}

fn bare(party: Party) -> PartyUse {
    PartyUse {
        cpu: CpuUse {
            usage: Nanos::from_seconds(0.1),
            ..CpuUse::default()
        },
        ..PartyUse::new(party)
    }
}

fn window() -> WindowUse {
    let seconds = Nanos::from_seconds;
    WindowUse {
        host: Host {
            name: "n1".into(),
            kernel: "6.18.0".into(),
            cpus: 2,
            cgroup: CgroupLayout::Hybrid,
        },
        start_unix: Nanos(1_795_244_400_000_000_000),
        length: seconds(10.0),
        machine: CpuTimes {
            user: seconds(9.0),
            idle: seconds(10.5),
            steal: seconds(0.5),
            ..CpuTimes::default()
        },
        machine_pressure: PressureUse::default(),
        parties: vec![
            bare(Party::kernel()),
            party_use(container("web"), 2.0),
            party_use(container("batch"), 6.9),
        ],
        waits: Some(vec![PartyWait {
            party: 1,
            wait: seconds(3.5),
            throttled: seconds(0.25),
            blame: vec![(0, seconds(0.5)), (2, seconds(2.75))],
            unexplained: seconds(0.25),
            apportioned: Nanos::ZERO,
            waking: Nanos::ZERO,
            waits: 100,
            wakes: 60,
            p99: None,
        }]),
        stalls: Stalls::default(),
        fidelity: Fidelity::Exact,
        gaps: vec![Gap::new("docker", "no answer")],
    }
}

fn judgement() -> Judgement {
    Judgement {
        verdicts: vec![Verdict {
            victim: container("web"),
            resource: Resource::Cpu,
            cause: Cause::Itself,
            harm: Nanos::from_seconds(3.5),
            fraction: 0.35,
            culprits: vec![Culprit {
                party: container("web"),
                time: Nanos::from_seconds(3.5),
                share: 1.0,
            }],
            unexplained: 0.0,
            confidence: 0.97,
            evidence: "e".into(),
            advice: "a".into(),
            facts: BTreeMap::from([
                ("limit", Fact::Text("cpu.max".into())),
                ("runqueue_wait_seconds", Fact::Number(3.5)),
                ("broken", Fact::Number(f64::NAN)),
            ]),
        }],
        cleared: vec![Cleared {
            party: container("cache"),
            of: Resource::Cpu,
            why: "w".into(),
        }],
    }
}

fn blame(window: &WindowUse) -> BlameDocument {
    let coverage = BTreeMap::from([(Resource::Cpu, Coverage::Exact)]);
    BlameDocument::from_parts(window, &judgement(), &coverage, Nanos::from_seconds(10.0))
}

fn web() -> Value {
    json!({
        "kind": "container", "id": "web-id", "name": "web", "engine": "docker", "image": "shop/web:1.4",
        "cgroup": "/docker/web",
    })
}

fn host() -> Value {
    json!({"name": "n1", "kernel": "6.18.0", "cpus": 2, "cgroup": "hybrid"})
}

#[test]
fn blame_has_the_names_of_the_contract() {
    let document = serde_json::to_value(blame(&window())).unwrap();
    let party =
        |name: &str| serde_json::to_value(super::PartyDocument::from(&*container(name))).unwrap();
    assert_eq!(
        document,
        json!({
            "schema": "dunnage.blame/1",
            "host": host(),
            "window": {"start": "2026-11-21T07:00:00Z", "seconds": 10.0},
            "coverage": {"cpu": "exact", "cache": "none", "disk": "none", "memory": "none", "network": "none", "gpu": "none"},
            "verdicts": [{
                "victim": web(),
                "resource": "cpu",
                "cause": "self",
                "harm": {"seconds": 3.5, "fraction": 0.35},
                "culprits": [{"party": web(), "seconds": 3.5, "share": 1.0}],
                "unexplained": 0.0,
                "confidence": 0.97,
                "evidence": "e",
                "advice": "a",
                "facts": {"limit": "cpu.max", "runqueue_wait_seconds": 3.5},
            }],
            "cleared": [{"party": party("cache"), "of": "cpu", "why": "w"}],
            "waits": [{
                "victim": web(),
                "wait_seconds": 3.5,
                "throttled_seconds": 0.25,
                "unexplained_seconds": 0.25,
                "blame": [
                    {"party": party("batch"), "seconds": 2.75},
                    {"party": {"kind": "kernel", "name": "kernel"}, "seconds": 0.5},
                ],
            }],
            "gaps": [{"what": "docker", "why": "no answer"}],
        })
    );
}

#[test]
fn ps_has_the_names_of_the_contract() {
    let document =
        serde_json::to_value(PsDocument::from_parts(&window(), Nanos::from_seconds(10.0))).unwrap();
    assert_eq!(document["schema"], "dunnage.ps/1");
    assert_eq!(document["host"], host());
    assert_eq!(
        document["machine"],
        json!({"cpu": {"busy_seconds": 9.0, "idle_seconds": 10.5, "steal_seconds": 0.5}})
    );
    let names: Vec<&Value> = document["parties"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["party"]["name"])
        .collect();
    assert_eq!(names, ["batch", "web", "kernel"]);
    assert_eq!(
        document["parties"][1],
        json!({
            "party": web(),
            "labels": {"tier": "front"},
            "cpu": {
                "usage_seconds": 2.0, "user_seconds": 1.0, "system_seconds": 0.5, "throttled_seconds": 0.0,
                "runqueue_wait_seconds": 3.5, "pressure_some": 0.5,
            },
            "memory": {
                "used_bytes": 30, "anon_bytes": 20, "file_bytes": 10, "limit_bytes": 100, "major_faults": 1,
                "pressure_some": 0.0,
            },
            "disk": {
                "read_bytes": 11, "written_bytes": 22, "reads": 33, "writes": 44,
                "devices": [
                    {"device": "vda", "read_bytes": 1, "written_bytes": 2, "reads": 3, "writes": 4},
                    {"device": "vdb", "read_bytes": 10, "written_bytes": 20, "reads": 30, "writes": 40},
                ],
            },
            "network": {"received_bytes": 5, "sent_bytes": 6, "dropped_packets": 7},
            "pressure": {"cpu_some": 0.5, "memory_some": 0.0},
            "processes": 2,
            "threads": 9,
        })
    );
}

#[test]
fn what_was_not_read_is_left_out() {
    let document =
        serde_json::to_value(PsDocument::from_parts(&window(), Nanos::from_seconds(10.0))).unwrap();
    let kernel = document["parties"][2].as_object().unwrap();
    for absent in [
        "memory",
        "disk",
        "network",
        "accelerators",
        "pressure",
        "processes",
        "threads",
        "labels",
    ] {
        assert!(!kernel.contains_key(absent), "{absent}");
    }
    let blind = WindowUse {
        waits: None,
        ..window()
    };
    assert!(
        !serde_json::to_value(blame(&blind))
            .unwrap()
            .as_object()
            .unwrap()
            .contains_key("waits")
    );
}

#[test]
fn a_pod_stands_beside_its_container() {
    let mut party = (*container("web")).clone();
    party.pod = Some(Pod {
        namespace: Some("shop".into()),
        name: Some("web-0".into()),
        container: Some("app".into()),
        uid: None,
    });
    let document = serde_json::to_value(super::PartyDocument::from(&party)).unwrap();
    assert_eq!(
        document["pod"],
        json!({"namespace": "shop", "name": "web-0", "container": "app"})
    );
}

#[test]
fn a_window_that_was_cut_short_or_sampled_says_so() {
    let mut short = window();
    short.length = Nanos::from_seconds(3.2);
    short.fidelity = Fidelity::Sampled(0.25);
    let document = serde_json::to_value(blame(&short)).unwrap();
    assert_eq!(document["window"]["requested_seconds"], 10.0);
    assert_eq!(
        document["governor"],
        json!({"state": "sampling", "sampled_fraction": 0.25})
    );
}

#[test]
fn a_row_of_a_party_that_is_not_there_is_passed_over() {
    let mut window = window();
    if let Some(waits) = &mut window.waits {
        waits[0].party = 99;
    }
    assert_eq!(blame(&window).waits, Some(vec![]));
}

#[test]
fn victims_can_be_singled_out() {
    let mut document = blame(&window());
    document.retain_victims(|party| party.name == "cache");
    assert!(document.verdicts.is_empty() && document.waits.is_some_and(|rows| rows.is_empty()));
    assert_eq!(document.cleared.len(), 1);
}

#[test]
fn every_document_can_be_read_back() {
    let blame = blame(&window());
    let text = serde_json::to_string(&blame).unwrap();
    assert_eq!(serde_json::from_str::<BlameDocument>(&text).unwrap(), blame);
    assert_eq!(
        blame.verdicts[0].facts["limit"],
        FactValue::Text("cpu.max".into())
    );

    let ps = PsDocument::from_parts(&window(), Nanos::from_seconds(10.0));
    let text = serde_json::to_string(&ps)
        .unwrap()
        .replacen('{', "{\"new_field\":1,", 1);
    assert_eq!(serde_json::from_str::<PsDocument>(&text).unwrap(), ps);
}

#[test]
fn doctor_has_the_names_of_the_contract() {
    let check = CheckDocument {
        name: "n".into(),
        status: "degraded".into(),
        detail: "d".into(),
        remedy: Some("r".into()),
    };
    assert_eq!(
        serde_json::to_value(DoctorDocument::new(vec![check])).unwrap(),
        json!({
            "schema": "dunnage.doctor/1",
            "checks": [{"name": "n", "status": "degraded", "detail": "d", "remedy": "r"}],
        })
    );
}

#[test]
fn why_has_the_names_of_the_contract() {
    let why = Why {
        party: container("web"),
        answers: vec![
            Answer {
                resource: Resource::Cpu,
                limited_by: Limiter::Cap,
                metric: Some(Metric {
                    name: "throttled_seconds",
                    value: 3.5,
                    unit: "seconds",
                    read_from: "/sys/fs/cgroup/docker/web/cpu.stat".into(),
                }),
                evidence: "e".into(),
                advice: Some("a".into()),
                culprits: Vec::new(),
                facts: BTreeMap::from([
                    ("throttled_seconds", Fact::Number(3.5)),
                    ("broken", Fact::Number(f64::INFINITY)),
                ]),
            },
            Answer {
                resource: Resource::Network,
                limited_by: Limiter::Unknown,
                metric: None,
                evidence: "e".into(),
                advice: None,
                culprits: Vec::new(),
                facts: BTreeMap::new(),
            },
        ],
        view: vec![Mismatch {
            what: "cpus",
            sees: 8.0,
            seen_in: "/proc/cpuinfo",
            may_use: Some(0.5),
            told_by: Some("/sys/fs/cgroup/docker/web/cpu.max".into()),
            unit: "CPUs",
            evidence: "e".into(),
        }],
    };
    let coverage = BTreeMap::from([(Resource::Cpu, Coverage::Exact)]);
    let requested = Nanos::from_seconds(10.0);
    let document = WhyDocument::from_parts(&window(), &why, &judgement(), &coverage, requested);
    let value = serde_json::to_value(&document).unwrap();
    let blame = serde_json::to_value(blame(&window())).unwrap();
    assert_eq!(
        value,
        json!({
            "schema": "dunnage.why/1",
            "host": host(),
            "window": {"start": "2026-11-21T07:00:00Z", "seconds": 10.0},
            "party": web(),
            "resources": [
                {
                    "resource": "cpu",
                    "limited_by": "cap",
                    "coverage": "exact",
                    "metric": {"name": "throttled_seconds", "value": 3.5, "unit": "seconds"},
                    "read_from": "/sys/fs/cgroup/docker/web/cpu.stat",
                    "evidence": "e",
                    "advice": "a",
                    "culprits": [],
                    "verdicts": blame["verdicts"],
                    "facts": {"throttled_seconds": 3.5},
                },
                {
                    "resource": "network",
                    "limited_by": "unknown",
                    "coverage": "none",
                    "evidence": "e",
                    "culprits": [],
                    "verdicts": [],
                    "facts": {},
                },
            ],
            "view": [{
                "what": "cpus", "sees": 8.0, "seen_in": "/proc/cpuinfo", "may_use": 0.5,
                "told_by": "/sys/fs/cgroup/docker/web/cpu.max", "unit": "CPUs", "evidence": "e",
            }],
            "gaps": [{"what": "docker", "why": "no answer"}],
        })
    );
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(
        serde_json::from_str::<WhyDocument>(&text).unwrap(),
        document
    );
}
