//! What it costs to enter an eBPF program, which the kernel's own statistics do not see: they begin when
//! the program runs.

use crate::figures::{Table, interval, median};
use crate::loads;
use crate::switch;

/// Ping-pongs of one run, some 10 ms, two switches each; and how many pairs of runs, without and with an
/// empty program, are compared. Runs this short see the same machine, and so many tell a few nanoseconds.
/// At a switch it costs half as much again as in a loop that does nothing else: that is where programs are
/// entered most.
const PING_PONGS: u32 = 3_000;
const SWITCHES_A_PING_PONG: f64 = 2.0;
const PAIRS: u32 = 200;

/// Nanoseconds of CPU time that an event with an empty program costs more than one without.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<f64> {
    let run = |what| -> anyhow::Result<f64> {
        let _loaded = switch::load(what)?;
        loads::ping_pong(PING_PONGS)
    };
    run(switch::Attached::Nothing)?;
    let mut nanos = Vec::new();
    for _ in 0..PAIRS {
        let without = run(switch::Attached::Nothing)?;
        let with = run(switch::Attached::Empty)?;
        nanos.push((with - without) * 1e9 / SWITCHES_A_PING_PONG);
    }
    let (low, high) = interval(&nanos);
    table.add(
        "an event with an empty program, by CPU time",
        median(&nanos),
        "ns more",
        None,
        format!("{low:.0} to {high:.0} with a confidence of 95 %"),
    );
    Ok(median(&nanos))
}
