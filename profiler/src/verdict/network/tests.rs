//! Labelled windows: first those in which nobody may be accused.

use super::{coverage, judge};
use crate::tests_support;
use dunnage_model::party::{Party, PartyKind, Pod};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{Blamed, LinkStall, Stalls, WindowUse};
use dunnage_model::verdict::{Cause, Coverage, Fact, Judgement, Verdict};
use proptest::prelude::*;

const SECONDS: f64 = 10.0;

/// A window under construction; parties are numbers.
struct World(WindowUse);

impl World {
    fn new(names: &[&str]) -> World {
        let mut world = World(WindowUse {
            length: Nanos::from_seconds(SECONDS),
            stalls: Stalls {
                network: Some(Vec::new()),
                ..Stalls::default()
            },
            ..tests_support::window(Vec::new())
        });
        for name in names {
            world.add(Party::new(format!("/{name}"), PartyKind::Container, *name));
        }
        world
    }

    fn add(&mut self, party: Party) -> usize {
        self.0.parties.push(tests_support::party_use(party, 0.0));
        self.0.parties.len() - 1
    }

    /// `party` sent so many megabytes through `device`, and had packets in its queue for the sum of
    /// what is blamed, on others and on itself.
    fn sends(
        &mut self,
        device: &str,
        party: usize,
        megabytes: f64,
        own: f64,
        blame: &[(usize, f64)],
    ) -> &mut LinkStall {
        let named: f64 = blame.iter().map(|(_, seconds)| seconds).sum();
        let rows = self.0.stalls.network.as_mut().unwrap();
        rows.push(LinkStall {
            device: device.into(),
            discipline: "tbf".into(),
            handle: 0x8001_0000,
            shaped: true,
            blamed: Blamed {
                party,
                wait: Nanos::from_seconds(own + named),
                own: Nanos::from_seconds(own),
                blame: blame
                    .iter()
                    .map(|(culprit, seconds)| (*culprit, Nanos::from_seconds(*seconds)))
                    .collect(),
                unexplained: Nanos::ZERO,
            },
            bytes: Bytes(Nanos::from_seconds(megabytes * 1e-3).0),
            packets: Nanos::from_seconds(megabytes * 1e-6).0,
            longest: Nanos::from_seconds(0.05),
            dropped: 0,
            dropped_bytes: Bytes(0),
        });
        rows.last_mut().unwrap()
    }

    fn judge(&self) -> Judgement {
        judge(&self.0)
    }
}

/// Verdicts against somebody else.
fn accusations(judgement: &Judgement) -> Vec<&Verdict> {
    judgement
        .verdicts
        .iter()
        .filter(|verdict| verdict.cause != Cause::Itself)
        .collect()
}

fn culprits(verdict: &Verdict) -> Vec<(&str, f64)> {
    verdict
        .culprits
        .iter()
        .map(|culprit| (culprit.party.name.as_str(), culprit.share))
        .collect()
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

#[test]
fn without_the_source_there_is_no_coverage_and_no_verdict() {
    let mut world = World::new(&["web"]);
    world.0.stalls.network = None;
    assert_eq!(coverage(&world.0), Coverage::None);
    assert!(world.judge().verdicts.is_empty());
    world.0.stalls.network = Some(Vec::new());
    assert_eq!(coverage(&world.0), Coverage::Exact);
    assert!(world.judge().verdicts.is_empty());
}

#[test]
fn a_busy_link_in_which_nobody_waits_accuses_nobody() {
    let mut world = World::new(&["web", "batch"]);
    world.sends("eth0", A, 1.0, 0.01, &[(B, 0.05)]);
    world.sends("eth0", B, 900.0, 0.5, &[(A, 0.01)]);
    let judgement = world.judge();
    assert!(judgement.verdicts.is_empty(), "{judgement:?}");
    let cleared: Vec<&str> = judgement.cleared.iter().map(|c| &*c.party.name).collect();
    assert_eq!(cleared, ["batch"]);
}

#[test]
fn equal_senders_share_and_accuse_nobody() {
    let mut world = World::new(&["web", "batch"]);
    world.sends("eth0", A, 12.0, 4.8, &[(B, 5.0)]);
    world.sends("eth0", B, 13.0, 5.0, &[(A, 4.8)]);
    assert!(accusations(&world.judge()).is_empty());
}

#[test]
fn a_sender_on_another_link_is_cleared() {
    let mut world = World::new(&["web", "batch"]);
    world.sends("eth0", A, 12.0, 8.0, &[]);
    world.sends("eth1", B, 500.0, 9.0, &[]);
    let judgement = world.judge();
    assert!(accusations(&judgement).is_empty());
    assert!(
        judgement
            .cleared
            .iter()
            .any(|cleared| cleared.party.name == "batch" && cleared.why.contains("eth1"))
    );
}

#[test]
fn the_smaller_sender_is_not_accused_by_the_larger() {
    let mut world = World::new(&["web", "batch"]);
    world.sends("eth0", A, 2.0, 0.5, &[(B, 8.0)]);
    world.sends("eth0", B, 20.0, 8.0, &[(A, 0.5)]);
    let judgement = world.judge();
    let found = accusations(&judgement);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].victim.name, "web");
}

#[test]
fn packets_that_nobody_can_be_named_for_accuse_nobody_and_are_no_victim() {
    let mut world = World::new(&["web"]);
    let nobody = world.add(Party::new(
        "?unattributed",
        PartyKind::Service,
        "unattributed",
    ));
    world.sends("eth0", A, 1.0, 0.1, &[(nobody, 8.0)]);
    world.sends("eth0", nobody, 50.0, 1.0, &[(A, 5.0)]);
    assert!(accusations(&world.judge()).is_empty());
}

/// Before the first packets of a flood have woken those who note whose packets are routed, they are
/// nobody's: whoever is known to have sent something then must not stand for the flood, nor the victim.
#[test]
fn a_flood_that_is_not_known_yet_is_neither_the_known_senders_nor_the_victims() {
    let mut world = World::new(&["web", "light"]);
    let unknown = world.add(Party::new(
        "?unattributed",
        PartyKind::Service,
        "unattributed",
    ));
    let row = world.sends("eth0", A, 1.0, 0.1, &[(B, 0.2)]);
    row.blamed.unexplained = Nanos::from_seconds(6.0);
    row.blamed.wait += Nanos::from_seconds(6.0);
    world.sends("eth0", B, 2.0, 0.1, &[(A, 0.1)]);
    world.sends("eth0", unknown, 90.0, 9.0, &[(A, 0.1), (B, 0.1)]);
    let judgement = world.judge();
    assert!(judgement.verdicts.is_empty(), "{judgement:?}");
}

#[test]
fn a_flood_is_accused_by_the_light_sender_behind_it() {
    let mut world = World::new(&["web", "batch"]);
    world.sends("eth0", A, 0.1, 0.05, &[(B, 8.0)]);
    world.sends("eth0", B, 24.0, 9.5, &[(A, 0.05)]);
    let judgement = world.judge();
    let found = accusations(&judgement);
    assert_eq!(found.len(), 1, "{judgement:?}");
    let verdict = found[0];
    assert_eq!(culprits(verdict), [("batch", 1.0)]);
    assert!((verdict.harm.seconds() - 8.0).abs() < 1e-6);
    assert!((verdict.fraction - 8.0 / 10.0).abs() < 0.01);
    assert!(verdict.confidence > 0.9);
    assert!(
        verdict
            .advice
            .contains("tc qdisc add dev eth0 parent 8001:1 fq_codel"),
        "{}",
        verdict.advice
    );
    assert_eq!(
        verdict.facts.get("device"),
        Some(&Fact::Text("eth0".into()))
    );
}

#[test]
fn two_floods_share_the_blame_by_what_they_sent_meanwhile() {
    let mut world = World::new(&["web", "batch", "backup"]);
    world.sends("eth0", A, 0.1, 0.05, &[(B, 6.0), (C, 2.0)]);
    world.sends("eth0", B, 18.0, 7.0, &[(C, 2.5)]);
    let third = world.sends("eth0", C, 7.0, 2.5, &[(B, 7.0)]);
    third.dropped_bytes = Bytes(7_000_000);
    let judgement = world.judge();
    let verdict = accusations(&judgement)
        .into_iter()
        .find(|verdict| verdict.victim.name == "web")
        .unwrap();
    assert_eq!(culprits(verdict), [("batch", 0.75), ("backup", 0.25)]);
}

#[test]
fn who_stays_within_an_equal_part_beside_a_flood_is_not_accused() {
    let mut world = World::new(&["web", "batch", "cache"]);
    world.sends("eth0", A, 0.1, 0.05, &[(B, 6.0), (C, 1.0)]);
    world.sends("eth0", B, 20.0, 8.0, &[(C, 1.0)]);
    world.sends("eth0", C, 4.0, 1.0, &[(B, 7.0)]);
    let judgement = world.judge();
    for verdict in accusations(&judgement) {
        assert_eq!(culprits(verdict), [("batch", 1.0)]);
    }
    assert_eq!(accusations(&judgement).len(), 2);
}

#[test]
fn who_has_a_quarter_is_harmed_by_who_has_three() {
    let mut world = World::new(&["web", "batch"]);
    world.sends("eth0", A, 6.0, 2.4, &[(B, 7.4)]);
    world.sends("eth0", B, 18.0, 7.4, &[(A, 2.4)]);
    let judgement = world.judge();
    let found = accusations(&judgement);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].victim.name, "web");
}

#[test]
fn its_own_shaper_holds_it_back() {
    let mut world = World::new(&["web", "batch"]);
    world.sends("eth0 in net:[4026532100]", A, 12.0, 9.0, &[]);
    let judgement = world.judge();
    let [verdict] = &judgement.verdicts[..] else {
        panic!("{judgement:?}");
    };
    assert_eq!(verdict.cause, Cause::Itself);
    assert_eq!(verdict.facts.get("limit"), Some(&Fact::Text("tc".into())));
    assert_eq!(culprits(verdict), [("web", 1.0)]);
    assert!(
        verdict.advice.contains("tc qdisc change dev eth0 root tbf"),
        "{}",
        verdict.advice
    );
    // tc refuses a tbf without a burst and a latency.
    assert!(
        verdict.advice.contains("with the other words"),
        "{}",
        verdict.advice
    );
}

#[test]
fn a_full_device_without_a_shaper_is_no_limit_that_somebody_set() {
    let mut world = World::new(&["web"]);
    let stall = world.sends("eth0", A, 1200.0, 9.0, &[]);
    stall.shaped = false;
    stall.discipline = "fq_codel".into();
    let judgement = world.judge();
    assert_eq!(judgement.verdicts[0].cause, Cause::Itself);
    assert_eq!(judgement.verdicts[0].facts.get("limit"), None);
}

#[test]
fn a_service_is_the_host_and_a_pod_is_told_its_annotation() {
    let mut world = World::new(&["web"]);
    let backup = world.add(Party::new(
        "/backup.service",
        PartyKind::Service,
        "backup.service",
    ));
    let mut pod = Party::new("/pod", PartyKind::Container, "batch");
    pod.pod = Some(Pod {
        namespace: Some("shop".into()),
        name: Some("batch-0".into()),
        container: Some("batch".into()),
        uid: None,
    });
    let pod = world.add(pod);
    world.sends("eth0", A, 0.1, 0.05, &[(backup, 3.0), (pod, 5.0)]);
    world.sends("eth0", backup, 9.0, 3.0, &[]);
    world.sends("eth0", pod, 15.0, 5.0, &[]);
    let judgement = world.judge();
    let of = |cause| {
        let mut all = judgement.verdicts.iter();
        all.find(|v| v.cause == cause && v.victim.name == "web")
            .unwrap()
    };
    assert_eq!(culprits(of(Cause::Host)), [("backup.service", 1.0)]);
    assert_eq!(culprits(of(Cause::Neighbour)), [("batch", 1.0)]);
    assert!(
        of(Cause::Neighbour)
            .advice
            .contains("kubernetes.io/egress-bandwidth")
    );
}

#[test]
fn a_name_that_a_shell_would_take_apart_is_in_no_command() {
    let mut world = World::new(&["web", "batch"]);
    world.sends("a;reboot", A, 0.1, 0.05, &[(B, 8.0)]);
    world.sends("a;reboot", B, 24.0, 9.5, &[]);
    let judgement = world.judge();
    let advice = &accusations(&judgement)[0].advice;
    assert!(!advice.contains("reboot"), "{advice}");
}

proptest! {
    #[test]
    fn whatever_was_waited_the_verdicts_are_well_formed(
        rows in proptest::collection::vec(
            (0..3_usize, 0..4_usize, 0.0..1e4_f64, 0.0..10.0_f64, 0..4_usize, 0.0..10.0_f64), 0..12),
    ) {
        let mut world = World::new(&["a", "b", "c", "d"]);
        for (device, party, megabytes, own, culprit, seconds) in rows {
            let blame: &[(usize, f64)] = &[(culprit, seconds)];
            let blame = if culprit == party { &[] } else { blame };
            world.sends(["eth0", "eth1", "eth2"][device], party, megabytes, own, blame);
        }
        for verdict in world.judge().verdicts {
            let shares: f64 = verdict.culprits.iter().map(|c| c.share).sum();
            prop_assert!((shares + verdict.unexplained - 1.0).abs() < 1e-6);
            prop_assert!((0.0..=1.0).contains(&verdict.fraction));
            prop_assert!((0.0..=1.0).contains(&verdict.confidence));
            prop_assert!(verdict.cause == Cause::Itself
                || verdict.culprits.iter().all(|c| c.party.key != verdict.victim.key));
        }
    }
}
