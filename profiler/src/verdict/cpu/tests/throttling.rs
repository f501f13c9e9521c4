//! Quotas: whose limit it was, and who used it up.

use super::world::{World, accusations, number, text, verdict, why};
use crate::verdict::judge;
use dunnage_model::party::PartyKind;
use dunnage_model::verdict::Cause;

#[test]
fn an_own_quota_is_the_party_s_own_doing() {
    let mut world = World::new(2, 10.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    world.ran(web, 0, 5.0);
    world.held_by_quota(web, 0.5, 4.5, 90);
    world.ran(batch, 1, 10.0);
    let judgement = judge(&world.exact());
    assert_eq!(accusations(&judgement), []);
    let verdict = verdict(&judgement, "web", Cause::Itself);
    assert_eq!(text(verdict, "limit"), Some("cpu.max"));
    assert_eq!(number(verdict, "quota_cpus"), Some(0.5));
    assert!((verdict.harm.seconds() - 4.5).abs() < 1e-6);
    assert!((verdict.fraction - 4.5 / 9.5).abs() < 1e-6);
    assert!(
        verdict.advice.contains("docker update --cpus 1 web"),
        "{}",
        verdict.advice
    );
    assert_eq!(
        why(&judgement, "batch"),
        Some("ran on CPUs that nobody waited for")
    );
}

#[test]
fn throttling_that_only_the_files_tell_counts_with_less_confidence() {
    let mut world = World::new(2, 10.0);
    let web = world.container("web");
    world.ran(web, 0, 5.0);
    world.held_by_quota(web, 0.5, 4.5, 90);
    world.row(web).throttled = Default::default();
    let judgement = judge(&world.exact());
    let verdict = verdict(&judgement, "web", Cause::Itself);
    assert!(
        verdict.confidence < 0.9 && verdict.confidence > 0.5,
        "{}",
        verdict.confidence
    );
}

#[test]
fn a_parent_s_quota_used_up_by_a_sibling_is_the_sibling_s_doing() {
    let mut world = World::new(2, 10.0);
    let web = world.at(PartyKind::Container, "web", "/pod/web", &[]);
    let greedy = world.at(PartyKind::Container, "greedy", "/pod/greedy", &[]);
    let other = world.container("other");
    world.ran(web, 0, 1.0);
    world.ran(greedy, 1, 4.0);
    world.ran(other, 1, 5.0);
    world.held_by_parent(web, "/pod", 0.5, 3.0);
    world.held_by_parent(greedy, "/pod", 0.5, 5.0);
    let judgement = judge(&world.exact());
    assert_eq!(
        accusations(&judgement),
        [("web".into(), Cause::Neighbour, vec!["greedy".into()])]
    );
    let verdict = verdict(&judgement, "web", Cause::Neighbour);
    assert_eq!(text(verdict, "limit"), Some("cpu.max"));
    assert_eq!(text(verdict, "limit_cgroup"), Some("/pod"));
    assert!((verdict.harm.seconds() - 3.0).abs() < 1e-6);
}

#[test]
fn a_parent_s_quota_that_the_victim_used_up_is_its_own_doing() {
    let mut world = World::new(2, 10.0);
    let web = world.at(PartyKind::Container, "web", "/pod/web", &[]);
    let light = world.at(PartyKind::Container, "light", "/pod/light", &[]);
    world.ran(web, 0, 4.5);
    world.ran(light, 1, 0.5);
    world.held_by_parent(web, "/pod", 0.5, 3.0);
    let judgement = judge(&world.exact());
    assert_eq!(accusations(&judgement), []);
    let verdict = verdict(&judgement, "web", Cause::Itself);
    assert_eq!(text(verdict, "limit_cgroup"), Some("/pod"));
}

/// web has 0.4 of the CPU on which batch spins: in each period it waits for its turns, and is throttled then.
fn at_its_quota_beside_batch(waited: f64, throttled: f64) -> World {
    let mut world = World::new(2, 10.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    world.cpuset(web, "0");
    world.cpuset(batch, "0");
    world.ran(web, 0, 4.0);
    world.ran(batch, 0, 6.0);
    world.waited(web, batch, 0, waited);
    world.waited(batch, web, 0, 4.0);
    world.held_by_quota(web, 0.4, throttled, 95);
    world
}

#[test]
fn who_has_all_that_its_quota_allows_is_not_told_to_raise_its_weight() {
    let judgement = judge(&at_its_quota_beside_batch(3.32, 1.75).exact());
    assert_eq!(accusations(&judgement), []);
    let verdict = verdict(&judgement, "web", Cause::Itself);
    assert_eq!(text(verdict, "limit"), Some("cpu.max"));
    assert_eq!(
        verdict.evidence,
        "web was held back for 1.75 s in 10 s by its own quota of 0.40 CPUs"
    );
    assert!((verdict.harm.seconds() - 1.75).abs() < 1e-6, "{verdict:?}");
}

#[test]
fn losses_of_several_kinds_are_told_one_by_one() {
    let mut world = at_its_quota_beside_batch(0.0, 1.75);
    world.waited(0, 0, 0, 3.32);
    let judgement = judge(&world.exact());
    let at_quota = verdict(&judgement, "web", Cause::Itself);
    assert!(
        (at_quota.harm.seconds() - 5.07).abs() < 1e-6,
        "{at_quota:?}"
    );
    assert_eq!(text(at_quota, "limit"), Some("cpu.max"));
    assert_eq!(
        at_quota.evidence,
        "web was held back for 1.75 s in 10 s by its own quota of 0.40 CPUs; besides, it waited 3.32 s \
         behind its own threads"
    );

    // It met its quota in some periods, and had less than it allows over the whole.
    let mut world = at_its_quota_beside_batch(0.0, 1.75);
    world.claim(0).quota_cpus = Some(0.45);
    world.waited(0, 0, 0, 3.32);
    let judgement = judge(&world.exact());
    let verdict = verdict(&judgement, "web", Cause::Itself);
    assert!((verdict.harm.seconds() - 5.07).abs() < 1e-6, "{verdict:?}");
    assert_eq!(
        verdict.evidence,
        "web waited 3.32 s for a CPU in 10 s, 3.32 s of it behind its own threads: more of them want to \
         run than it has CPUs; besides, its own quota of 0.45 CPUs held it back for 1.75 s"
    );
}

#[test]
fn a_quota_and_a_neighbour_at_once_are_two_verdicts() {
    let mut world = World::new(1, 10.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    world.ran(web, 0, 2.0);
    world.ran(batch, 0, 8.0);
    world.waited(web, batch, 0, 1.5);
    world.held_by_quota(web, 0.5, 1.0, 20);
    let judgement = judge(&world.exact());
    assert_eq!(accusations(&judgement).len(), 1);
    assert!((verdict(&judgement, "web", Cause::Neighbour).harm.seconds() - 1.5).abs() < 1e-6);
    assert!((verdict(&judgement, "web", Cause::Itself).harm.seconds() - 1.0).abs() < 1e-6);
    assert!(
        judgement.verdicts[0].cause == Cause::Neighbour,
        "most harm first"
    );
}
