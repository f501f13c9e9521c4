//! What the eBPF part of every source costs a load that switches, reads, writes and sends: each alone and
//! all together, beside nothing, in interleaved rounds.

use crate::figures::{Table, median, spread};
use crate::mixed::{self, Ran};
use crate::switch;
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use dunnage_profiler::host::HostRoot;
use dunnage_profiler::sources::cgroup::Want;
use dunnage_profiler::sources::{Alone, Collector, CollectorOptions};
use dunnage_profiler::stop::Stop;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// What all sources together may cost the load, in percent of its CPU time.
const PROMISED: f64 = 2.0;

/// What is attached during a measurement.
#[derive(Clone, Copy)]
enum Attached {
    Nothing,
    RunQueues,
    Alone(&'static str),
    All,
}

/// Keeps it attached; a call reads the tables, as at the end of every window.
type Loaded = Box<dyn FnMut()>;

impl Attached {
    fn name(self) -> &'static str {
        match self {
            Attached::Nothing => "nothing",
            Attached::RunQueues => "run queues",
            Attached::Alone(what) => what,
            Attached::All => "all together",
        }
    }

    fn load(self) -> anyhow::Result<Loaded> {
        Ok(match self {
            Attached::Nothing => Box::new(|| ()),
            Attached::RunQueues => {
                let loaded = switch::load(switch::Attached::Sched)?;
                // It is read by nothing but the mapped tables: to hold it is enough.
                Box::new(move || {
                    let _ = &loaded;
                })
            }
            Attached::Alone(what) => {
                let mut alone = Alone::open(what)?;
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
                Box::new(move || drop(collector.observe(Duration::ZERO, &stop)))
            }
        })
    }
}

/// Measures all of it; the load's files are in `folder`.
pub(crate) fn measure(folder: &Path, rounds: u32, operations: u64) -> anyhow::Result<Table> {
    let mut table = Table::new();
    let mut contenders = vec![Attached::RunQueues];
    for what in Alone::all() {
        match Alone::open(what) {
            Ok(_) => contenders.push(Attached::Alone(what)),
            Err(why) => table.leave_out(what, why.to_string()),
        }
    }
    contenders.push(Attached::All);
    // The first run fills the caches and is not counted.
    let load = mixed::in_child(folder, operations, &mut || ())?;
    say(&mut table, &load);
    let mut growth = vec![Vec::new(); contenders.len()];
    for round in 0..rounds as usize {
        let nothing = one(Attached::Nothing, folder, operations)?;
        for turn in 0..contenders.len() {
            let at = (turn + round) % contenders.len();
            let with = one(contenders[at], folder, operations)?;
            growth[at].push((with.an_operation() / nothing.an_operation() - 1.0) * 100.0);
        }
    }
    for (contender, growth) in contenders.iter().zip(&growth) {
        let promised = matches!(contender, Attached::All).then_some(PROMISED);
        table.add(
            format!("{}: CPU time an operation", contender.name()),
            median(growth),
            "% more",
            promised,
            spread(growth),
        );
    }
    for contender in contenders {
        statistics(&mut table, contender, folder, operations)?;
    }
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

fn one(attached: Attached, folder: &Path, operations: u64) -> anyhow::Result<Ran> {
    let mut read = attached.load()?;
    mixed::in_child(folder, operations, &mut read)
}

/// Run time of the programs by the kernel's own statistics, as a share of the load's CPU time. They read
/// two clocks an event themselves, and count work in interrupts that others' CPU time holds.
fn statistics(
    table: &mut Table,
    attached: Attached,
    folder: &Path,
    operations: u64,
) -> anyhow::Result<()> {
    let _statistics = enable_stats(Stats::RunTime)?;
    let others: HashSet<u32> = loaded_programs().flatten().map(|p| p.id()).collect();
    let mut read = attached.load()?;
    let load = mixed::in_child(folder, operations, &mut read)?;
    let (mut nanos, mut parts) = (0.0, Vec::new());
    for program in loaded_programs().flatten() {
        let events = program.run_count();
        if others.contains(&program.id()) || events == 0 {
            continue;
        }
        let spent = program.run_time().as_secs_f64() * 1e9;
        nanos += spent;
        let name = program.name_as_str().unwrap_or("?").to_owned();
        parts.push((
            spent,
            format!("{name} {events} x {:.0} ns", spent / events as f64),
        ));
    }
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let parts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    table.add(
        format!("{}: by the kernel's statistics", attached.name()),
        nanos / 1e9 / load.cpu_seconds * 100.0,
        "% of its CPU",
        None,
        parts.join(", "),
    );
    Ok(())
}
