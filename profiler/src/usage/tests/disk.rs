//! Waits for disks by party: journals that work for several, and what limits hold back.

use super::*;
use dunnage_model::usage::{DiskStall, HeldRequests};
use proptest::prelude::*;

const VDA: (u32, u32) = (254, 0);
const WEB: Owner = Owner::V2(1);
/// Another cgroup of the same container.
const WEB_CHILD: Owner = Owner::V2(2);
const BATCH: Owner = Owner::V2(3);

/// An owner that waited in fsync, for its own pages and for the journal.
fn synced(owner: Owner, own: u64, journal: u64, journalled: u64) -> DiskOwner {
    DiskOwner {
        device: VDA,
        owner,
        read: Bytes(1000),
        written: Bytes(4096),
        reads: 10,
        writes: 1,
        wait: Nanos(own + journal),
        waiting: Nanos(own + journal),
        own: Nanos(own),
        shared: Nanos::ZERO,
        journal: Nanos(journal),
        journalled,
        syncs: 1,
        synced: Nanos(own + journal),
        unexplained: Nanos::ZERO,
        needed: Nanos::ZERO,
        occupied: Nanos(own),
    }
}

fn charged(
    owners: Vec<DiskOwner>,
    before: Vec<CgroupReading>,
    after: Vec<CgroupReading>,
) -> WindowUse {
    let mut observation = window(9.0, before, after);
    observation.resources.disk = Some(DiskWindow {
        owners,
        devices: vec![(VDA, "vda".into())],
        names: vec![
            (WEB, "/docker/web".into()),
            (WEB_CHILD, "/docker/web/child".into()),
            (BATCH, "/docker/batch".into()),
        ],
        ..DiskWindow::default()
    });
    charge(&observation, &Names)
}

fn key_of(charged: &WindowUse, party: usize) -> &str {
    &charged.parties[party].party.key
}

fn row<'w>(charged: &'w WindowUse, key: &str) -> &'w DiskStall {
    let mut rows = charged.stalls.disk.iter().flatten();
    rows.find(|stall| key_of(charged, stall.blamed.party) == key)
        .unwrap()
}

#[test]
fn a_journal_that_nobody_is_known_to_use_is_the_kernels() {
    let waits = DiskOwner {
        syncs: 0,
        ..synced(WEB, 20, 80, 0)
    };
    let charged = charged(vec![waits], Vec::new(), Vec::new());
    let blamed = &row(&charged, "/docker/web").blamed;
    assert_eq!((blamed.wait, blamed.own), (Nanos(100), Nanos(20)));
    let [(kernel, time)] = blamed.blame[..] else {
        panic!("{blamed:?}")
    };
    assert_eq!((key_of(&charged, kernel), time), ("kernel", Nanos(80)));
}

/// What `/docker/web` is told to have waited behind batch, of 80 ns for the journal.
fn behind_batch(owners: Vec<DiskOwner>) -> u64 {
    let charged = charged(owners, Vec::new(), Vec::new());
    let blame = &row(&charged, "/docker/web").blamed.blame;
    blame
        .iter()
        .map(|(party, time)| {
            assert_eq!(key_of(&charged, *party), "/docker/batch");
            time.0
        })
        .sum()
}

#[test]
fn a_sync_needs_a_commit_whoever_syncs_beside_it() {
    let many = |owner| DiskOwner {
        syncs: 100,
        ..synced(owner, 20, 80, 100)
    };
    // Equals: 6,500 of their own, and 100 of the other's.
    assert_eq!(behind_batch(vec![many(WEB), many(BATCH)]), 1);
    // Somebody who syncs once meets two of the hundred commits of the other.
    assert_eq!(behind_batch(vec![synced(WEB, 20, 80, 1), many(BATCH)]), 2);
}

#[test]
fn what_others_put_into_a_commit_is_theirs() {
    let owners = vec![
        synced(WEB, 20, 80, 0),
        DiskOwner {
            syncs: 0,
            ..synced(BATCH, 0, 0, 192)
        },
    ];
    assert_eq!(behind_batch(owners.clone()), 60);
    let charged = charged(owners, Vec::new(), Vec::new());
    let web = row(&charged, "/docker/web");
    assert_eq!((web.blamed.own, web.shared), (Nanos(40), Nanos(20)));
    assert_eq!((web.blamed.wait, web.synced), (Nanos(100), Nanos(100)));
}

/// A cgroup with a limit of 1,000 bytes a second read from vda.
fn limited(path: &str, stalled: f64) -> CgroupReading {
    let totals = PressureTotals {
        some: Nanos::from_seconds(stalled),
        full: None,
    };
    CgroupReading {
        io_limits: vec![IoLimit {
            device: VDA,
            kind: IoLimitKind::BytesRead,
            rate: 1000,
        }],
        pressure: Pressure {
            io: Some(totals),
            ..Pressure::default()
        },
        ..cgroup(path, 0.0)
    }
}

#[test]
fn held_requests_are_told_of_whoever_has_a_limit_of_its_own() {
    let owners = vec![synced(WEB, 2_000_000_000, 0, 0), synced(BATCH, 5, 0, 0)];
    let before = vec![
        limited("/docker/web", 1.0),
        limited("/docker/web/child", 1.0),
        cgroup("/docker/batch", 0.0),
    ];
    let after = vec![
        limited("/docker/web", 9.0),
        limited("/docker/web/child", 9.0),
        cgroup("/docker/batch", 0.0),
    ];
    let charged = charged(owners, before, after);
    let rows: &[HeldRequests] = charged.stalls.held.as_ref().unwrap();
    let [held] = rows else { panic!("{rows:?}") };
    assert_eq!(key_of(&charged, held.party), "/docker/web");
    assert_eq!(held.stalled, Nanos::from_seconds(8.0));
    assert_eq!(held.outstanding, Nanos::from_seconds(2.0));
    let limit = &held.limits[0];
    assert_eq!(
        (&*limit.device, limit.rate, limit.used),
        ("vda", 1000, 1000)
    );
}

#[test]
fn without_pressure_at_both_ends_nothing_was_held() {
    let silent = CgroupReading {
        pressure: Pressure::default(),
        ..limited("/docker/web", 0.0)
    };
    let after = vec![limited("/docker/web", 9.0)];
    let charged = charged(vec![synced(WEB, 5, 0, 0)], vec![silent], after);
    assert_eq!(charged.stalls.held, Some(Vec::new()));
}

proptest! {
    #[test]
    fn what_was_waited_is_conserved(
        told in proptest::collection::vec(
            (prop_oneof![Just(WEB), Just(WEB_CHILD), Just(BATCH)], 0..1u64 << 40, 0..1u64 << 40, 0..1000u64),
            0..6,
        )
    ) {
        let owners: Vec<DiskOwner> = told
            .iter()
            .map(|(owner, own, journal, blocks)| synced(*owner, *own, *journal, *blocks))
            .collect();
        let waited: u64 = owners.iter().map(|owner| owner.wait.0).sum();
        let charged = charged(owners, Vec::new(), Vec::new());
        let rows = charged.stalls.disk.as_ref().unwrap();
        let mut sum = 0;
        for row in rows {
            let blamed = &row.blamed;
            let named: u64 = blamed.blame.iter().map(|(_, time)| time.0).sum();
            prop_assert_eq!(blamed.own.0 + named + blamed.unexplained.0, blamed.wait.0);
            sum += blamed.wait.0;
        }
        // Parts are whole nanoseconds.
        prop_assert!(sum.abs_diff(waited) <= 64, "{} of {}", sum, waited);
    }
}
