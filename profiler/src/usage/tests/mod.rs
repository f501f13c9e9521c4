//! Hand-made windows, one a rule.

mod disk;
mod interrupts;
mod link;
mod property;

use super::*;
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::*;
use dunnage_model::units::Bytes;

const SECOND: u64 = 1_000_000_000;

/// `/docker/ID` and `/kubepods/POD/ID` are containers with all that is below; the rest is itself.
struct Names;

impl PartyLookup for Names {
    fn of_cgroup(&self, path: &str) -> Arc<Party> {
        let depth = match path.split('/').nth(1) {
            Some("docker") => 2,
            Some("kubepods") => 3,
            _ => usize::MAX,
        };
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let mut party = if parts.len() >= depth {
            let root = format!("/{}", parts[..depth].join("/"));
            let mut party = Party::new(root.as_str(), PartyKind::Container, parts[depth - 1]);
            party.cgroup = Some(root);
            party
        } else {
            let mut party = Party::new(path, PartyKind::Service, path);
            party.cgroup = Some(path.to_owned());
            party
        };
        if party.name == "sandbox" {
            party.pod = Some(dunnage_model::party::Pod {
                namespace: None,
                name: None,
                uid: None,
                container: Some("POD".to_owned()),
            });
        }
        Arc::new(party)
    }

    fn of_root_process(&self, command: &str) -> Arc<Party> {
        Arc::new(Party::root_command(command))
    }
}

fn id(path: &str) -> u64 {
    path.bytes()
        .fold(7, |hash, byte| hash * 31 % 1_000_003 + u64::from(byte))
}

fn cgroup(path: &str, seconds: f64) -> CgroupReading {
    CgroupReading {
        path: Arc::from(path),
        v2_id: Some(id(path)),
        cpu: Some(CgroupCpu {
            usage: Nanos::from_seconds(seconds),
            ..CgroupCpu::default()
        }),
        ..CgroupReading::default()
    }
}

fn window(busy: f64, before: Vec<CgroupReading>, after: Vec<CgroupReading>) -> Observation {
    let mut observation = Observation {
        host: Host {
            name: "n".into(),
            kernel: "6".into(),
            cpus: 4,
            cgroup: CgroupLayout::V2,
        },
        resources: ResourceWindows::default(),
        before: Arc::new(Snapshot {
            cgroups: before,
            ..Snapshot::default()
        }),
        after: Arc::new(Snapshot {
            cgroups: after,
            ..Snapshot::default()
        }),
        sched: None,
        sockets: None,
        gaps: Vec::new(),
    };
    Arc::make_mut(&mut observation.after).monotonic = Nanos(10 * SECOND);
    Arc::make_mut(&mut observation.after).machine.cpu.system = Nanos::from_seconds(busy);
    observation
}

fn owner(owner: Owner, path: Option<&str>, run: f64, wait: f64) -> OwnerWindow {
    OwnerWindow {
        owner,
        path: path.map(Arc::from),
        command: None,
        cpus: vec![OwnerCpu {
            cpu: 1,
            run: Nanos::from_seconds(run),
            wait: Nanos::from_seconds(wait),
        }],
        throttled: Nanos::ZERO,
        unexplained: Nanos::ZERO,
        apportioned: Nanos::ZERO,
        waking: Nanos::ZERO,
        waits: 0,
        wakes: 0,
        histogram: [0; WAIT_BUCKETS],
    }
}

fn sched(owners: Vec<OwnerWindow>, pairs: Vec<BlamePair>) -> Option<SchedWindow> {
    Some(SchedWindow {
        fidelity: Fidelity::Exact,
        owners,
        pairs,
        events: 1,
        event_cost: Nanos(1),
    })
}

fn party<'a>(charged: &'a WindowUse, key: &str) -> &'a PartyUse {
    charged
        .parties
        .iter()
        .find(|party| &*party.party.key == key)
        .unwrap_or_else(|| {
            panic!(
                "no {key} in {:?}",
                charged
                    .parties
                    .iter()
                    .map(|p| &p.party.key)
                    .collect::<Vec<_>>()
            )
        })
}

fn used(charged: &WindowUse, key: &str) -> f64 {
    (party(charged, key).cpu.usage.seconds() * 1e6).round() / 1e6
}

fn sum(charged: &WindowUse) -> Nanos {
    let charged = charged.parties.iter();
    charged
        .filter(|p| p.party.kind != PartyKind::Hypervisor)
        .map(|p| p.cpu.usage)
        .sum()
}

#[test]
fn a_party_has_what_the_parties_inside_it_have_not() {
    let before = vec![
        cgroup("/", 0.0),
        cgroup("/docker", 10.0),
        cgroup("/docker/a", 4.0),
    ];
    let after = vec![
        cgroup("/", 9.0),
        cgroup("/docker", 17.0),
        cgroup("/docker/a", 8.0),
        cgroup("/docker/a/inner", 1.0),
        cgroup("/docker/born", 2.0),
    ];
    let charged = charge(&window(8.0, before, after), &Names);
    assert_eq!(used(&charged, "/docker/a"), 4.0);
    assert_eq!(used(&charged, "/docker/born"), 2.0);
    assert_eq!(used(&charged, "/docker"), 1.0);
    assert_eq!(used(&charged, "kernel"), 1.0);
    assert!(
        charged
            .parties
            .iter()
            .all(|party| &*party.party.key != "/docker/a/inner")
    );
    assert_eq!(sum(&charged), charged.machine.busy());
    assert_eq!(
        charged.parties.last().unwrap().party.kind,
        PartyKind::Kernel
    );
}

#[test]
fn who_went_away_gets_its_time_back_from_its_parent() {
    let before = vec![cgroup("/docker", 10.0), cgroup("/docker/gone", 4.0)];
    let after = vec![cgroup("/docker", 13.0)];
    let mut observation = window(5.0, before, after);
    let without = charge(&observation, &Names);
    assert_eq!(used(&without, "/docker"), 3.0);
    assert!(
        without
            .parties
            .iter()
            .all(|party| &*party.party.key != "/docker/gone")
    );
    observation.sched = sched(
        vec![
            owner(Owner::V2(id("/docker/gone")), None, 2.0, 0.0),
            owner(Owner::V2(99), Some("/docker/brief"), 0.5, 0.0),
            owner(Owner::V2(98), Some("/top"), 0.25, 0.0),
            owner(Owner::V2(97), None, 0.125, 0.5),
        ],
        Vec::new(),
    );
    let charged = charge(&observation, &Names);
    assert_eq!(used(&charged, "/docker/gone"), 2.0);
    assert_eq!(used(&charged, "/docker/brief"), 0.5);
    assert_eq!(used(&charged, "/docker"), 0.5);
    assert_eq!(used(&charged, "/top"), 0.25);
    assert_eq!(used(&charged, "?vanished cgroup"), 0.125);
    assert_eq!(used(&charged, "kernel"), 1.625);
    assert_eq!(sum(&charged), charged.machine.busy());
}

#[test]
fn a_cgroup_made_anew_at_the_same_path_counts_both_lives() {
    let before = vec![cgroup("/docker", 10.0), cgroup("/docker/a", 4.0)];
    let mut anew = cgroup("/docker/a", 1.0);
    anew.v2_id = Some(5);
    let mut observation = window(4.0, before, vec![cgroup("/docker", 14.0), anew]);
    observation.sched = sched(
        vec![
            owner(Owner::V2(id("/docker/a")), Some("/docker/a"), 2.0, 0.0),
            owner(Owner::V2(5), Some("/docker/a"), 1.1, 0.0),
        ],
        Vec::new(),
    );
    let charged = charge(&observation, &Names);
    assert_eq!(used(&charged, "/docker/a"), 3.0);
    assert_eq!(used(&charged, "/docker"), 1.0);
    assert_eq!(sum(&charged), charged.machine.busy());
}

#[test]
fn the_root_cgroup_is_split_into_commands_and_kernel() {
    let process = |pid, start, command: &str, seconds| ProcessReading {
        pid,
        start_ticks: start,
        command: Arc::from(command),
        cpu: Nanos::from_seconds(seconds),
        threads: 3,
    };
    let mut observation = window(6.0, Vec::new(), vec![cgroup("/a", 1.0)]);
    Arc::make_mut(&mut observation.before).root_processes =
        vec![process(1, 1, "sshd", 5.0), process(9, 1, "cc", 50.0)];
    Arc::make_mut(&mut observation.after).root_processes = vec![
        process(1, 1, "sshd", 6.0),
        process(2, 2, "sshd", 0.5),
        process(9, 7, "cc", 1.5),
    ];
    let charged = charge(&observation, &Names);
    assert_eq!(used(&charged, "command:sshd"), 1.5);
    assert_eq!(party(&charged, "command:sshd").threads, Some(6));
    assert_eq!(party(&charged, "command:sshd").processes, Some(2));
    assert_eq!(used(&charged, "command:cc"), 1.5);
    assert_eq!(used(&charged, "kernel"), 2.0);
    assert_eq!(sum(&charged), charged.machine.busy());

    let mut brief = owner(Owner::RootCommand(33), None, 2.0, 0.0);
    brief.command = Some(Arc::from("make"));
    let mut known = owner(Owner::RootCommand(1), None, 1.0, 0.0);
    known.command = Some(Arc::from("sshd"));
    let kernel = owner(Owner::Kernel, None, 0.7, 0.0);
    observation.sched = sched(vec![brief, known, kernel], Vec::new());
    let charged = charge(&observation, &Names);
    assert_eq!(used(&charged, "command:make"), 2.0);
    assert_eq!(used(&charged, "command:sshd"), 1.0);
    assert_eq!(used(&charged, "kernel"), 2.0);
    assert_eq!(sum(&charged), charged.machine.busy());
}

#[test]
fn steal_is_the_hypervisors_and_what_it_swelled_is_taken_back() {
    let mut observation = window(4.0, Vec::new(), vec![cgroup("/a", 3.3), cgroup("/b", 1.1)]);
    Arc::make_mut(&mut observation.after).machine.cpu.steal = Nanos::from_seconds(0.4);
    let charged = charge(&observation, &Names);
    assert_eq!(used(&charged, "hypervisor"), 0.4);
    assert_eq!((used(&charged, "/a"), used(&charged, "/b")), (3.0, 1.0));
    assert_eq!(used(&charged, "kernel"), 0.0);
    assert_eq!(sum(&charged), charged.machine.busy());

    Arc::make_mut(&mut observation.after).machine.cpu.steal = Nanos::ZERO;
    let charged = charge(&observation, &Names);
    assert_eq!((used(&charged, "/a"), used(&charged, "kernel")), (3.3, 0.0));
}

#[test]
fn waits_and_blame_are_merged_by_party() {
    let after = vec![
        cgroup("/docker/v", 1.0),
        cgroup("/docker/v/in", 0.5),
        cgroup("/docker/c", 3.0),
    ];
    let mut observation = window(4.0, Vec::new(), after);
    let (v, inner, c) = (
        Owner::V2(id("/docker/v")),
        Owner::V2(id("/docker/v/in")),
        Owner::V2(id("/docker/c")),
    );
    let pair = |victim, culprit, seconds| BlamePair {
        victim,
        culprit,
        time: Nanos::from_seconds(seconds),
    };
    let mut waiting = owner(v, Some("/docker/v"), 0.5, 2.0);
    waiting.unexplained = Nanos::from_seconds(0.25);
    waiting.throttled = Nanos::from_seconds(0.125);
    waiting.waits = 3;
    waiting.histogram[4] = 3;
    let mut unknown = owner(Owner::Unknown, None, 0.5, 0.0);
    unknown.cpus[0].cpu = 3;
    observation.sched = sched(
        vec![
            waiting,
            owner(inner, Some("/docker/v/in"), 0.5, 1.0),
            owner(c, None, 3.0, 0.0),
            unknown,
        ],
        vec![
            pair(v, c, 1.0),
            pair(v, inner, 0.25),
            pair(v, Owner::Unknown, 0.25),
            pair(inner, c, 1.0),
        ],
    );
    let charged = charge(&observation, &Names);
    let rows = charged.waits.as_ref().unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(&*charged.parties[row.party].party.key, "/docker/v");
    let blame: Vec<(&str, f64)> = row
        .blame
        .iter()
        .map(|&(index, time)| (&*charged.parties[index].party.key, time.seconds()))
        .collect();
    assert!(blame.contains(&("/docker/c", 2.0)), "{blame:?}");
    assert!(blame.contains(&("/docker/v", 0.25)), "{blame:?}");
    assert!(blame.contains(&("?unattributed", 0.25)), "{blame:?}");
    // 3 s waited on the queues, 2.5 s named, the rest is unexplained.
    assert_eq!(row.wait, Nanos(3 * SECOND));
    assert_eq!(row.unexplained, Nanos(SECOND / 2));
    assert_eq!((row.throttled, row.waits), (Nanos(SECOND / 8), 3));
    assert!(row.p99.unwrap() < Nanos(1 << 15));
    let victim = party(&charged, "/docker/v");
    assert_eq!(victim.cpu.runqueue_wait, Some(Nanos(3 * SECOND)));
    assert_eq!(victim.cpu.cpus.len(), 1);
    assert_eq!(
        party(&charged, "kernel").cpu.runqueue_wait,
        Some(Nanos::ZERO)
    );
}

#[test]
fn claims_hold_the_chain_of_weights_quotas_and_the_cpuset() {
    let mut slice = cgroup("/kubepods", 1.0);
    slice.cpu_limits = CpuLimits {
        weight: Some(50.0),
        quota_cpus: Some(1.5),
        ..CpuLimits::default()
    };
    slice.cpu.as_mut().unwrap().throttled = Some(Nanos(SECOND));
    let mut earlier = slice.clone();
    earlier.cpu.as_mut().unwrap().throttled = Some(Nanos(SECOND / 4));
    let mut pod = cgroup("/kubepods/p", 1.0);
    pod.cpu_limits.cpuset = CpuSet::parse("0-1");
    let mut own = cgroup("/kubepods/p/c", 1.0);
    own.cpu_limits = CpuLimits {
        weight: Some(10.0),
        quota_cpus: Some(0.5),
        ..CpuLimits::default()
    };
    own.cpu.as_mut().unwrap().throttled_periods = Some(4);
    let charged = charge(&window(1.0, vec![earlier], vec![slice, pod, own]), &Names);
    let container = party(&charged, "/kubepods/p/c");
    let claim = &container.claim;
    let weights: Vec<(&str, f64)> = claim.weights.iter().map(|w| (&*w.path, w.weight)).collect();
    assert_eq!(weights, [("/kubepods", 50.0), ("/kubepods/p/c", 10.0)]);
    assert_eq!(claim.quota_cpus, Some(0.5));
    assert_eq!(claim.parent_quotas.len(), 1);
    assert_eq!(claim.parent_quotas[0].cpus, 1.5);
    assert_eq!(claim.parent_quotas[0].throttled, Nanos(SECOND * 3 / 4));
    assert_eq!(claim.cpuset, CpuSet::parse("0-1"));
    assert_eq!(container.cpu.throttled_periods, Some(4));
    assert_eq!(party(&charged, "kernel").claim.weights, []);
}

#[test]
fn memory_takes_the_tightest_limit_and_leaves_nested_parties_out() {
    let memory = |used, limit: Option<u64>, faults| CgroupMemory {
        used: Bytes(used),
        limit: limit.map(Bytes),
        major_faults: Some(faults),
        ..CgroupMemory::default()
    };
    let with = |path: &str, memory| CgroupReading {
        memory: Some(memory),
        ..cgroup(path, 0.0)
    };
    let before = vec![
        with("/docker", memory(1, None, 10)),
        with("/docker/a", memory(1, None, 3)),
    ];
    let after = vec![
        with("/docker", memory(1000, Some(4096), 20)),
        with("/docker/a", memory(700, Some(9000), 8)),
    ];
    let charged = charge(&window(1.0, before, after), &Names);
    let own = party(&charged, "/docker/a").memory.unwrap();
    assert_eq!(
        (own.used, own.limit, own.major_faults),
        (Bytes(700), Some(Bytes(4096)), Some(5))
    );
    let parent = party(&charged, "/docker").memory.unwrap();
    assert_eq!((parent.used, parent.major_faults), (Bytes(300), Some(5)));
}

#[test]
fn disks_add_up_to_the_machine() {
    let io = |read, name: Option<&str>| DeviceIo {
        major: 8,
        minor: 0,
        name: name.map(Arc::from),
        read: Bytes(read),
        reads: read / 10,
        ..DeviceIo::default()
    };
    let with = |path: &str, read| CgroupReading {
        io: Some(vec![io(read, None)]),
        ..cgroup(path, 0.0)
    };
    let mut observation = window(
        1.0,
        vec![with("/docker", 100), with("/docker/a", 50)],
        vec![
            with("/docker", 400),
            with("/docker/a", 250),
            with("/docker/b", 40),
        ],
    );
    Arc::make_mut(&mut observation.before).machine.disks = vec![io(1000, Some("sda"))];
    Arc::make_mut(&mut observation.after).machine.disks = vec![io(1500, Some("sda"))];
    let charged = charge(&observation, &Names);
    let read = |key: &str| {
        let disk = party(&charged, key).disk.as_ref().unwrap();
        (disk[0].device.to_string(), disk[0].read.0)
    };
    assert_eq!(read("/docker/a"), ("sda".to_owned(), 200));
    assert_eq!(read("/docker/b"), ("sda".to_owned(), 40));
    assert_eq!(read("/docker"), ("sda".to_owned(), 60));
    assert_eq!(read("kernel"), ("sda".to_owned(), 200));
}

#[test]
fn a_namespace_counts_once_and_the_host_by_sockets() {
    let net = |path: &str, namespace, received, host| CgroupReading {
        network: Some(NetworkReading {
            namespace,
            host,
            received: Bytes(received),
            ..NetworkReading::default()
        }),
        ..cgroup(path, 0.0)
    };
    let mut observation = window(
        1.0,
        vec![net("/kubepods/p/app", 5, 100, false)],
        vec![
            net("/docker/host", 1, 9999, true),
            net("/kubepods/p/app", 5, 350, false),
            net("/kubepods/p/b", 5, 350, false),
            net("/kubepods/p/a-sandbox", 6, 0, false),
            net("/kubepods/p/sandbox", 5, 350, false),
        ],
    );
    let charged = charge(&observation, &Names);
    assert_eq!(
        party(&charged, "/kubepods/p/app").network.unwrap().received,
        Bytes(250)
    );
    assert_eq!(
        party(&charged, "/kubepods/p/app").network.unwrap().dropped,
        Some(0)
    );
    assert_eq!(party(&charged, "/kubepods/p/b").network, None);
    assert_eq!(party(&charged, "/kubepods/p/sandbox").network, None);
    assert_eq!(party(&charged, "/docker/host").network, None);
    observation.sockets = Some(vec![SocketTraffic {
        v2_id: id("/docker/host"),
        received: Bytes(70),
        sent: Bytes(7),
    }]);
    let charged = charge(&observation, &Names);
    let host = party(&charged, "/docker/host").network.unwrap();
    assert_eq!(
        (host.received, host.sent, host.dropped),
        (Bytes(70), Bytes(7), None)
    );
}

#[test]
fn pressure_is_a_share_of_the_window_and_tasks_are_summed() {
    let total = |seconds: u64| PressureTotals {
        some: Nanos(seconds * SECOND),
        full: None,
    };
    let mut before = cgroup("/docker/a", 0.0);
    before.pressure.cpu = Some(total(1));
    let mut after = cgroup("/docker/a", 0.0);
    after.pressure.cpu = Some(total(6));
    after.pressure.io = Some(total(60));
    after.threads = Some(9);
    after.processes = Some(1);
    let mut inner = cgroup("/docker/a/in", 0.0);
    inner.threads = Some(4);
    inner.processes = Some(3);
    let charged = charge(&window(1.0, vec![before], vec![after, inner]), &Names);
    let container = party(&charged, "/docker/a");
    assert_eq!(container.pressure.cpu_some, Some(0.5));
    assert_eq!(container.pressure.cpu_full, None);
    assert_eq!(container.pressure.io_some, None);
    assert_eq!((container.processes, container.threads), (Some(4), Some(9)));
}

#[test]
fn an_empty_window_charges_nobody() {
    let charged = charge(&window(0.0, Vec::new(), Vec::new()), &Names);
    assert_eq!(charged.parties.len(), 1);
    assert_eq!(charged.waits.map(|rows| rows.len()), None);
}

#[test]
fn without_the_schedulers_account_user_time_of_nobody_is_no_kernels() {
    let mut observation = window(2.0, Vec::new(), vec![cgroup("/a", 1.0)]);
    Arc::make_mut(&mut observation.after).machine.cpu.user = Nanos(4 * SECOND);
    let charged = charge(&observation, &Names);
    assert_eq!(used(&charged, "?vanished processes"), 3.0);
    assert_eq!(used(&charged, "kernel"), 2.0);
    assert_eq!(sum(&charged), charged.machine.busy());
    observation.sched = sched(Vec::new(), Vec::new());
    assert_eq!(used(&charge(&observation, &Names), "kernel"), 5.0);
}

#[test]
fn refused_forks_are_those_of_the_window_and_counted_once() {
    let limited = |path: &str, refused: u64| CgroupReading {
        pids: Some(CgroupPids { limit: 20, refused }),
        ..cgroup(path, 0.0)
    };
    let before = vec![
        limited("/docker/a", 5),
        limited("/docker/quiet", 9),
        cgroup("/docker/late", 0.0),
    ];
    let after = vec![
        limited("/docker/a", 8),
        limited("/docker/a/in", 3),
        limited("/docker/quiet", 9),
        limited("/docker/late", 7),
    ];
    let charged = charge(&window(1.0, before, after), &Names);
    let rows = charged.stalls.forks.as_ref().unwrap();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(&*charged.parties[row.party].party.key, "/docker/a");
    assert_eq!((row.refused, row.limit), (3, 20));
}
