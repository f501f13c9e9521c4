//! CPUs on which more is wanted than there is: who wants it, and who only waits there.

use super::super::judge;
use super::world::{World, accusations, verdict};
use dunnage_model::party::PartyKind;
use dunnage_model::units::Nanos;
use dunnage_model::verdict::Cause::{self, Neighbour};

/// `victim` waited on a CPU behind each of these for so many seconds.
fn waited(world: &mut World, victim: usize, cpu: u32, behind: &[(usize, f64)]) {
    for (other, seconds) in behind {
        world.waited(victim, *other, cpu, *seconds);
    }
}

fn said(world: World) -> Vec<(String, Cause, Vec<String>)> {
    let mut said = accusations(&judge(&world.exact()));
    said.sort();
    said
}

fn harms(victim: &str, culprit: &str) -> (String, Cause, Vec<String>) {
    (victim.to_owned(), Neighbour, vec![culprit.to_owned()])
}

/// Three threads of equal weight on one CPU and two on the other: the scheduler put them there.
#[test]
fn spinners_on_two_cpus_that_had_as_much_where_they_met_took_nothing() {
    let mut world = World::new(2, 1.0);
    let (web, api, batch) = (
        world.container("web"),
        world.container("api"),
        world.container("batch"),
    );
    let cache = world.at(PartyKind::Container, "cache", "/cache", &[200.0]);
    for party in [web, api, cache] {
        world.ran(party, 0, 0.33);
    }
    world.ran(batch, 1, 0.46);
    world.ran(cache, 1, 0.54);
    waited(&mut world, web, 0, &[(api, 0.33), (cache, 0.33)]);
    waited(&mut world, api, 0, &[(web, 0.33), (cache, 0.33)]);
    waited(&mut world, cache, 0, &[(web, 0.33), (api, 0.33)]);
    waited(&mut world, cache, 1, &[(batch, 0.46)]);
    waited(&mut world, batch, 1, &[(cache, 0.54)]);
    for party in [web, api, batch, cache] {
        world.row(party).waits = 200;
        world.row(party).wakes = 1;
    }
    assert_eq!(said(world), []);
}

/// A giant with the weight for what it uses, a light neighbour, and one that takes the rest.
fn giant() -> World {
    let mut world = World::new(2, 1.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    let giant = world.at(PartyKind::Container, "giant", "/giant", &[800.0]);
    world.ran(web, 0, 0.2);
    world.ran(giant, 0, 0.5);
    world.ran(batch, 0, 0.3);
    waited(&mut world, web, 0, &[(batch, 0.3), (giant, 0.25)]);
    waited(&mut world, giant, 0, &[(batch, 0.2), (web, 0.08)]);
    waited(
        &mut world,
        batch,
        0,
        &[(batch, 0.9), (web, 0.8), (giant, 2.0)],
    );
    for (party, wakes) in [(web, 25), (giant, 125), (batch, 1)] {
        world.row(party).waits = 150;
        world.row(party).wakes = wakes;
    }
    world
}

#[test]
fn who_rests_takes_nothing_from_another_who_rests_where_a_third_takes_the_rest() {
    assert_eq!(
        said(giant()),
        [harms("giant", "batch"), harms("web", "batch")]
    );
}

/// Each of fifty that come for a moment waits as long as a time slice.
#[test]
fn bystanders_who_wait_want_no_more_than_they_had() {
    let mut world = World::new(2, 1.0);
    let (web, batch, cache) = (
        world.container("web"),
        world.container("batch"),
        world.container("cache"),
    );
    world.ran(web, 0, 0.2);
    world.ran(batch, 0, 0.77);
    world.ran(cache, 1, 0.97);
    waited(&mut world, web, 0, &[(batch, 0.25)]);
    world.row(web).waits = 60;
    world.row(web).wakes = 25;
    waited(&mut world, batch, 0, &[(web, 0.2), (batch, 0.8)]);
    world.row(batch).waits = 300;
    world.row(batch).wakes = 1;
    for number in 0..50 {
        let light = world.container(&format!("light-{number}"));
        world.ran(light, 0, 0.0006);
        world.ran(light, 1, 0.0006);
        waited(&mut world, light, 0, &[(batch, 0.008)]);
        waited(&mut world, light, 1, &[(cache, 0.008)]);
        world.row(light).waits = 7;
        world.row(light).wakes = 7;
    }
    let judgement = judge(&world.exact());
    assert_eq!(accusations(&judgement), [harms("web", "batch")]);
    assert!(verdict(&judgement, "web", Neighbour).confidence > 0.9);
}

/// The hypervisor has the CPU for a moment while the shop is on it: whoever wakes up there meanwhile waits,
/// behind the shop by the scheduler's books. Read on a real host with neighbours of its own.
#[test]
fn what_the_hypervisor_may_have_taken_is_no_neighbours_doing() {
    for (stolen, expected) in [
        (0.0, vec![harms("idle", "shop")]),
        (0.01, vec![harms("idle", "shop")]),
        (0.07, vec![]),
        (0.3, vec![]),
    ] {
        let mut world = World::new(2, 1.0);
        let (idle, shop) = (world.container("idle"), world.container("shop"));
        world.ran(shop, 0, 0.95);
        world.ran(idle, 0, 0.002);
        waited(&mut world, idle, 0, &[(shop, 0.072)]);
        world.row(idle).waits = 1;
        world.row(idle).wakes = 1;
        world.window.machine.steal = Nanos::from_seconds(stolen);
        let judgement = judge(&world.exact());
        assert_eq!(accusations(&judgement), expected, "{stolen} s stolen");
        let why = judgement.cleared.iter().find(|c| c.party.name == "shop");
        let why = why.map(|cleared| cleared.why.as_str());
        let reason = "the hypervisor took as much as idle waited";
        assert_eq!(why, expected.is_empty().then_some(reason));
    }
}

/// Who has more of the CPU than an equal part, and rests now and then, is still above its share beside
/// one who never does.
#[test]
fn a_heavy_neighbour_that_rests_is_above_its_share_all_the_same() {
    let mut world = World::new(1, 1.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    world.ran(web, 0, 0.25);
    world.ran(batch, 0, 0.75);
    waited(&mut world, web, 0, &[(batch, 0.7)]);
    waited(&mut world, batch, 0, &[(web, 0.1)]);
    for (party, wakes) in [(web, 2), (batch, 20)] {
        world.row(party).waits = 100;
        world.row(party).wakes = wakes;
    }
    assert_eq!(said(world), [harms("web", "batch")]);
}

/// Three threads that come twice a second for 80 ms, beside requests and a light one: read on a real host.
/// In its bursts the culprit wants all there is; that it rests in between says nothing against that.
#[test]
fn bursts_of_one_that_uses_least_of_all_are_found() {
    let mut world = World::new(2, 1.0);
    let (web, log, batch) = (
        world.container("web"),
        world.container("log"),
        world.container("batch"),
    );
    world.ran(web, 0, 0.336);
    world.ran(log, 0, 0.1);
    world.ran(batch, 0, 0.0899);
    waited(&mut world, web, 0, &[(log, 0.0374), (batch, 0.0330)]);
    waited(&mut world, log, 0, &[(web, 0.0602), (batch, 0.0171)]);
    waited(
        &mut world,
        batch,
        0,
        &[(batch, 0.1793), (web, 0.1758), (log, 0.0585)],
    );
    for (party, waits, wakes) in [(web, 120, 83), (log, 100, 100), (batch, 60, 6)] {
        world.row(party).waits = waits;
        world.row(party).wakes = wakes;
    }
    let said = said(world);
    assert!(said.contains(&harms("web", "batch")), "{said:?}");
}

/// A storm of forks that ended a moment before the window did: read on a real host. What it did not use of
/// its share was nobody's.
#[test]
fn who_left_a_moment_before_the_end_had_its_share_all_the_same() {
    let mut world = World::new(1, 1.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    world.ran(web, 0, 0.2011);
    world.ran(batch, 0, 0.7176);
    waited(&mut world, web, 0, &[(batch, 0.1534)]);
    waited(&mut world, batch, 0, &[(batch, 2.2532), (web, 0.7696)]);
    for (party, waits, wakes) in [(web, 99, 25), (batch, 957, 1)] {
        world.row(party).waits = waits;
        world.row(party).wakes = wakes;
    }
    assert_eq!(said(world), [harms("web", "batch")]);
}

/// The same CPU full to the end, and another that has most of it: who got little of its share took nothing.
#[test]
fn who_got_little_of_its_share_is_not_among_the_takers() {
    let mut world = World::new(1, 1.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    let giant = world.at(PartyKind::Container, "giant", "/giant", &[100.0]);
    world.ran(web, 0, 0.1);
    world.ran(batch, 0, 0.25);
    world.ran(giant, 0, 0.65);
    waited(&mut world, web, 0, &[(batch, 0.05), (giant, 0.1)]);
    waited(&mut world, batch, 0, &[(giant, 0.65), (web, 0.1)]);
    waited(&mut world, giant, 0, &[(batch, 0.25), (web, 0.1)]);
    for (party, wakes) in [(web, 25), (batch, 1), (giant, 1)] {
        world.row(party).waits = 150;
        world.row(party).wakes = wakes;
    }
    assert_eq!(
        said(world),
        [harms("batch", "giant"), harms("web", "giant")]
    );
}
