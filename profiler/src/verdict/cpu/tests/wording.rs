//! Sentences, facts and confidence.

use super::world::{World, number, verdict};
use crate::verdict::judge;
use dunnage_model::observation::{Fidelity, InterruptKind};
use dunnage_model::party::{Party, Pod};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{Handled, Interrupts, WindowUse};
use dunnage_model::verdict::{Cause, Judgement};
use std::sync::Arc;

/// web wants 30 % of CPU 0 and waits for batch, which has the rest; the other CPU idles.
fn beside_batch() -> World {
    let mut world = World::new(4, 10.0);
    let (web, batch) = (world.container("web"), world.container("batch"));
    let kernel = world.kernel();
    world.ran(web, 0, 3.0);
    world.ran(batch, 0, 6.9);
    world.ran(kernel, 0, 0.1);
    world.waited(web, batch, 0, 2.9);
    world.waited(web, kernel, 0, 0.05);
    world.waited_unexplained(web, 0, 0.03);
    world.waited(batch, web, 0, 3.0);
    world
}

fn rename(window: &mut WindowUse, party: usize, change: impl Fn(&mut Party)) {
    change(Arc::make_mut(&mut window.parties[party].party));
}

fn advice(judgement: &Judgement, cause: Cause) -> &str {
    &verdict(judgement, "web", cause).advice
}

#[test]
fn evidence_advice_and_facts_of_a_neighbour() {
    let judgement = judge(&beside_batch().exact());
    let verdict = verdict(&judgement, "web", Cause::Neighbour);
    assert_eq!(
        verdict.evidence,
        "web waited 2.98 s for a CPU in 10 s; batch ran for 2.90 s of it while over its share"
    );
    assert_eq!(
        verdict.advice,
        "give batch a CPU limit (docker update --cpus 0.5 batch) or fewer shares, or move it off CPUs 0"
    );
    let fact = |name| number(verdict, name).unwrap_or_else(|| panic!("{name}"));
    assert!((fact("runqueue_wait_seconds") - 2.98).abs() < 1e-6);
    assert!((fact("kernel_seconds") - 0.05).abs() < 1e-6);
    assert!((fact("used_seconds") - 3.0).abs() < 1e-6);
    assert!((fact("p99_wait_seconds") - 0.003).abs() < 1e-6);
    assert!(
        (4.8..=5.1).contains(&fact("entitled_seconds")),
        "{}",
        fact("entitled_seconds")
    );
    for name in ["throttled_seconds", "self_seconds", "within_share_seconds"] {
        assert_eq!(fact(name), 0.0, "{name}");
    }
    assert!(verdict.confidence > 0.95);
    assert!((verdict.culprits[0].share + verdict.unexplained - 1.0).abs() < 1e-12);
}

#[test]
fn a_hostile_name_never_gets_into_a_command() {
    for name in ["x; reboot", "-x", "$(reboot)", "a\nb", "`x`", ""] {
        let mut window = beside_batch().exact();
        rename(&mut window, 1, |party| name.clone_into(&mut party.name));
        let judgement = judge(&window);
        let text = advice(&judgement, Cause::Neighbour);
        assert!(
            text.contains("docker update --cpus 0.5 batch0123456)"),
            "{text:?}"
        );
    }
}

#[test]
fn pods_are_called_by_namespace_name_and_container() {
    let mut window = beside_batch().exact();
    let pod = Pod {
        namespace: Some("shop".into()),
        name: Some("batch-0".into()),
        container: Some("main".into()),
        uid: None,
    };
    rename(&mut window, 1, |party| party.pod = Some(pod.clone()));
    let judgement = judge(&window);
    assert!(
        verdict(&judgement, "web", Cause::Neighbour)
            .evidence
            .contains("shop/batch-0/main ran for")
    );
    assert!(advice(&judgement, Cause::Neighbour).contains("resources.limits.cpu: \"0.5\""));
}

#[test]
fn units_and_plain_cgroups_have_knobs_of_their_own() {
    let mut window = beside_batch().exact();
    rename(&mut window, 1, |party| {
        party.engine = Some("systemd".into());
        party.name = "batch.service".into();
    });
    let judgement = judge(&window);
    assert!(
        advice(&judgement, Cause::Neighbour)
            .contains("systemctl set-property batch.service CPUQuota=50%")
    );
    rename(&mut window, 1, |party| party.engine = None);
    let judgement = judge(&window);
    assert!(advice(&judgement, Cause::Neighbour).contains("cpu.max of cgroup /batch"));
}

#[test]
fn a_kernel_that_takes_much_is_the_host_s_doing() {
    let mut world = World::new(1, 10.0);
    let (web, kernel) = (world.container("web"), world.kernel());
    world.ran(web, 0, 3.0);
    world.ran(kernel, 0, 5.0);
    world.waited(web, kernel, 0, 1.0);
    let judgement = judge(&world.exact());
    let verdict = verdict(&judgement, "web", Cause::Host);
    assert_eq!(verdict.culprits[0].party.name, "kernel");
    assert!(
        verdict
            .evidence
            .ends_with("; threads of the kernel ran for 1.00 s of it"),
        "{}",
        verdict.evidence
    );
    let advice = &verdict.advice;
    assert!(advice.contains("is busy on CPUs 0;"), "{advice}");
    assert!(advice.contains("workqueue/cpumask"), "{advice}");
}

#[test]
fn the_kernel_beside_a_service_is_over_no_share() {
    let evidence = |of_backup: f64, of_kernel: f64| {
        let mut world = World::new(1, 10.0);
        let (web, backup) = (world.container("web"), world.service("backup"));
        let kernel = world.kernel();
        world.ran(web, 0, 0.5);
        world.ran(backup, 0, 8.0);
        world.ran(kernel, 0, of_kernel);
        world.waited(web, backup, 0, of_backup);
        world.waited(web, kernel, 0, of_kernel);
        verdict(&judge(&world.exact()), "web", Cause::Host)
            .evidence
            .clone()
    };
    let said = evidence(2.0, 1.0);
    let expected =
        "; backup ran for 2.00 s of it while over its share and threads of the kernel for 1.00 s";
    assert!(said.ends_with(expected), "{said}");
    let said = evidence(0.6, 1.2);
    let expected =
        "; threads of the kernel ran for 1.20 s of it and backup for 0.60 s while over its share";
    assert!(said.ends_with(expected), "{said}");
}

#[test]
fn a_kernel_that_works_for_the_one_that_waits_is_nobody_s_doing() {
    let said = |done: f64| {
        let mut world = World::new(1, 10.0);
        let (web, kernel) = (world.container("web"), world.kernel());
        world.ran(web, 0, 3.0);
        world.ran(kernel, 0, 5.0);
        world.waited(web, kernel, 0, 1.0);
        let mut window = world.exact();
        let handled = Handled {
            party: web,
            kind: InterruptKind::NetworkSoftirq,
            time: Nanos::from_seconds(done),
            idle: Nanos::ZERO,
        };
        window.stalls.interrupts = Some(Interrupts {
            fidelity: Fidelity::Exact,
            taken: Vec::new(),
            handled: vec![handled],
        });
        judge(&window).verdicts.len()
    };
    assert_eq!(said(2.0), 0);
    assert_eq!(said(0.5), 1);
}

#[test]
fn samples_few_waits_and_apportioned_blame_lower_the_confidence() {
    let confidence = |change: &dyn Fn(&mut WindowUse)| {
        let mut window = beside_batch().exact();
        change(&mut window);
        verdict(&judge(&window), "web", Cause::Neighbour).confidence
    };
    let row = |window: &mut WindowUse, change: &dyn Fn(&mut dunnage_model::usage::PartyWait)| {
        change(&mut window.waits.as_mut().unwrap()[0]);
    };
    let best = confidence(&|_| {});
    assert!(confidence(&|w| w.fidelity = Fidelity::Sampled(0.25)) < 0.55 * best);
    assert!(confidence(&|w| row(w, &|r| r.waits = 2)) < 0.7 * best);
    assert!(confidence(&|w| row(w, &|r| r.apportioned = Nanos::from_seconds(1.5))) < 0.6 * best);
    assert!(confidence(&|w| w.fidelity = Fidelity::Sampled(f64::NAN)) == 0.0);
}
