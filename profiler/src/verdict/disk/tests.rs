//! The judge by values: first those who accuse nobody.

use super::judge;
use crate::tests_support;
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{Blamed, DiskStall, Stalls, WindowUse};
use dunnage_model::verdict::{Cause, Judgement, Verdict};

/// A window of 10 s under construction; parties are numbers.
struct World {
    window: WindowUse,
}

/// What one party had of one device, in seconds.
#[derive(Default)]
struct Had<'a> {
    wait: f64,
    own: f64,
    shared: f64,
    needed: f64,
    blame: &'a [(usize, f64)],
    unexplained: f64,
}

impl World {
    fn new() -> World {
        World {
            window: WindowUse {
                stalls: Stalls {
                    disk: Some(Vec::new()),
                    ..Stalls::default()
                },
                ..tests_support::window(Vec::new())
            },
        }
    }

    fn party(&mut self, party: Party) -> usize {
        self.window
            .parties
            .push(tests_support::party_use(party, 0.0));
        self.window.parties.len() - 1
    }

    fn container(&mut self, name: &str) -> usize {
        let mut party = Party::new(format!("/{name}"), PartyKind::Container, name);
        party.engine = Some("docker".into());
        party.cgroup = Some(format!("/{name}"));
        self.party(party)
    }

    fn had(&mut self, party: usize, device: &str, had: &Had<'_>) {
        let blame = had.blame.iter();
        let stall = DiskStall {
            device: device.into(),
            blamed: Blamed {
                party,
                wait: Nanos::from_seconds(had.wait),
                own: Nanos::from_seconds(had.own),
                blame: blame.map(|(p, s)| (*p, Nanos::from_seconds(*s))).collect(),
                unexplained: Nanos::from_seconds(had.unexplained),
            },
            shared: Nanos::from_seconds(had.shared),
            waiting: Nanos::from_seconds(had.wait),
            needed: Nanos::from_seconds(had.needed),
            occupied: Nanos::from_seconds(had.own),
            synced: Nanos::ZERO,
            bytes: Bytes(1 << 30),
            requests: 1000,
        };
        self.window.stalls.disk.get_or_insert_default().push(stall);
    }

    fn judge(&self) -> Judgement {
        let judgement = judge(&self.window);
        for verdict in &judgement.verdicts {
            let shares: f64 = verdict.culprits.iter().map(|c| c.share).sum();
            assert!((shares + verdict.unexplained - 1.0).abs() < 1e-9);
        }
        judgement
    }

    fn only_verdict(&self) -> Verdict {
        let mut verdicts = self.judge().verdicts;
        assert_eq!(verdicts.len(), 1, "{verdicts:?}");
        verdicts.remove(0)
    }
}

fn names(verdict: &Verdict) -> Vec<&str> {
    let culprits = verdict.culprits.iter();
    culprits
        .map(|culprit| culprit.party.name.as_str())
        .collect()
}

#[test]
fn without_requests_nobody_is_accused() {
    assert!(World::new().judge().verdicts.is_empty());
}

#[test]
fn a_device_that_does_several_things_at_once_harms_nobody() {
    let mut world = World::new();
    let (web, batch) = (world.container("web"), world.container("batch"));
    // Behind eight of another's at any time, and as quick as alone.
    world.had(
        web,
        "nvme0n1",
        &Had {
            wait: 2.0,
            own: 0.25,
            shared: 0.25,
            needed: 1.95,
            blame: &[(batch, 1.75)],
            ..Had::default()
        },
    );
    world.had(
        batch,
        "nvme0n1",
        &Had {
            wait: 60.0,
            own: 58.0,
            shared: 50.0,
            needed: 50.0,
            blame: &[(web, 2.0)],
            ..Had::default()
        },
    );
    assert!(world.judge().verdicts.is_empty());
}

#[test]
fn equals_share_a_device() {
    let mut world = World::new();
    let (one, other) = (world.container("one"), world.container("other"));
    world.had(
        one,
        "sda",
        &Had {
            wait: 10.0,
            own: 4.7,
            shared: 4.7,
            needed: 4.0,
            blame: &[(other, 5.3)],
            ..Had::default()
        },
    );
    world.had(
        other,
        "sda",
        &Had {
            wait: 10.0,
            own: 5.3,
            shared: 5.3,
            needed: 4.0,
            blame: &[(one, 4.7)],
            ..Had::default()
        },
    );
    let judgement = world.judge();
    assert!(judgement.verdicts.is_empty());
    assert_eq!(judgement.cleared.len(), 2);
}

#[test]
fn a_big_user_of_another_device_is_cleared() {
    let mut world = World::new();
    let (web, batch, log) = (
        world.container("web"),
        world.container("batch"),
        world.container("log"),
    );
    world.had(
        web,
        "sda",
        &Had {
            wait: 5.0,
            own: 0.5,
            shared: 0.4,
            needed: 0.5,
            blame: &[(log, 4.5)],
            ..Had::default()
        },
    );
    world.had(
        log,
        "sda",
        &Had {
            wait: 9.0,
            own: 8.5,
            shared: 4.0,
            needed: 8.0,
            blame: &[(web, 0.5)],
            ..Had::default()
        },
    );
    world.had(
        batch,
        "sdb",
        &Had {
            wait: 300.0,
            own: 300.0,
            needed: 300.0,
            ..Had::default()
        },
    );
    let judgement = world.judge();
    assert_eq!(names(&judgement.verdicts[0]), ["log"]);
    assert_eq!(judgement.cleared[0].party.name, "batch");
    assert!(
        judgement.cleared[0].why.contains("other devices"),
        "{}",
        judgement.cleared[0].why
    );
}

#[test]
fn who_had_more_of_the_device_is_named_with_its_part() {
    let mut world = World::new();
    let (web, scan, copy, small) = (
        world.container("web"),
        world.container("scan"),
        world.container("copy"),
        world.container("small"),
    );
    world.had(
        web,
        "sda",
        &Had {
            wait: 10.0,
            own: 0.5,
            shared: 0.5,
            needed: 0.4,
            blame: &[(scan, 6.0), (copy, 3.0), (small, 0.5)],
            ..Had::default()
        },
    );
    let verdict = world.only_verdict();
    assert_eq!(verdict.cause, Cause::Neighbour);
    assert_eq!(names(&verdict), ["scan", "copy"]);
    assert!((verdict.culprits[0].share - 2.0 / 3.0).abs() < 1e-6);
    assert!((verdict.harm.seconds() - 9.0).abs() < 1e-6);
    assert!(
        verdict.evidence.contains("scan and copy"),
        "{}",
        verdict.evidence
    );
    assert!(
        verdict.advice.contains("--device-write-bps /dev/sda"),
        "{}",
        verdict.advice
    );
}

#[test]
fn what_nobody_can_be_named_for_is_shown() {
    let mut world = World::new();
    let (web, scan) = (world.container("web"), world.container("scan"));
    world.had(
        web,
        "sda",
        &Had {
            wait: 10.0,
            own: 1.0,
            shared: 1.0,
            needed: 1.0,
            blame: &[(scan, 6.0)],
            unexplained: 3.0,
        },
    );
    let verdict = world.only_verdict();
    assert!((verdict.unexplained - 1.0 / 3.0).abs() < 1e-6);
    assert!(verdict.confidence < 0.67);
}

#[test]
fn stacked_devices_count_once() {
    let mut world = World::new();
    let (web, scan) = (world.container("web"), world.container("scan"));
    world.had(
        web,
        "dm-0",
        &Had {
            wait: 6.0,
            own: 1.0,
            shared: 1.0,
            needed: 1.0,
            blame: &[(scan, 5.0)],
            ..Had::default()
        },
    );
    world.had(
        web,
        "vda",
        &Had {
            wait: 5.0,
            own: 1.0,
            shared: 1.0,
            needed: 1.0,
            blame: &[(scan, 4.0)],
            ..Had::default()
        },
    );
    let verdict = world.only_verdict();
    assert!((verdict.harm.seconds() - 5.0).abs() < 1e-6);
}

#[test]
fn a_service_is_the_host() {
    let mut world = World::new();
    let web = world.container("web");
    let backup = world.party(Party::new(
        "/backup.service",
        PartyKind::Service,
        "backup.service",
    ));
    world.had(
        web,
        "sda",
        &Had {
            wait: 4.0,
            own: 0.5,
            shared: 0.5,
            needed: 0.5,
            blame: &[(backup, 3.5)],
            ..Had::default()
        },
    );
    assert_eq!(world.only_verdict().cause, Cause::Host);
}

#[test]
fn the_kernel_answers_for_a_large_part_only() {
    let mut world = World::new();
    let web = world.container("web");
    let kernel = world.party(Party::kernel());
    world.had(
        web,
        "sda",
        &Had {
            wait: 1.0,
            own: 0.2,
            shared: 0.2,
            needed: 0.7,
            blame: &[(kernel, 0.8)],
            ..Had::default()
        },
    );
    assert!(world.judge().verdicts.is_empty());
    world.had(
        web,
        "sdb",
        &Had {
            wait: 4.0,
            own: 0.2,
            shared: 0.2,
            needed: 0.7,
            blame: &[(kernel, 3.8)],
            ..Had::default()
        },
    );
    assert_eq!(world.only_verdict().cause, Cause::Host);
}
