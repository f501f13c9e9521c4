//! What the demo's children do: a victim that works in ticks, and spinners.
//!
//! Each child is this program once more, under a hidden command. It waits for its orders on
//! standard input, so that it does nothing before it sits in its cgroup, and dies with the demo.

use super::DemoError;
use super::cleanup;
use super::truth::Tick;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, getppid, setsid};
use std::hint::black_box;
use std::io::{self, BufRead, BufWriter, Write};
use std::thread;
use std::time::{Duration, Instant};

/// The hidden role that removes what a killed demo leaves.
pub(super) const WATCHER: &str = "watcher";

/// The longest that any load runs, whatever it is asked for.
const LIMIT: Duration = Duration::from_secs(3_600);

/// The victim's work for one request, in its own CPU time: several time slices, because the scheduler
/// of kernels before 6.6 lets whoever has slept run at once, and brief work is then never late.
pub(super) const WORK: Duration = Duration::from_millis(10);
/// How often a request comes.
pub(super) const PERIOD: Duration = Duration::from_millis(25);
/// The culprit's threads.
pub(super) const CULPRIT_THREADS: usize = 3;
/// The bystander is busy nine tenths of the time: more than the culprit can be, and on a small host
/// the one who watches still comes to run.
const BUSY: Duration = Duration::from_millis(18);
const REST: Duration = Duration::from_millis(2);
/// Ticks between two reports, so that the reports themselves cost nothing worth naming.
const TICKS_PER_REPORT: u32 = 8;
/// A victim that is this far behind drops requests, as a server with a full queue does.
const BACKLOG: Duration = Duration::from_millis(500);

/// What the demo tells a child before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orders {
    /// The CPU to stay on.
    pub(super) cpu: usize,
    /// The demo's process id.
    pub(super) parent: i32,
}

impl Orders {
    /// One line.
    pub(super) fn line(self) -> String {
        format!("cpu {} parent {}\n", self.cpu, self.parent)
    }

    fn parse(line: &str) -> Option<Orders> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["cpu", cpu, "parent", parent] => Some(Orders {
                cpu: cpu.parse().ok()?,
                parent: parent.parse().ok()?,
            }),
            _ => None,
        }
    }
}

/// The body of the hidden command `demo-load ROLE SECONDS`: runs one role of the demo and returns
/// when `seconds` are over, or at once where the demo that started it is gone.
///
/// # Errors
/// Where `role` is not one of the demo's, or the CPU to stay on is not allowed.
pub fn load(role: &str, seconds: u64) -> Result<(), DemoError> {
    if role == WATCHER {
        // Out of the terminal's reach: Ctrl-C ends the demo, and this one cleans up behind it.
        let _ = setsid();
        cleanup::watch(&mut io::stdin().lock());
        return Ok(());
    }
    // Set before the parent is checked: from here on its death is ours, before it is seen below.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| DemoError::load(role, "prctl", e.into()))?;
    let Some(orders) = orders(role)? else {
        return Ok(());
    };
    if getppid() != Pid::from_raw(orders.parent) {
        return Ok(());
    }
    stay_on(orders.cpu).map_err(|e| DemoError::load(role, "sched_setaffinity", e))?;
    let end = Instant::now() + Duration::from_secs(seconds).min(LIMIT);
    match role {
        "victim" => victim(end).map_err(|e| DemoError::load(role, "report", e)),
        "culprit" => {
            thread::scope(|scope| {
                for _ in 1..CULPRIT_THREADS {
                    scope.spawn(|| spin_until(end));
                }
                spin_until(end);
            });
            Ok(())
        }
        "bystander" => {
            while Instant::now() < end {
                spin_until(end.min(Instant::now() + BUSY));
                thread::sleep(REST);
            }
            Ok(())
        }
        _ => Err(DemoError::Role(role.to_owned())),
    }
}

fn orders(role: &str) -> Result<Option<Orders>, DemoError> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    if read.map_err(|e| DemoError::load(role, "read its orders", e))? == 0 {
        return Ok(None);
    }
    Orders::parse(&line).map(Some).ok_or_else(|| {
        DemoError::load(
            role,
            "read its orders",
            io::Error::from(io::ErrorKind::InvalidData),
        )
    })
}

fn stay_on(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn spin_until(end: Instant) {
    while Instant::now() < end {
        for i in 0..10_000_u32 {
            black_box(i);
        }
    }
}

/// A clock in nanoseconds; zero where the kernel has none such, which no Linux does.
pub(super) fn now(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX)
    })
}

/// Requests come every [`PERIOD`], each needs [`WORK`] of CPU time; what the victim measures of
/// itself goes to standard output.
fn victim(end: Instant) -> io::Result<()> {
    // Wake exactly on time: the slack is meant for programs that do not care.
    let _ = prctl::set_timerslack(1);
    let mut out = BufWriter::new(io::stdout().lock());
    let period = nanos(PERIOD);
    let mut due = now(ClockId::CLOCK_MONOTONIC) + period;
    let mut free_since = 0;
    let mut unreported = 0;
    while Instant::now() < end {
        let wait = due.saturating_sub(now(ClockId::CLOCK_MONOTONIC));
        thread::sleep(Duration::from_nanos(wait));
        let cpu = work();
        let finished = now(ClockId::CLOCK_MONOTONIC);
        let tick = Tick {
            due,
            latency: finished - due.min(finished),
            // A request that queued behind the one before it did not wait for a CPU meanwhile.
            lost: (finished - due.max(free_since).min(finished)).saturating_sub(cpu),
            run_delay: run_delay(),
        };
        writeln!(out, "{}", tick.line())?;
        unreported += 1;
        if unreported >= TICKS_PER_REPORT {
            out.flush()?;
            unreported = 0;
        }
        free_since = finished;
        due += period;
        if finished > due + nanos(BACKLOG) {
            due = finished;
        }
    }
    out.flush()
}

/// Burns [`WORK`] of this thread's own CPU time; returns how much it really was.
fn work() -> u64 {
    let start = now(ClockId::CLOCK_THREAD_CPUTIME_ID);
    loop {
        for i in 0..1_000_u32 {
            black_box(i);
        }
        let used = now(ClockId::CLOCK_THREAD_CPUTIME_ID) - start;
        if used >= nanos(WORK) {
            return used;
        }
    }
}

/// What the kernel says this thread has waited on run queues so far, in nanoseconds: the second
/// field of `schedstat` (`Documentation/scheduler/sched-stats.rst`). `None` where it is not kept.
fn run_delay() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_go_there_and_back() {
        let orders = Orders { cpu: 3, parent: 77 };
        assert_eq!(Orders::parse(&orders.line()), Some(orders));
        for line in ["", "cpu x parent 1", "cpu 1", "go"] {
            assert_eq!(Orders::parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn work_is_measured_by_cpu_time() {
        let used = work();
        assert!((2_000_000..30_000_000).contains(&used), "{used}");
    }
}
