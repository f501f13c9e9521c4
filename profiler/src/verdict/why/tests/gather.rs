//! From a window and a close look to the answer: that the right numbers reach the decision.

use crate::tests_support::{party_use, window};
use crate::verdict::why::why;
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::{
    CloseReading, CloseUp, ContainerView, CpuTimes, LevelReading, MemoryEvents, OwnerCpu, Sourced,
    TaskReading, TaskSwitches,
};
use dunnage_model::party::{Party, PartyKind};
use dunnage_model::units::{Bytes, Nanos};
use dunnage_model::usage::{PartyUse, PartyWait, PressureUse, WindowUse};
use dunnage_model::verdict::{Fact, Judgement, Resource};
use dunnage_model::why::{Answer, Limiter, Why};
use std::collections::BTreeMap;

fn told<T>(value: T, file: &str) -> Option<Sourced<T>> {
    Some(Sourced {
        value,
        file: format!("/sys/fs/cgroup/docker/web/{file}").into(),
    })
}

fn container(name: &str, seconds: f64) -> PartyUse {
    let path = format!("/docker/{name}");
    let mut party = Party::new(path.as_str(), PartyKind::Container, name);
    party.cgroup = Some(path);
    party_use(party, seconds)
}

/// `web`, which used 5 s, and `batch`, which used 14 s, on two CPUs in 10 s.
fn world() -> (WindowUse, CloseUp) {
    let mut web = container("web", 5.0);
    web.pressure = PressureUse {
        cpu_some: Some(0.4),
        memory_some: Some(0.0),
        io_some: Some(0.0),
        ..PressureUse::default()
    };
    let window = WindowUse {
        machine: CpuTimes {
            user: Nanos::from_seconds(19.5),
            idle: Nanos::from_seconds(0.5),
            ..CpuTimes::default()
        },
        waits: Some(Vec::new()),
        ..window(vec![web, container("batch", 14.0)])
    };
    let level = LevelReading {
        path: "/docker/web".into(),
        throttled: told(Nanos::ZERO, "cpu.stat"),
        memory_events: told(MemoryEvents::default(), "memory.events"),
        forks_refused: told(3, "pids.events"),
        ..LevelReading::default()
    };
    let reading = CloseReading {
        levels: vec![level],
        tasks: Some(TaskReading::default()),
        memory_available: Some(0.5),
    };
    let close = CloseUp {
        before: reading.clone(),
        after: reading,
        view: ContainerView::default(),
    };
    (window, close)
}

fn ask(window: &WindowUse, close: &CloseUp) -> Why {
    why(
        window,
        "/docker/web",
        &Judgement::default(),
        &BTreeMap::new(),
        close,
    )
    .unwrap()
}

fn of(why: &Why, resource: Resource) -> &Answer {
    let mut answers = why.answers.iter();
    answers.find(|answer| answer.resource == resource).unwrap()
}

fn number(answer: &Answer, name: &str) -> f64 {
    match answer.facts.get(name) {
        Some(Fact::Number(number)) => *number,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn throttled_time_is_what_the_file_grew_by_and_names_the_file() {
    let (window, mut close) = world();
    close.before.levels[0].throttled = told(Nanos::from_seconds(100.0), "cpu.stat");
    close.after.levels[0].throttled = told(Nanos::from_seconds(104.0), "cpu.stat");
    close.after.levels[0].quota_cpus = told(0.5, "cpu.max");
    let why = ask(&window, &close);
    let cpu = of(&why, Resource::Cpu);
    assert_eq!(cpu.limited_by, Limiter::Cap);
    let metric = cpu.metric.as_ref().unwrap();
    assert_eq!((metric.name, metric.value), ("throttled_seconds", 4.0));
    assert_eq!(metric.read_from, "/sys/fs/cgroup/docker/web/cpu.stat");
}

#[test]
fn a_container_that_is_paused_is_told_so_with_the_way_out() {
    let (mut window, mut close) = world();
    window.parties[0] = container("web", 0.0);
    let mut web = (*window.parties[0].party).clone();
    web.engine = Some("docker".to_owned());
    window.parties[0].party = web.into();
    close.after.levels[0].frozen = told(true, "freezer.state");
    let thawed = of(&ask(&window, &close), Resource::Cpu).limited_by;
    assert_eq!(thawed, Limiter::Nothing, "it ran for a part of the window");
    close.before.levels[0].frozen = told(true, "freezer.state");
    let why = ask(&window, &close);
    let cpu = of(&why, Resource::Cpu);
    assert_eq!(cpu.limited_by, Limiter::Cap);
    let metric = cpu.metric.as_ref().unwrap();
    assert_eq!((metric.name, metric.value), ("frozen_cgroups", 1.0));
    assert_eq!(metric.read_from, "/sys/fs/cgroup/docker/web/freezer.state");
    assert_eq!(
        cpu.advice.as_deref(),
        Some("let it run: docker unpause web")
    );
}

#[test]
fn throttled_time_of_a_quota_that_was_taken_away_is_no_cap() {
    let (window, mut close) = world();
    close.after.levels[0].throttled = told(Nanos::from_seconds(4.0), "cpu.stat");
    let why = ask(&window, &close);
    assert_eq!(of(&why, Resource::Cpu).limited_by, Limiter::Nothing);
}

#[test]
fn waits_are_split_over_itself_and_others() {
    let (mut window, close) = world();
    let seconds = Nanos::from_seconds;
    window.waits = Some(vec![PartyWait {
        party: 0,
        wait: seconds(6.0),
        throttled: Nanos::ZERO,
        blame: vec![(0, seconds(1.0)), (1, seconds(5.0))],
        unexplained: Nanos::ZERO,
        apportioned: Nanos::ZERO,
        waking: Nanos::ZERO,
        waits: 100,
        wakes: 100,
        p99: None,
    }]);
    let why = ask(&window, &close);
    let cpu = of(&why, Resource::Cpu);
    assert_eq!(cpu.limited_by, Limiter::Share);
    let metric = cpu.metric.as_ref().unwrap();
    assert_eq!((metric.name, metric.value), ("behind_others_seconds", 5.0));
    assert!(
        metric.read_from.ends_with("in cgroup /docker/web"),
        "{metric:?}"
    );
}

#[test]
fn only_the_cpus_that_it_may_use_count() {
    let (mut window, mut close) = world();
    let on = |cpu, run| OwnerCpu {
        cpu,
        run: Nanos::from_seconds(run),
        wait: Nanos::ZERO,
    };
    window.parties[0].cpu.cpus = vec![on(1, 5.0)];
    window.parties[1].cpu.cpus = vec![on(0, 10.0), on(1, 4.0)];
    let tasks = close.after.tasks.as_mut().unwrap();
    tasks.allowed = CpuSet::parse("1");
    let why = ask(&window, &close);
    let cpu = of(&why, Resource::Cpu);
    assert_eq!(number(cpu, "usable_cpus"), 1.0);
    assert_eq!(number(cpu, "others_used_seconds"), 4.0);
    assert!((number(cpu, "idle_seconds") - 1.0).abs() < 1e-9);
}

#[test]
fn switches_of_new_threads_count_and_those_of_before_do_not() {
    let (window, mut close) = world();
    let switches = |voluntary, involuntary| TaskSwitches {
        voluntary,
        involuntary,
    };
    let before = close.before.tasks.as_mut().unwrap();
    before.switches = BTreeMap::from([(7, switches(100, 50))]);
    let after = close.after.tasks.as_mut().unwrap();
    after.switches = BTreeMap::from([(7, switches(110, 70)), (8, switches(1, 2))]);
    let why = ask(&window, &close);
    let cpu = of(&why, Resource::Cpu);
    assert_eq!(number(cpu, "voluntary_switches"), 11.0);
    assert_eq!(number(cpu, "involuntary_switches"), 22.0);
}

#[test]
fn forks_refused_before_the_window_do_not_count() {
    let (window, mut close) = world();
    assert_eq!(
        of(&ask(&window, &close), Resource::Cpu).limited_by,
        Limiter::Nothing
    );
    close.after.levels[0].forks_refused = told(5, "pids.events");
    let why = ask(&window, &close);
    let cpu = of(&why, Resource::Cpu);
    assert_eq!(cpu.limited_by, Limiter::Cap);
    assert_eq!(number(cpu, "forks_refused"), 2.0);
}

#[test]
fn a_container_that_sees_more_than_it_may_use_is_told_so() {
    let (window, mut close) = world();
    close.view = ContainerView {
        cpus: Some(8),
        memory_total: Some(Bytes(16 << 30)),
        load_average: Some(6.5),
    };
    close.after.levels[0].quota_cpus = told(0.5, "cpu.max");
    close.after.levels[0].memory_max = told(Bytes(512 << 20), "memory.max");
    let view = ask(&window, &close).view;
    let cpus = &view[0];
    assert_eq!((cpus.sees, cpus.may_use), (8.0, Some(0.5)));
    assert!(
        cpus.evidence.contains("sees 8 CPUs and may use 0.5"),
        "{}",
        cpus.evidence
    );
    assert_eq!(
        cpus.told_by.as_deref(),
        Some("/sys/fs/cgroup/docker/web/cpu.max")
    );
    assert_eq!(
        (view[1].what, view[1].may_use),
        ("memory", Some(536_870_912.0))
    );
    assert!(view[1].evidence.contains("16 GiB"), "{}", view[1].evidence);
    assert_eq!(view[2].what, "load average");
}

#[test]
fn a_container_without_limits_or_behind_lxcfs_is_not_misled() {
    let (window, mut close) = world();
    assert!(ask(&window, &close).view.is_empty());
    close.view.cpus = Some(2);
    close.view.memory_total = Some(Bytes(16 << 30));
    assert!(ask(&window, &close).view.is_empty());
}

#[test]
fn a_party_that_is_gone_has_no_answer() {
    let (window, close) = world();
    let none = why(
        &window,
        "/docker/gone",
        &Judgement::default(),
        &BTreeMap::new(),
        &close,
    );
    assert!(none.is_none());
}
