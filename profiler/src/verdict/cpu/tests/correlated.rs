//! Without the kernel-side part: pressure, use and cgroup files.

use super::world::{World, accusations, text, verdict};
use crate::verdict::{coverage, judge};
use dunnage_model::observation::Fidelity;
use dunnage_model::units::Nanos;
use dunnage_model::usage::WindowUse;
use dunnage_model::verdict::{Cause, Coverage, Resource};

/// web is stalled for 40 % of the window on a machine that is as busy as `batch` makes it.
fn stalled_beside(batch_ran: f64) -> WindowUse {
    let mut world = World::new(2, 10.0);
    let (web, batch, light) = (
        world.container("web"),
        world.container("batch"),
        world.container("light"),
    );
    world.ran(web, 0, 2.0);
    world.ran(batch, 0, batch_ran);
    world.ran(light, 0, 0.5);
    world.window.parties[web].pressure.cpu_some = Some(0.4);
    world.window.parties[batch].pressure.cpu_some = Some(0.8);
    world.window.parties[light].pressure.cpu_some = Some(0.01);
    world.without_waits()
}

#[test]
fn on_a_full_machine_the_party_above_its_share_is_named_with_little_confidence() {
    let judgement = judge(&stalled_beside(17.5));
    assert_eq!(
        accusations(&judgement),
        [("web".into(), Cause::Neighbour, vec!["batch".into()])]
    );
    let verdict = verdict(&judgement, "web", Cause::Neighbour);
    assert!(
        verdict.confidence <= 0.5 && verdict.confidence > 0.0,
        "{}",
        verdict.confidence
    );
    assert!(verdict.unexplained >= 0.3 - 1e-9, "{}", verdict.unexplained);
    assert!((verdict.harm.seconds() - 4.0).abs() < 1e-6);
}

#[test]
fn where_the_machine_has_room_nobody_is_accused() {
    assert_eq!(accusations(&judge(&stalled_beside(10.0))), []);
}

#[test]
fn throttling_by_the_files_is_its_own_doing_also_on_a_full_machine() {
    let mut window = stalled_beside(17.5);
    let web = &mut window.parties[0];
    web.claim.quota_cpus = Some(0.2);
    web.cpu.throttled = Some(Nanos::from_seconds(4.0));
    web.cpu.throttled_periods = Some(95);
    let judgement = judge(&window);
    assert_eq!(accusations(&judgement), []);
    assert_eq!(
        text(verdict(&judgement, "web", Cause::Itself), "limit"),
        Some("cpu.max")
    );
}

#[test]
fn coverage_says_how_the_cpu_was_watched() {
    let of = |window: &WindowUse| coverage(window)[&Resource::Cpu];
    assert_eq!(of(&stalled_beside(1.0)), Coverage::Correlated);
    assert_eq!(of(&World::new(1, 10.0).without_waits()), Coverage::None);
    let mut window = World::new(1, 10.0).exact();
    assert_eq!(of(&window), Coverage::Exact);
    window.fidelity = Fidelity::Sampled(0.5);
    assert_eq!(of(&window), Coverage::Sampled);
    assert_eq!(coverage(&window)[&Resource::Disk], Coverage::None);
    assert_eq!(coverage(&window).len(), 7);
}
