//! Waits in the queues of links, by party; they add up.

use super::*;
use dunnage_model::usage::LinkStall;
use proptest::prelude::*;

/// Two cgroups of one container, another container, and packets without a socket.
const WEB: Owner = Owner::V2(1);
const WEB_CHILD: Owner = Owner::V2(2);
const BATCH: Owner = Owner::V2(3);

fn sent(device: &str, owner: Owner, own: u64, unexplained: u64, others: u64) -> LinkOwner {
    LinkOwner {
        device: device.into(),
        discipline: "tbf".into(),
        handle: 0x1_0000,
        shaped: true,
        owner,
        sent: Bytes(1000),
        packets: 10,
        wait: Nanos(own + unexplained + others),
        own: Nanos(own),
        unexplained: Nanos(unexplained),
        longest: Nanos(own),
        dropped: 1,
        dropped_bytes: Bytes(100),
    }
}

fn pair(device: &str, victim: Owner, culprit: Owner, time: u64) -> LinkPair {
    LinkPair {
        device: device.into(),
        victim,
        culprit,
        time: Nanos(time),
    }
}

fn charged(owners: Vec<LinkOwner>, pairs: Vec<LinkPair>) -> WindowUse {
    let mut observation = window(9.0, Vec::new(), Vec::new());
    observation.resources.link = Some(LinkWindow {
        owners,
        pairs,
        names: vec![
            (WEB, "/docker/web".into()),
            (WEB_CHILD, "/docker/web/child".into()),
            (BATCH, "/docker/batch".into()),
        ],
        lost: 0,
    });
    charge(&observation, &Names)
}

fn row<'w>(charged: &'w WindowUse, device: &str, key: &str) -> &'w LinkStall {
    let rows = charged.stalls.network.as_ref().unwrap();
    let key_of = |stall: &LinkStall| &*charged.parties[stall.blamed.party].party.key;
    rows.iter()
        .find(|stall| &*stall.device == device && key_of(stall) == key)
        .unwrap()
}

#[test]
fn cgroups_of_one_container_are_one_sender_on_each_link() {
    let charged = charged(
        vec![
            sent("eth0", WEB, 5, 1, 20),
            sent("eth0", WEB_CHILD, 7, 0, 3),
            sent("eth0", BATCH, 9, 0, 0),
            sent("eth1", WEB, 2, 0, 0),
        ],
        vec![
            pair("eth0", WEB, BATCH, 16),
            pair("eth0", WEB, WEB_CHILD, 4),
            pair("eth0", WEB_CHILD, BATCH, 3),
        ],
    );
    let web = row(&charged, "eth0", "/docker/web");
    assert_eq!(web.bytes, Bytes(2000));
    assert_eq!((web.packets, web.dropped), (20, 2));
    assert_eq!(web.longest, Nanos(7));
    // What it waits for behind its own other cgroup is its own.
    assert_eq!(web.blamed.own, Nanos(5 + 7 + 4));
    assert_eq!(web.blamed.wait, Nanos(36));
    assert_eq!(web.blamed.unexplained, Nanos(1));
    let [(culprit, time)] = web.blamed.blame[..] else {
        panic!("{:?}", web.blamed);
    };
    assert_eq!(&*charged.parties[culprit].party.key, "/docker/batch");
    assert_eq!(time, Nanos(19));
    assert_eq!(row(&charged, "eth1", "/docker/web").blamed.wait, Nanos(2));
}

proptest! {
    #[test]
    fn own_blame_and_unexplained_add_up_to_the_wait(
        rows in proptest::collection::vec(
            (0..2_usize, 0..4_usize, 0..4_usize, 0..1_000_u64, 0..1_000_u64, 0..1_000_u64), 0..20),
    ) {
        let owners = [WEB, WEB_CHILD, BATCH, Owner::Unknown];
        let device = |at: usize| ["eth0", "eth1"][at];
        let charged = charged(
            rows.iter().map(|&(on, victim, _, own, unexplained, others)| {
                sent(device(on), owners[victim], own, unexplained, others)
            }).collect(),
            rows.iter().map(|&(on, victim, culprit, _, _, others)| {
                pair(device(on), owners[victim], owners[culprit], others)
            }).collect(),
        );
        let mut waited = 0;
        for stall in charged.stalls.network.as_ref().unwrap() {
            let blamed = &stall.blamed;
            let named: Nanos = blamed.blame.iter().map(|(_, time)| *time).sum();
            prop_assert_eq!(blamed.own + named + blamed.unexplained, blamed.wait);
            prop_assert!(blamed.blame.iter().all(|(culprit, _)| *culprit != blamed.party));
            waited += blamed.wait.0;
        }
        let told: u64 = rows.iter().map(|row| row.3 + row.4 + row.5).sum();
        prop_assert_eq!(waited, told);
    }
}
