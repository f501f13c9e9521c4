//! A workload's side of a scenario: when it is on, where it runs, and where it writes what it measured.
//!
//! Each workload is this binary once more, under a hidden command. It waits on standard input for the
//! moment that the script counts from, so that it does nothing before it sits in its cgroup, and dies
//! with the bench.

use super::clock;
use super::meter::Meter;
use super::roles::Role;
use anyhow::{Context, bail};
use clap::Args;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::io::BufRead;
use std::path::PathBuf;

/// The hidden command's arguments.
#[derive(Args, Debug)]
pub(crate) struct PartArguments {
    /// CPUs to stay on
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Spans in which it is on, `FROM-TO` in nanoseconds of the script
    #[arg(long, value_delimiter = ',')]
    spans: Vec<String>,
    /// Where the records go
    #[arg(long)]
    record: PathBuf,
    #[command(subcommand)]
    role: Role,
}

/// What a role is given to play.
#[derive(Debug)]
pub(crate) struct Part {
    /// Where it writes what it measured.
    pub(crate) meter: Meter,
    /// The spans in which it is on, `CLOCK_MONOTONIC`.
    spans: std::vec::IntoIter<(u64, u64)>,
}

impl Part {
    /// Sleeps until the next span begins and returns when it ends; `None` after the last one.
    pub(crate) fn next_span(&mut self) -> Option<u64> {
        let (from, to) = self.spans.next()?;
        clock::sleep_until(from);
        Some(to)
    }
}

/// The body of the hidden command.
pub(crate) fn play(arguments: PartArguments) -> anyhow::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("asking to die with the bench")?;
    // Wake exactly on time: the slack is meant for programs that do not care.
    let _ = prctl::set_timerslack(1);
    stay_on(&arguments.cpus)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let Ok(began) = line.trim().parse::<u64>() else {
        // The bench has gone.
        return Ok(());
    };
    let spans = arguments.spans.iter().map(|span| absolute(span, began));
    let mut part = Part {
        meter: Meter::create(&arguments.record)
            .with_context(|| format!("making {}", arguments.record.display()))?,
        spans: spans.collect::<anyhow::Result<Vec<_>>>()?.into_iter(),
    };
    arguments.role.play(&mut part)
}

/// Binds this process to some CPUs; to none means to all.
fn stay_on(cpus: &[usize]) -> anyhow::Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu).with_context(|| format!("CPU {cpu}"))?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("staying on CPUs {cpus:?}"))
}

/// `FROM-TO` as it is given on the command line, counted from `began`.
fn absolute(span: &str, began: u64) -> anyhow::Result<(u64, u64)> {
    let Some((from, to)) = span.split_once('-') else {
        bail!("a span is FROM-TO, not {span:?}");
    };
    Ok((began + from.parse::<u64>()?, began + to.parse::<u64>()?))
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn spans_count_from_the_start() {
        assert_eq!(absolute("5-70", 1000).unwrap(), (1005, 1070));
        assert!(absolute("5", 0).is_err());
        assert!(absolute("x-1", 0).is_err());
    }
}
