//! What the eBPF part of every source costs a load that switches, reads, writes and sends, in two ways
//! that know nothing of each other: by the kernel's statistics, calibrated with an empty program, and by
//! the load's own CPU time in pairs of runs without and with all sources.

use crate::entering;
use crate::figures::{Table, interval, median, spread};
use crate::loads;
use crate::mixed::{Mixed, Ran};
use crate::switch;
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::sources::{Alone, Collector, CollectorOptions};
use dunnage_profiler::stop::Stop;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// What all sources together may cost the load, in percent of its CPU time.
const PROMISED: f64 = 2.0;

/// A window of the agent without the load, and then a time under it, which pass before a measurement: what
/// sources attach on demand, or for a part of the time only, is attached as it is in the long run then.
const SETTLING: Duration = Duration::from_secs(1);
const SETTLING_UNDER_LOAD: Duration = Duration::from_millis(2_500);

/// What is attached during a measurement.
#[derive(Clone, Copy)]
enum Attached {
    RunQueues,
    Alone(&'static str),
    All,
}

/// Keeps it attached; a call reads the tables, as at the end of every window.
type Loaded = Box<dyn FnMut()>;

impl Attached {
    fn name(self) -> &'static str {
        match self {
            Attached::RunQueues => "run queues",
            Attached::Alone(what) => what,
            Attached::All => "all together",
        }
    }

    fn load(self) -> anyhow::Result<Loaded> {
        Ok(match self {
            Attached::RunQueues => {
                let loaded = switch::load(switch::Attached::Sched)?;
                // It is read by nothing but the mapped tables: to hold it is enough.
                Box::new(move || {
                    let _ = &loaded;
                })
            }
            Attached::Alone(what) => {
                let mut alone = Alone::open(what)?;
                std::thread::sleep(SETTLING);
                drop(alone.window());
                Box::new(move || drop(alone.window()))
            }
            Attached::All => {
                let options = CollectorOptions {
                    want: Want::cpu(),
                    ebpf: true,
                    resources: true,
                    // The governor would measure itself out of the way.
                    cpu_budget: 1.0,
                };
                let mut collector = Collector::open(&HostRoot::default(), &options)?;
                let stop = Stop::new();
                drop(collector.observe(SETTLING, &stop));
                Box::new(move || drop(collector.observe(Duration::ZERO, &stop)))
            }
        })
    }
}

/// Measures all of it, with so many pairs of runs; the load's files are in `folder`.
pub(crate) fn measure(folder: &Path, pairs: u32, operations: u64) -> anyhow::Result<Table> {
    let mut table = Table::new();
    let mut contenders = vec![Attached::RunQueues];
    for what in Alone::all() {
        match Alone::open(what) {
            Ok(_) => contenders.push(Attached::Alone(what)),
            Err(why) => table.leave_out(what, why.to_string()),
        }
    }
    contenders.push(Attached::All);
    let mut load = Mixed::start(folder)?;
    // The first run fills the caches and is not counted.
    load.run(operations)?;
    say(&mut table, &load.run(operations)?);
    let entering = entering::measure(&mut table)?;
    for contender in contenders {
        let spent = statistics(contender, &mut load, operations)?;
        spent.add_to(&mut table, contender, entering);
    }
    let mut growth = Vec::new();
    for pair in 0..pairs {
        growth.push(grown(&mut load, operations, pair % 2 == 1)?);
    }
    let (low, high) = interval(&growth);
    table.add(
        "all together: CPU time an operation",
        median(&growth),
        "% more",
        Some(PROMISED),
        format!(
            "{low:.2} to {high:.2} with a confidence of 95 %; {}",
            spread(&growth)
        ),
    );
    Ok(table)
}

/// What the load is, so that the percentages can be judged.
fn say(table: &mut Table, load: &Ran) {
    let a_second = |count: u64| count as f64 / load.seconds;
    table.add(
        "the load: operations",
        a_second(load.operations),
        "a second",
        None,
        format!(
            "{:.0} switches, {:.0} reads and writes, {:.0} packets a second; {:.0} us of CPU an operation",
            a_second(load.switches),
            a_second(load.requests),
            a_second(load.packets),
            load.an_operation() * 1e6
        ),
    );
}

/// Runs the load until what is attached has found its pace.
fn settle(load: &mut Mixed, operations: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < SETTLING_UNDER_LOAD {
        load.run(operations)?;
    }
    Ok(())
}

/// By how many percent all sources make an operation dearer, from two runs next to each other. The order
/// alternates, so that a drift of the machine cancels out.
fn grown(load: &mut Mixed, operations: u64, with_first: bool) -> anyhow::Result<f64> {
    let with = |load: &mut Mixed| -> anyhow::Result<Ran> {
        let mut read = Attached::All.load()?;
        settle(load, operations)?;
        let ran = load.run(operations)?;
        read();
        Ok(ran)
    };
    let (with, without) = if with_first {
        (with(load)?, load.run(operations)?)
    } else {
        let without = load.run(operations)?;
        (with(load)?, without)
    };
    Ok((with.an_operation() / without.an_operation() - 1.0) * 100.0)
}

/// What the kernel's statistics say of one run.
struct Spent {
    /// CPU time of the load, nanoseconds.
    load: f64,
    /// Each program's name, its events and its run time in nanoseconds.
    programs: Vec<(String, f64, f64)>,
    /// What an event of an empty program reads as: the statistics' own clocks.
    clocks: f64,
    /// CPU time of the threads that attach programs and take them away, nanoseconds.
    switching: f64,
}

/// CPU time of this process's other threads so far, nanoseconds: those that sources keep, while this one
/// waits for the load. Sources that end a thread take its time away with it.
fn own_threads() -> anyhow::Result<f64> {
    let main = std::process::id().to_string();
    let mut nanos = 0.0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?;
        if task.file_name() == *main {
            continue;
        }
        nanos += loads::thread_nanos(&task.path())?;
    }
    Ok(nanos)
}

/// Run time of the programs by the kernel's own statistics. They hold what runs in interrupts, which
/// others' CPU time holds, and the statistics' own clocks. An empty program beside them says how much
/// those are.
fn statistics(attached: Attached, load: &mut Mixed, operations: u64) -> anyhow::Result<Spent> {
    let _statistics = enable_stats(Stats::RunTime)?;
    let ids = || -> HashSet<u32> { loaded_programs().flatten().map(|p| p.id()).collect() };
    let others = ids();
    let _empty = switch::load(switch::Attached::Empty)?;
    let before_it = ids();
    let mut read = attached.load()?;
    settle(load, operations)?;
    let settled: HashMap<u32, (u64, Duration)> = loaded_programs()
        .flatten()
        .map(|program| (program.id(), (program.run_count(), program.run_time())))
        .collect();
    let switched = own_threads()?;
    let ran = load.run(operations)?;
    let switching = (own_threads()? - switched).max(0.0);
    read();
    let mut spent = Spent {
        load: ran.cpu_seconds * 1e9,
        programs: Vec::new(),
        clocks: 0.0,
        switching,
    };
    for program in loaded_programs().flatten() {
        let (count, time) = settled.get(&program.id()).copied().unwrap_or_default();
        let events = (program.run_count() - count) as f64;
        if others.contains(&program.id()) || events == 0.0 {
            continue;
        }
        let nanos = (program.run_time() - time).as_secs_f64() * 1e9;
        if before_it.contains(&program.id()) {
            spent.clocks = nanos / events;
        } else {
            let name = program.name_as_str().unwrap_or("?").to_owned();
            spent.programs.push((name, events, nanos));
        }
    }
    Ok(spent)
}

impl Spent {
    fn add_to(&self, table: &mut Table, attached: Attached, entering: f64) {
        let percent = |nanos: f64| nanos / self.load * 100.0;
        let events: f64 = self.programs.iter().map(|(_, events, _)| events).sum();
        let read: f64 = self.programs.iter().map(|(_, _, nanos)| nanos).sum();
        let own = |(_, events, nanos): &(String, f64, f64)| (nanos - events * self.clocks).max(0.0);
        let net: f64 = self.programs.iter().map(own).sum();
        let mut parts: Vec<_> = self.programs.iter().map(|part| (own(part), part)).collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0));
        let parts: Vec<String> = parts
            .into_iter()
            .map(|(own, (name, events, _))| format!("{name} {events:.0} x {:.0} ns", own / events))
            .collect();
        table.add(
            format!("{}: in the programs", attached.name()),
            percent(net),
            "% of its CPU",
            None,
            format!(
                "{:.2} % with the statistics' clocks of {:.0} ns; {}",
                percent(read),
                self.clocks,
                parts.join(", ")
            ),
        );
        table.add(
            format!("{}: and to enter them", attached.name()),
            percent(net + events * entering),
            "% of its CPU",
            None,
            format!("{events:.0} events"),
        );
        table.add(
            format!("{}: and to attach and detach them", attached.name()),
            percent(net + events * entering + self.switching),
            "% of its CPU",
            matches!(attached, Attached::All).then_some(PROMISED),
            format!("{:.2} ms of CPU time in threads", self.switching / 1e6),
        );
    }
}
