//! Trees of weights, cpusets and large machines: scenes from plain numbers.

use super::world::{World, accusations, number, verdict, why};
use crate::verdict::judge;
use dunnage_model::party::PartyKind;
use dunnage_model::verdict::Cause::{self, Host, Neighbour};

/// A Kubernetes host with one full CPU: web is light; a pod and a service beside it are not.
/// kubepods has nine times the weight of system.slice.
fn pods_and_services(batch_ran: f64, backup_ran: f64) -> World {
    let mut world = World::new(1, 10.0);
    let web = world.at(PartyKind::Container, "web", "/kubepods/web", &[900.0]);
    let batch = world.at(PartyKind::Container, "batch", "/kubepods/batch", &[900.0]);
    let backup = world.at(
        PartyKind::Service,
        "backup",
        "/system.slice/backup",
        &[100.0],
    );
    let web_ran = 10.0 - batch_ran - backup_ran;
    for (party, ran) in [(web, web_ran), (batch, batch_ran), (backup, backup_ran)] {
        world.ran(party, 0, ran);
    }
    world.waited(web, batch, 0, 0.15 * batch_ran);
    world.waited(web, backup, 0, 0.15 * backup_ran);
    for (waiting, running, seconds) in [
        (batch, web, web_ran),
        (batch, backup, backup_ran),
        (backup, web, web_ran),
        (backup, batch, batch_ran),
    ] {
        world.waited(waiting, running, 0, seconds);
    }
    world
}

#[test]
fn a_slice_within_its_small_weight_is_not_accused_for_a_hog_inside_the_other() {
    let judgement = judge(&pods_and_services(7.0, 1.0).exact());
    assert_eq!(
        accusations(&judgement),
        [("web".into(), Neighbour, vec!["batch".into()])]
    );
    assert!(
        why(&judgement, "backup").is_some_and(|why| why.starts_with("stayed within its share"))
    );
}

#[test]
fn a_slice_above_its_small_weight_is() {
    let judgement = judge(&pods_and_services(1.0, 7.0).exact());
    let accused = accusations(&judgement);
    assert!(
        accused.contains(&("web".into(), Host, vec!["backup".into()])),
        "{accused:?}"
    );
    assert!(
        accused.contains(&("batch".into(), Host, vec!["backup".into()])),
        "{accused:?}"
    );
}

#[test]
fn a_crowd_in_one_slice_does_not_outvote_the_other() {
    // Ten spinners in a.slice and one in b.slice, slices of one weight: b's has half of the CPU.
    let mut world = World::new(1, 10.0);
    let many: Vec<usize> = (0..10)
        .map(|i| {
            world.at(
                PartyKind::Container,
                &format!("a{i}"),
                &format!("/a.slice/a{i}"),
                &[],
            )
        })
        .collect();
    let one = world.at(PartyKind::Container, "one", "/b.slice/one", &[]);
    for party in &many {
        world.ran(*party, 0, 0.5);
        world.waited(*party, one, 0, 5.0);
        for other in many.iter().filter(|other| *other != party) {
            world.waited(*party, *other, 0, 0.5);
        }
        world.waited(one, *party, 0, 0.5);
    }
    world.ran(one, 0, 5.0);
    assert_eq!(accusations(&judge(&world.exact())), []);
}

#[test]
fn a_heavy_victim_accuses_only_who_is_above_its_share() {
    // Equal weights on 12 s of one CPU: 3, 4 and 5 s.
    let mut world = World::new(1, 12.0);
    let parties = [("low", 3.0), ("even", 4.0), ("high", 5.0)]
        .map(|(name, ran)| (world.container(name), ran));
    for (party, ran) in parties {
        world.ran(party, 0, ran);
        for (other, other_ran) in parties.iter().filter(|(other, _)| *other != party) {
            world.waited(party, *other, 0, *other_ran);
        }
    }
    assert_eq!(
        accusations(&judge(&world.exact())),
        [("low".into(), Neighbour, vec!["high".into()])]
    );
}

#[test]
fn many_hogs_on_a_large_machine_are_all_named_though_each_is_hardly_above_its_share() {
    let mut world = World::new(8, 10.0);
    let (web, a, b) = (
        world.container("web"),
        world.container("a"),
        world.container("b"),
    );
    for cpu in 0..8 {
        let of_web = if cpu == 0 { 3.0 } else { 0.0 };
        world.ran(a, cpu, (10.0 - of_web) * 0.505);
        world.ran(b, cpu, (10.0 - of_web) * 0.495);
        world.waited(a, b, cpu, 5.0);
        world.waited(b, a, cpu, 5.0);
    }
    world.ran(web, 0, 3.0);
    world.waited(web, a, 0, 0.5);
    world.waited(web, b, 0, 0.5);
    let judgement = judge(&world.exact());
    let verdict = verdict(&judgement, "web", Neighbour);
    assert_eq!(verdict.culprits.len(), 2);
    assert!((number(verdict, "entitled_seconds").unwrap() - 4.0).abs() < 0.1);
}

#[test]
fn a_cpuset_makes_one_cpu_of_many_the_whole_world() {
    let mut world = World::new(16, 10.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    world.cpuset(web, "3");
    world.cpuset(batch, "3");
    world.ran(web, 3, 2.0);
    world.ran(batch, 3, 8.0);
    world.waited(web, batch, 3, 1.5);
    world.waited(batch, web, 3, 2.0);
    let judgement = judge(&world.exact());
    assert_eq!(
        accusations(&judgement),
        [("web".into(), Neighbour, vec!["batch".into()])]
    );
    let advice = &verdict(&judgement, "web", Cause::Neighbour).advice;
    assert!(advice.ends_with("or move it off CPUs 3"), "{advice}");
}

#[test]
fn a_sibling_busy_on_another_cpu_takes_nothing_from_a_container_s_claim() {
    // web and cache are in one parent; cache spins on CPU 1, a command of the host beside web on 0.
    let mut world = World::new(2, 10.0);
    let web = world.at(PartyKind::Container, "web", "/docker/web", &[]);
    let cache = world.at(PartyKind::Container, "cache", "/docker/cache", &[]);
    let make = world.root_command("make");
    world.ran(web, 0, 3.0);
    world.ran(make, 0, 7.0);
    world.ran(cache, 1, 10.0);
    world.waited(web, make, 0, 2.5);
    world.waited(make, web, 0, 3.0);
    let judgement = judge(&world.exact());
    assert_eq!(
        accusations(&judgement),
        [("web".into(), Host, vec!["make".into()])]
    );
    assert_eq!(
        why(&judgement, "cache"),
        Some("ran on CPUs that nobody waited for")
    );
}

#[test]
fn kernel_time_is_taken_out_before_the_shares() {
    // Half of the CPU is the kernel's; two equal spinners share the rest, and nobody accuses anyone.
    let mut world = World::new(1, 10.0);
    let (a, b, kernel) = (world.container("a"), world.container("b"), world.kernel());
    world.ran(kernel, 0, 5.0);
    for (party, other) in [(a, b), (b, a)] {
        world.ran(party, 0, 2.5);
        world.waited(party, other, 0, 2.5);
        world.waited(party, kernel, 0, 5.0);
    }
    let accused = accusations(&judge(&world.exact()));
    assert!(
        accused
            .iter()
            .all(|(_, cause, culprits)| *cause == Host && culprits == &["kernel"]),
        "{accused:?}"
    );
    assert_eq!(accused.len(), 2);
}

#[test]
fn a_window_of_two_seconds_is_enough() {
    let mut world = World::new(1, 2.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    world.ran(web, 0, 0.6);
    world.ran(batch, 0, 1.4);
    world.waited(web, batch, 0, 0.45);
    world.waited(batch, web, 0, 0.6);
    assert_eq!(
        accusations(&judge(&world.exact())),
        [("web".into(), Neighbour, vec!["batch".into()])]
    );
}

#[test]
fn a_thousand_parties_are_judged_in_bounded_time() {
    let mut world = World::new(64, 1.0);
    let parties: Vec<usize> = (0..1000)
        .map(|i| world.container(&format!("c{i}")))
        .collect();
    for (i, party) in parties.iter().enumerate() {
        let cpu = u32::try_from(i % 64).unwrap();
        world.ran(*party, cpu, 0.06);
        world.waited(*party, parties[(i + 64) % 1000], cpu, 0.06);
    }
    let window = world.exact();
    let begin = std::time::Instant::now();
    let judgement = judge(&window);
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    assert!(judgement.cleared.len() <= 16);
}

/// Three spinners on two CPUs: whole threads are moved, so one has a CPU nearly for itself for a while.
#[test]
fn of_three_spinners_on_two_cpus_none_is_accused_for_where_the_scheduler_put_it() {
    let mut w = World::new(2, 10.0);
    let (a, b, c) = (w.container("a"), w.container("b"), w.container("c"));
    for (party, other) in [(a, b), (b, a)] {
        w.ran(party, 0, 4.85);
        w.ran(party, 1, 0.35);
        w.waited(party, other, 0, 4.0);
        w.waited(party, c, 1, 0.8);
    }
    w.ran(c, 1, 9.3);
    w.ran(c, 0, 0.3);
    w.waited(c, a, 0, 0.2);
    assert_eq!(accusations(&judge(&w.exact())), []);
}
