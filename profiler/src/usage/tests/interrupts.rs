//! What the kernel worked for whom, by party; nothing is made and nothing lost.

use super::*;
use dunnage_model::usage::{Handled, Interruption};
use proptest::prelude::*;

const WEB: Owner = Owner::V2(1);
const BATCH: Owner = Owner::V2(2);

fn taken(victim: Option<Owner>, culprit: Owner, kind: InterruptKind, time: u64) -> InterruptTime {
    InterruptTime {
        victim,
        culprit,
        kind,
        time: Nanos(time),
    }
}

fn names() -> Vec<(Owner, Arc<str>)> {
    vec![(WEB, "/docker/web".into()), (BATCH, "/docker/batch".into())]
}

fn charged(interrupts: InterruptWindow, sched: Option<SchedWindow>) -> WindowUse {
    let mut observation = window(9.0, Vec::new(), Vec::new());
    observation.resources.interrupts = Some(interrupts);
    observation.sched = sched;
    charge(&observation, &Names)
}

fn place(charged: &WindowUse, key: &str) -> usize {
    let at = |p: &PartyUse| &*p.party.key == key;
    charged.parties.iter().position(at).unwrap()
}

#[test]
fn time_taken_is_charged_to_whom_the_kernel_worked_for() {
    let kind = InterruptKind::NetworkSoftirq;
    let charged = charged(
        InterruptWindow {
            taken: vec![
                taken(Some(WEB), BATCH, kind, 5),
                taken(Some(WEB), WEB, kind, 3),
                taken(Some(WEB), Owner::Kernel, kind, 2),
                taken(None, BATCH, kind, 7),
                taken(Some(WEB), BATCH, InterruptKind::Irq, 1),
            ],
            names: names(),
            ..InterruptWindow::default()
        },
        None,
    );
    let (web, batch) = (
        place(&charged, "/docker/web"),
        place(&charged, "/docker/batch"),
    );
    let interrupts = charged.stalls.interrupts.unwrap();
    let of_network = |t: &&Interruption| t.kind == kind && t.blamed.party == web;
    let row = interrupts.taken.iter().find(of_network).unwrap();
    assert_eq!((row.blamed.wait, row.blamed.own), (Nanos(10), Nanos(3)));
    assert!(row.blamed.blame.contains(&(batch, Nanos(5))));
    let of_batch = |h: &&Handled| h.kind == kind && h.party == batch;
    let handled = interrupts.handled.iter().find(of_batch).unwrap();
    assert_eq!((handled.time, handled.idle), (Nanos(12), Nanos(7)));
}

/// Web waited 4 s behind the kernel and 1 s behind batch on CPU 1, where the kernel ran for 4 s.
fn behind_the_kernel() -> SchedWindow {
    let pair = |culprit, seconds| BlamePair {
        victim: WEB,
        culprit,
        time: Nanos::from_seconds(seconds),
    };
    let owners = vec![
        owner(WEB, Some("/docker/web"), 3.0, 5.0),
        owner(BATCH, Some("/docker/batch"), 1.0, 0.0),
        owner(Owner::Kernel, None, 4.0, 0.0),
    ];
    sched(owners, vec![pair(Owner::Kernel, 4.0), pair(BATCH, 1.0)]).unwrap()
}

fn work(owner: Owner, cpu: u32, seconds: f64) -> KernelWork {
    KernelWork {
        owner,
        cpu,
        time: Nanos::from_seconds(seconds),
    }
}

fn blame_on(charged: &WindowUse, key: &str) -> f64 {
    let culprit = place(charged, key);
    let web = place(charged, "/docker/web");
    let row = charged.waits.iter().flatten().find(|row| row.party == web);
    let blame = row
        .unwrap()
        .blame
        .iter()
        .filter(|(party, _)| *party == culprit);
    blame.map(|(_, time)| time.seconds()).sum()
}

#[test]
fn waits_behind_kernel_threads_go_to_those_they_worked_for() {
    let window = InterruptWindow {
        worked: vec![work(BATCH, 1, 3.0), work(BATCH, 0, 1.0)],
        names: names(),
        ..InterruptWindow::default()
    };
    let charged = charged(window, Some(behind_the_kernel()));
    // Three quarters of what the kernel ran on that CPU; on the other it was not seen to run.
    assert!((blame_on(&charged, "/docker/batch") - 4.0).abs() < 1e-6);
    assert!((blame_on(&charged, "kernel") - 1.0).abs() < 1e-6);
    let ran = |key| charged.parties[place(&charged, key)].cpu.cpus[0].run;
    assert_eq!(ran("/docker/batch"), Nanos(4 * SECOND));
    assert_eq!(ran("kernel"), Nanos(SECOND));
}

#[test]
fn a_victim_that_the_kernel_worked_for_waited_for_itself() {
    let window = InterruptWindow {
        worked: vec![work(WEB, 1, 4.0)],
        names: names(),
        ..InterruptWindow::default()
    };
    let charged = charged(window, Some(behind_the_kernel()));
    assert!((blame_on(&charged, "/docker/web") - 4.0).abs() < 1e-6);
    assert_eq!(blame_on(&charged, "kernel"), 0.0);
}

#[test]
fn steal_is_split_by_who_ran_on_the_cpu() {
    let mut observation = window(9.0, Vec::new(), Vec::new());
    observation.sched = Some(behind_the_kernel());
    let steal = |seconds: f64| CpuTimes {
        steal: Nanos::from_seconds(seconds),
        ..CpuTimes::default()
    };
    Arc::make_mut(&mut observation.before).machine.cpus = vec![(0, steal(1.0)), (1, steal(1.0))];
    Arc::make_mut(&mut observation.after).machine.cpus =
        vec![(0, steal(9.0)), (1, steal(3.0)), (2, steal(1.0))];
    let charged = charge(&observation, &Names);
    let lost = charged.stalls.steal.as_ref().unwrap();
    let of = |key| {
        let at = place(&charged, key);
        let mut lost = lost.parties.iter().filter(|(party, _)| *party == at);
        lost.next().unwrap().1.seconds()
    };
    // Web ran 3 of 8 s on CPU 1; on CPU 0 nobody was seen to run.
    assert!((of("/docker/web") - 0.75).abs() < 1e-6);
    assert!((of("/docker/batch") - 0.25).abs() < 1e-6);
    assert!((of("kernel") - 1.0).abs() < 1e-6);
}

proptest! {
    #[test]
    fn redistribution_makes_and_loses_nothing(
        pieces in prop::collection::vec((0u64..4, 0u32..3, 0.0..9.0f64), 0..12),
    ) {
        let worked = pieces
            .iter()
            .map(|(owner, cpu, seconds)| work(Owner::V2(*owner), *cpu, *seconds))
            .collect();
        let without = charged(InterruptWindow::default(), Some(behind_the_kernel()));
        let with = charged(
            InterruptWindow { worked, names: names(), ..InterruptWindow::default() },
            Some(behind_the_kernel()),
        );
        let waited = |charged: &WindowUse| -> u64 {
            let rows = charged.waits.iter().flatten();
            rows.map(|row| row.unexplained.0 + row.blame.iter().map(|(_, t)| t.0).sum::<u64>()).sum()
        };
        let ran = |charged: &WindowUse| -> u64 {
            let cpus = charged.parties.iter().flat_map(|party| &party.cpu.cpus);
            cpus.map(|on| on.run.0).sum()
        };
        prop_assert_eq!(waited(&with), waited(&without));
        prop_assert_eq!(ran(&with), ran(&without));
    }
}
