//! Made-up windows: first those that accuse nobody.

use super::{coverage, kernel, network, steal};
use crate::tests_support;
use dunnage_model::observation::{Fidelity, InterruptKind};
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::Nanos;
use dunnage_model::usage::{Blamed, Handled, Interruption, Interrupts, Stalls, Steal, WindowUse};
use dunnage_model::verdict::{Cause, Coverage, Fact, Judgement, Resource};

const WEB: usize = 0;
const BATCH: usize = 1;
const CACHE: usize = 2;
const KERNEL: usize = 3;
const HYPERVISOR: usize = 4;

use InterruptKind::{BlockSoftirq, Irq, NetworkSoftirq, OtherSoftirq};

/// Ten seconds in which web used 6 s, batch 8 s and cache 1 s.
fn window() -> WindowUse {
    let party = |party: Party, used: f64| tests_support::party_use(party, used);
    let container = |name: &str| {
        let mut party = Party::new(format!("/{name}"), PartyKind::Container, name);
        party.engine = Some("docker".into());
        party
    };
    WindowUse {
        stalls: Stalls {
            interrupts: Some(Interrupts::default()),
            ..Stalls::default()
        },
        ..tests_support::window(vec![
            party(container("web"), 6.0),
            party(container("batch"), 8.0),
            party(container("cache"), 1.0),
            party(Party::kernel(), 0.2),
            party(Party::hypervisor(), 0.0),
        ])
    }
}

/// Adds what `victim` lost, by culprit.
fn taken(window: &mut WindowUse, kind: InterruptKind, victim: usize, by: &[(usize, f64)]) {
    let time = |who: &dyn Fn(usize) -> bool| {
        let seconds = by.iter().filter(|(party, _)| who(*party)).map(|(_, s)| s);
        Nanos::from_seconds(seconds.sum())
    };
    let interrupts = window.stalls.interrupts.as_mut().unwrap();
    interrupts.taken.push(Interruption {
        kind,
        blamed: Blamed {
            party: victim,
            wait: time(&|_| true),
            own: time(&|party| party == victim),
            blame: by
                .iter()
                .filter(|(party, _)| *party != victim)
                .map(|(party, seconds)| (*party, Nanos::from_seconds(*seconds)))
                .collect(),
            unexplained: Nanos::ZERO,
        },
    });
    for (party, seconds) in by {
        handled(window, kind, *party, *seconds, 0.0);
    }
}

fn handled(window: &mut WindowUse, kind: InterruptKind, party: usize, time: f64, idle: f64) {
    let interrupts = window.stalls.interrupts.as_mut().unwrap();
    interrupts.handled.push(Handled {
        party,
        kind,
        time: Nanos::from_seconds(time),
        idle: Nanos::from_seconds(idle),
    });
}

fn all(window: &WindowUse) -> Vec<Judgement> {
    vec![network(window), kernel(window), steal(window)]
}

fn nobody_is_accused(window: &WindowUse) {
    for judgement in all(window) {
        assert!(judgement.verdicts.is_empty(), "{:?}", judgement.verdicts);
    }
}

#[test]
fn a_window_without_anything_accuses_nobody() {
    nobody_is_accused(&window());
    let mut without = window();
    without.stalls.interrupts = None;
    nobody_is_accused(&without);
    without.length = Nanos::ZERO;
    nobody_is_accused(&without);
}

#[test]
fn timers_and_a_little_traffic_accuse_nobody() {
    let mut window = window();
    taken(&mut window, OtherSoftirq, WEB, &[(KERNEL, 0.08)]);
    taken(&mut window, Irq, WEB, &[(KERNEL, 0.02), (BATCH, 0.01)]);
    taken(
        &mut window,
        NetworkSoftirq,
        WEB,
        &[(BATCH, 0.10), (WEB, 0.5)],
    );
    taken(&mut window, BlockSoftirq, WEB, &[(BATCH, 0.05)]);
    nobody_is_accused(&window);
}

#[test]
fn what_was_watched_in_slots_says_so_and_is_less_sure() {
    let mut window = window();
    taken(&mut window, NetworkSoftirq, WEB, &[(BATCH, 2.0)]);
    let exact = network(&window).verdicts.remove(0);
    assert_eq!(coverage(&window), Coverage::Exact);
    assert!(!exact.evidence.contains("watched"), "{}", exact.evidence);
    window.stalls.interrupts.as_mut().unwrap().fidelity = Fidelity::Sampled(0.12);
    let sampled = network(&window).verdicts.remove(0);
    assert_eq!(coverage(&window), Coverage::Sampled);
    let said = &sampled.evidence;
    assert!(
        said.ends_with(" (by the 12 % of the time that were watched)"),
        "{said}"
    );
    assert!(sampled.confidence < exact.confidence);
    assert_eq!(sampled.harm, exact.harm);
}

#[test]
fn a_flood_that_hits_idle_cpus_is_cleared() {
    let mut window = window();
    handled(&mut window, NetworkSoftirq, BATCH, 4.0, 4.0);
    let judgement = network(&window);
    assert!(judgement.verdicts.is_empty());
    assert_eq!(judgement.cleared.len(), 1);
    assert_eq!(judgement.cleared[0].party.name, "batch");
    assert_eq!(judgement.cleared[0].of, Resource::Network);
    assert!(judgement.cleared[0].why.contains("4.00 s"));
}

#[test]
fn two_that_cost_each_other_the_same_are_even() {
    let mut window = window();
    taken(&mut window, NetworkSoftirq, WEB, &[(BATCH, 1.00)]);
    taken(&mut window, NetworkSoftirq, BATCH, &[(WEB, 0.95)]);
    nobody_is_accused(&window);
}

#[test]
fn a_flood_on_the_victims_cpu_is_the_senders_doing() {
    let mut window = window();
    let by = [(BATCH, 1.2), (CACHE, 0.05), (WEB, 0.1), (KERNEL, 0.02)];
    taken(&mut window, NetworkSoftirq, WEB, &by);
    let judgement = network(&window);
    let [verdict] = &judgement.verdicts[..] else {
        panic!("{:?}", judgement.verdicts)
    };
    assert_eq!(verdict.resource, Resource::Network);
    assert_eq!(verdict.cause, Cause::Neighbour);
    assert_eq!(verdict.victim.name, "web");
    assert_eq!(verdict.culprits[0].party.name, "batch");
    assert!((verdict.culprits[0].share - 0.96).abs() < 1e-9);
    let sum: f64 = verdict.culprits.iter().map(|c| c.share).sum();
    assert!((sum + verdict.unexplained - 1.0).abs() < 1e-9);
    // Got: 6 s of use, less 1.37 s that were taken.
    assert!((verdict.fraction - 1.25 / (1.25 + 4.63)).abs() < 1e-6);
    assert!(verdict.evidence.contains("1.20 s of it for batch"));
    assert!(verdict.advice.contains("rps_cpus"));
    assert_eq!(verdict.facts["for_itself_seconds"], Fact::Number(0.1));
    assert!(kernel(&window).verdicts.is_empty());
}

#[test]
fn many_with_a_packet_each_are_not_named() {
    let mut window = window();
    taken(
        &mut window,
        NetworkSoftirq,
        WEB,
        &[(BATCH, 1.0), (CACHE, 0.01)],
    );
    let verdicts = network(&window).verdicts;
    assert_eq!(verdicts[0].culprits.len(), 1);
    assert!((verdicts[0].unexplained - 0.01 / 1.01).abs() < 1e-9);
}

#[test]
fn completions_of_a_neighbours_requests_cost_cpu_time() {
    let mut window = window();
    taken(&mut window, BlockSoftirq, WEB, &[(BATCH, 0.3)]);
    taken(&mut window, Irq, WEB, &[(BATCH, 0.2), (KERNEL, 0.1)]);
    let verdicts = kernel(&window).verdicts;
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].resource, Resource::Cpu);
    assert_eq!(verdicts[0].cause, Cause::Neighbour);
    assert!((verdicts[0].harm.seconds() - 0.5).abs() < 1e-9);
}

#[test]
fn a_storm_that_nobody_can_be_named_for_is_the_hosts() {
    let mut window = window();
    taken(&mut window, Irq, WEB, &[(KERNEL, 0.9)]);
    let verdicts = kernel(&window).verdicts;
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].cause, Cause::Host);
    assert_eq!(verdicts[0].culprits[0].party.kind, PartyKind::Kernel);
    assert!(verdicts[0].advice.contains("/proc/interrupts"));
}

#[test]
fn what_goes_with_its_own_traffic_is_not_taken_from_a_sender() {
    let mut window = window();
    taken(
        &mut window,
        NetworkSoftirq,
        BATCH,
        &[(BATCH, 0.9), (KERNEL, 0.5)],
    );
    nobody_is_accused(&window);
    // More was taken than was done for it.
    taken(
        &mut window,
        NetworkSoftirq,
        WEB,
        &[(WEB, 0.3), (KERNEL, 0.9)],
    );
    let verdicts = network(&window).verdicts;
    let victims: Vec<&str> = verdicts.iter().map(|v| &*v.victim.name).collect();
    assert_eq!(victims, ["web"]);
}

#[test]
fn traffic_of_its_own_is_worth_a_word_only_where_it_is_most_of_what_runs() {
    let mut window = window();
    taken(&mut window, NetworkSoftirq, WEB, &[(WEB, 1.0)]);
    nobody_is_accused(&window);
    taken(&mut window, NetworkSoftirq, WEB, &[(WEB, 3.0)]);
    let verdicts = network(&window).verdicts;
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].cause, Cause::Itself);
    assert_eq!(verdicts[0].culprits[0].party.name, "web");
}

#[test]
fn steal_is_the_hypervisors_and_a_tick_of_it_is_nothing() {
    let mut window = window();
    let steal_of = |parties: &[(usize, f64)]| {
        let parties = parties.iter();
        Some(Steal {
            parties: parties
                .map(|(p, s)| (*p, Nanos::from_seconds(*s)))
                .collect(),
            booked_as_use: false,
        })
    };
    window.stalls.steal = steal_of(&[(WEB, 0.05), (BATCH, 0.1), (KERNEL, 3.0)]);
    nobody_is_accused(&window);
    window.stalls.steal = steal_of(&[(WEB, 2.0), (BATCH, 0.1)]);
    let verdicts = steal(&window).verdicts;
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].cause, Cause::Hypervisor);
    assert_eq!(verdicts[0].victim.name, "web");
    assert_eq!(verdicts[0].fraction, 0.25);
    assert_eq!(verdicts[0].culprits[0].party.kind, PartyKind::Hypervisor);
    // Without the hypervisor among the parties there is nobody to name.
    window.parties.truncate(HYPERVISOR);
    assert!(steal(&window).verdicts.is_empty());
}

#[test]
fn the_network_is_watched_as_well_as_the_worse_half_of_it_that_is() {
    let of = |window: &WindowUse| crate::verdict::coverage(window)[&Resource::Network];
    let mut window = window();
    window.stalls.network = Some(Vec::new());
    assert_eq!(of(&window), Coverage::Exact);
    window.stalls.interrupts.as_mut().unwrap().fidelity = Fidelity::Sampled(0.12);
    assert_eq!(of(&window), Coverage::Sampled);
    window.stalls.network = None;
    assert_eq!(of(&window), Coverage::Sampled);
    window.stalls.interrupts = None;
    assert_eq!(of(&window), Coverage::None);
    window.stalls.network = Some(Vec::new());
    assert_eq!(of(&window), Coverage::Exact);
}
