//! The scheduling program beside an empty one on the same event.

use crate::figures::{Table, median, spread};
use crate::loads;
use anyhow::Context;
use aya::programs::{BtfTracePoint, loaded_programs};
use aya::sys::{Stats, enable_stats};
use aya::{Btf, Ebpf, EbpfLoader};
use dunnage_profiler::sources::sched::{Budget, Probe, SchedOptions};
use std::time::Duration;

static EMPTY: &[u8] = aya::include_bytes_aligned!("ebpf/empty.bpf.o");

const PING_PONGS: u32 = 200_000;
const REQUESTS: u32 = 6_000;

type Load = fn() -> anyhow::Result<()>;

/// What is attached during a measurement.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Attached {
    Nothing,
    Empty,
    Sched,
}

pub(crate) enum Loaded {
    Nothing,
    Empty { _ebpf: Ebpf },
    Sched { _probe: Box<Probe> },
}

pub(crate) fn load(what: Attached) -> anyhow::Result<Loaded> {
    Ok(match what {
        Attached::Nothing => Loaded::Nothing,
        Attached::Empty => {
            let btf = Btf::from_sys_fs()?;
            let mut ebpf = EbpfLoader::new().btf(Some(&btf)).load(EMPTY)?;
            let program: &mut BtfTracePoint = ebpf
                .program_mut("on_switch")
                .context("no empty program")?
                .try_into()?;
            program.load("sched_switch", &btf)?;
            program.attach()?;
            Loaded::Empty { _ebpf: ebpf }
        }
        Attached::Sched => {
            let cpus = u32::try_from(std::thread::available_parallelism()?.get())?;
            let v1_cpu = std::path::Path::new("/sys/fs/cgroup/cpu").exists();
            let options = SchedOptions {
                cpus,
                v1_cpu,
                v2_absent: false,
                budget: Budget(1.0),
            };
            Loaded::Sched {
                _probe: Box::new(Probe::load(&options, &Btf::from_sys_fs()?)?),
            }
        }
    })
}

/// Run time and events of the newest programs of these names, by the kernel's own statistics.
fn kernel_statistics(names: &[&str]) -> (f64, f64) {
    let mut newest: Vec<(&str, f64, f64)> = Vec::new();
    for info in loaded_programs().flatten() {
        if let Some(name) = names.iter().find(|n| info.name_as_str() == Some(n)) {
            newest.retain(|(n, _, _)| n != name);
            newest.push((name, info.run_time().as_secs_f64(), info.run_count() as f64));
        }
    }
    newest
        .iter()
        .fold((0.0, 0.0), |(time, count), (_, t, c)| (time + t, count + c))
}

/// Nanoseconds an event while `load` runs.
fn cost_of_an_event(
    what: Attached,
    run: &dyn Fn() -> anyhow::Result<()>,
) -> anyhow::Result<(f64, f64)> {
    let _loaded = load(what)?;
    let names = ["on_switch", "on_migrate"];
    let (time_before, count_before) = kernel_statistics(&names);
    run()?;
    let (time, count) = kernel_statistics(&names);
    let events = (count - count_before).max(1.0);
    Ok(((time - time_before) * 1e9 / events, events))
}

fn ping_pong() -> anyhow::Result<()> {
    loads::ping_pong(PING_PONGS).map(drop)
}

fn cold() -> anyhow::Result<()> {
    loads::cold_switches(Duration::from_secs(3), 32 << 10);
    Ok(())
}

/// The same with caches that others have used up meanwhile.
fn cold_caches() -> anyhow::Result<()> {
    loads::cold_switches(Duration::from_secs(3), 256 << 10);
    Ok(())
}

/// Measures all of it.
pub(crate) fn measure(rounds: u32) -> anyhow::Result<Table> {
    let mut table = Table::new();
    statistics(&mut table, rounds.div_ceil(2))?;
    slow_down(
        &mut table,
        "ping-pong pinned to one CPU",
        rounds,
        3.0,
        &|| loads::ping_pong(PING_PONGS),
    )?;
    slow_down(&mut table, "request/response", rounds, 0.5, &|| {
        loads::requests(REQUESTS)
    })?;
    Ok(table)
}

fn statistics(table: &mut Table, rounds: u32) -> anyhow::Result<()> {
    let _statistics = enable_stats(Stats::RunTime)?;
    for (name, promised, run) in [
        ("hot", Some(100.0), ping_pong as Load),
        ("cold", Some(300.0), cold),
        ("cold, caches used up,", None, cold_caches),
    ] {
        let (mut empty, mut sched, mut events) = (Vec::new(), Vec::new(), 0.0);
        for _ in 0..rounds {
            empty.push(cost_of_an_event(Attached::Empty, &run)?.0);
            let (cost, count) = cost_of_an_event(Attached::Sched, &run)?;
            sched.push(cost);
            events = count;
        }
        let note = format!(
            "empty program {:.0} ns; {}; {events:.0} events a round",
            median(&empty),
            spread(&sched)
        );
        table.add(
            format!("{name} switch, by the kernel's statistics"),
            median(&sched),
            "ns an event",
            promised,
            note,
        );
    }
    Ok(())
}

/// Points by which the load's CPU time an operation grows more than with an empty program.
fn slow_down(
    table: &mut Table,
    name: &str,
    rounds: u32,
    promised: f64,
    run: &dyn Fn() -> anyhow::Result<f64>,
) -> anyhow::Result<()> {
    run()?;
    let (mut empty, mut sched, mut difference) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let with = |what| -> anyhow::Result<f64> {
            let _loaded = load(what)?;
            run()
        };
        let nothing = with(Attached::Nothing)?;
        let (with_empty, with_sched) = (with(Attached::Empty)?, with(Attached::Sched)?);
        empty.push((with_empty / nothing - 1.0) * 100.0);
        sched.push((with_sched / nothing - 1.0) * 100.0);
        difference.push((with_sched - with_empty) / nothing * 100.0);
    }
    let note = format!(
        "empty {:+.1} %, dunnage {:+.1} %; {}",
        median(&empty),
        median(&sched),
        spread(&difference)
    );
    table.add(
        format!("{name}: CPU time an operation above empty"),
        median(&difference),
        "points",
        Some(promised),
        note,
    );
    Ok(())
}
