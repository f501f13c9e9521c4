//! Who took how much of a run's time, by values; first the runs that nobody disturbed.

use super::*;
use dunnage_model::observation::{CgroupLayout, CpuTimes, Fidelity, Host, InterruptKind, OwnerCpu};
use dunnage_model::party::PartyKind;
use dunnage_model::usage::{
    Blamed, CpuUse, DiskStall, Interruption, Interrupts, PressureUse, Stalls,
};
use dunnage_model::verdict::Culprit;
use proptest::prelude::*;

const RUN: usize = 0;
const BATCH: usize = 1;
const KERNEL: usize = 2;

/// The run's, shorter than what it wants of the CPU: it has several threads.
const LENGTH: Nanos = Nanos(5_000_000_000);

fn seconds(seconds: f64) -> Nanos {
    Nanos::from_seconds(seconds)
}

fn party(key: &str, ran: f64) -> PartyUse {
    PartyUse {
        cpu: CpuUse {
            usage: seconds(ran),
            cpus: vec![OwnerCpu {
                cpu: 0,
                run: seconds(ran),
                wait: Nanos::ZERO,
            }],
            ..CpuUse::default()
        },
        ..PartyUse::new(Party::new(key, PartyKind::Service, key))
    }
}

/// Ten seconds in which the run had a CPU for `ran` of them and waited as `waits` say.
fn window(ran: f64, waits: Option<Vec<PartyWait>>) -> WindowUse {
    WindowUse {
        host: Host {
            name: "n1".into(),
            kernel: "6.18.0".into(),
            cpus: 2,
            cgroup: CgroupLayout::Hybrid,
        },
        start_unix: Nanos::ZERO,
        length: seconds(10.0),
        machine: CpuTimes {
            user: seconds(16.0),
            idle: seconds(4.0),
            ..CpuTimes::default()
        },
        machine_pressure: PressureUse::default(),
        parties: vec![
            party("/run", ran),
            party("/batch", 4.0),
            party("kernel", 0.0),
        ],
        waits,
        stalls: Stalls::default(),
        fidelity: Fidelity::Exact,
        gaps: Vec::new(),
    }
}

fn wait(blame: &[(usize, f64)], unexplained: f64) -> PartyWait {
    let named: f64 = blame.iter().map(|(_, time)| time).sum();
    PartyWait {
        party: RUN,
        wait: seconds(named + unexplained),
        throttled: Nanos::ZERO,
        blame: blame
            .iter()
            .map(|(who, time)| (*who, seconds(*time)))
            .collect(),
        unexplained: seconds(unexplained),
        apportioned: Nanos::ZERO,
        waking: Nanos::ZERO,
        waits: 1,
        wakes: 1,
        p99: None,
    }
}

fn blamed(wait: f64, own: f64, batch: f64) -> Blamed {
    Blamed {
        party: RUN,
        wait: seconds(wait),
        own: seconds(own),
        blame: vec![(BATCH, seconds(batch))],
        unexplained: seconds(wait - own - batch),
    }
}

fn tally(windows: &[WindowUse]) -> Tally {
    let mut tally = Tally::new("/run".into());
    let coverage = BTreeMap::from([(Resource::Cpu, Coverage::Exact)]);
    for window in windows {
        tally.add(window, &Judgement::default(), &coverage);
    }
    tally
}

fn losses(windows: &[WindowUse]) -> Vec<RunLoss> {
    tally(windows).close(LENGTH, &|party| party.clone()).0
}

#[test]
fn a_run_that_waits_for_nobody_lost_nothing() {
    assert!(losses(&[window(10.0, Some(vec![]))]).is_empty());
}

#[test]
fn its_own_threads_and_its_own_quota_are_nobody_elses_doing() {
    let mut row = wait(&[(RUN, 3.0)], 0.0);
    row.throttled = seconds(2.0);
    let tally = tally(&[window(10.0, Some(vec![row]))]);
    assert_eq!(tally.circumstances.waited_for_itself, Some(seconds(3.0)));
    assert_eq!(tally.circumstances.throttled, Some(seconds(2.0)));
    assert!(tally.close(LENGTH, &|party| party.clone()).0.is_empty());
}

#[test]
fn waits_behind_others_are_lost_to_them_over_all_windows() {
    let row = || {
        Some(vec![wait(
            &[(BATCH, 0.5), (KERNEL, 0.25), (RUN, 9.0)],
            0.25,
        )])
    };
    let losses = losses(&[window(4.0, row()), window(5.0, row())]);
    let [loss] = losses.as_slice() else {
        panic!("{losses:?}")
    };
    assert_eq!((loss.lost, loss.had), (seconds(2.0), seconds(9.0)));
    assert_eq!(loss.unexplained, seconds(0.5));
    assert_eq!(&*loss.to[0].0.key, "/batch");
    assert_eq!(loss.to[0].1, seconds(1.0));
    assert!((loss.fraction(LENGTH) - 2.0 / 11.0).abs() < 1e-9);
    // With the same losses it mostly slept.
    assert!((loss.fraction(seconds(1000.0)) - 0.002).abs() < 1e-9);
}

#[test]
fn steal_counts_by_the_part_of_the_busy_time_that_was_the_runs() {
    let mut stolen = window(8.0, Some(vec![]));
    stolen.machine.steal = seconds(1.0);
    let losses = losses(&[stolen]);
    assert_eq!(losses[0].to[0].0.kind, PartyKind::Hypervisor);
    assert_eq!(losses[0].lost, seconds(0.5));
}

#[test]
fn interrupts_for_others_are_lost_time() {
    let mut window = window(9.0, Some(vec![]));
    window.stalls.interrupts = Some(Interrupts {
        taken: vec![Interruption {
            kind: InterruptKind::Irq,
            blamed: blamed(1.0, 0.25, 0.75),
        }],
        ..Interrupts::default()
    });
    assert_eq!(losses(&[window])[0].lost, seconds(0.75));
}

/// Forty request-seconds, three quarters of them behind batch.
fn disk_stall() -> DiskStall {
    DiskStall {
        device: "vda".into(),
        blamed: blamed(40.0, 10.0, 30.0),
        shared: Nanos::ZERO,
        waiting: Nanos::ZERO,
        needed: Nanos::ZERO,
        occupied: Nanos::ZERO,
        synced: Nanos::ZERO,
        bytes: Bytes(1),
        requests: 1,
    }
}

#[test]
fn disk_counts_for_as_long_as_the_run_stood_still() {
    let mut busy = window(8.0, Some(vec![]));
    busy.stalls.disk = Some(vec![disk_stall()]);
    // Forty request-seconds beside each other, and no task stood still: nothing was lost.
    busy.parties[RUN].pressure.io_some = Some(0.0);
    assert!(losses(&[busy.clone()]).is_empty());
    // It stood still for two seconds, and three quarters of the requests' time were others'.
    busy.parties[RUN].pressure.io_some = Some(0.2);
    let losses = losses(&[busy]);
    assert_eq!(losses[0].resource, Resource::Disk);
    assert_eq!(
        (losses[0].lost, losses[0].had),
        (seconds(1.5), seconds(8.5))
    );
}

fn verdict(resource: Resource, cause: Cause) -> Verdict {
    let batch = party("/batch", 0.0).party;
    Verdict {
        victim: party("/run", 0.0).party,
        resource,
        cause,
        harm: seconds(2.0),
        fraction: 0.2,
        culprits: vec![Culprit {
            party: batch,
            time: seconds(1.5),
            share: 0.75,
        }],
        unexplained: 0.25,
        confidence: 0.5,
        evidence: String::new(),
        advice: String::new(),
        facts: BTreeMap::new(),
    }
}

fn judged(verdicts: Vec<Verdict>, windows: &[WindowUse]) -> Tally {
    let mut tally = Tally::new("/run".into());
    let judgement = Judgement {
        verdicts,
        cleared: Vec::new(),
    };
    for window in windows {
        tally.add(window, &judgement, &BTreeMap::new());
    }
    tally
}

#[test]
fn what_only_a_judge_can_tell_counts_by_its_verdict() {
    let verdicts = vec![
        verdict(Resource::Memory, Cause::Neighbour),
        verdict(Resource::Memory, Cause::Itself),
        verdict(Resource::Cpu, Cause::Neighbour),
    ];
    let windows = [window(8.0, Some(vec![])), window(8.0, Some(vec![]))];
    let (losses, verdicts) = judged(verdicts, &windows).close(LENGTH, &|party| party.clone());
    // Waits for a CPU were seen, and there were none: no verdict adds to what was seen.
    assert_eq!(losses.len(), 1);
    assert_eq!(losses[0].resource, Resource::Memory);
    assert_eq!(losses[0].lost, seconds(4.0));
    assert_eq!(losses[0].unexplained, seconds(1.0));
    assert_eq!(verdicts.len(), 3);
    assert_eq!((verdicts[0].windows, verdicts[0].harm), (2, seconds(4.0)));
    assert_eq!(verdicts[2].worst.cause, Cause::Itself);
}

#[test]
fn without_events_the_kernels_own_count_of_waits_decides() {
    for (waited, batch, unexplained) in [(4.0, 1.5, 2.5), (1.0, 1.0, 0.0), (0.0, 0.0, 0.0)] {
        let verdicts = vec![verdict(Resource::Cpu, Cause::Neighbour)];
        let mut tally = judged(verdicts, &[window(8.0, None)]);
        tally.correct_waits(seconds(waited));
        let (losses, _) = tally.close(LENGTH, &|party| party.clone());
        let Some(loss) = losses.first() else {
            assert!(waited == 0.0);
            continue;
        };
        assert_eq!(loss.lost, seconds(waited));
        assert_eq!(loss.unexplained, seconds(unexplained));
        assert_eq!(loss.to[0].1, seconds(batch));
    }
}

proptest! {
    #[test]
    fn what_is_lost_adds_up(
        rows in prop::collection::vec((0.0..5.0f64, 0.0..5.0f64, 0.0..5.0f64), 1..5),
        ran in 0.0..10.0f64,
    ) {
        let windows: Vec<WindowUse> = rows
            .iter()
            .map(|(own, batch, nobody)| {
                window(ran, Some(vec![wait(&[(RUN, *own), (BATCH, *batch)], *nobody)]))
            })
            .collect();
        for loss in losses(&windows) {
            let to: Nanos = loss.to.iter().map(|(_, time)| *time).sum();
            prop_assert_eq!(to + loss.unexplained, loss.lost);
            prop_assert!((0.0..=1.0).contains(&loss.fraction(LENGTH)));
        }
    }
}
