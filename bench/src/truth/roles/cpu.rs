//! Loads on the CPU: requests that measure themselves, spinners, bursts, storms of processes.

use super::super::clock;
use super::super::part::Part;
use super::duration;
use anyhow::Context;
use clap::Args;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// A load that is this far behind drops requests, as a server with a full queue does.
const BACKLOG: Duration = Duration::from_millis(500);

/// Requests of `work` CPU time every `every`.
#[derive(Args, Debug)]
pub(crate) struct Tick {
    /// CPU time of a request
    #[arg(long, value_parser = duration)]
    work: Duration,
    /// How often one comes
    #[arg(long, value_parser = duration)]
    every: Duration,
    /// Threads that do so, each with requests of its own
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

impl Tick {
    pub(super) fn play(&self, part: &mut Part) {
        while let Some(end) = part.next_span() {
            let meter = &part.meter;
            thread::scope(|scope| {
                for _ in 1..self.threads {
                    scope.spawn(|| self.requests(meter, end));
                }
                self.requests(meter, end);
            });
        }
    }

    fn requests(&self, meter: &super::super::meter::Meter, end: u64) {
        let every = clock::nanos(self.every);
        let mut due = clock::monotonic() + every;
        while due < end {
            clock::sleep_until(due);
            work(self.work);
            meter.operation(due, 1);
            due += every;
            let now = clock::monotonic();
            if now > due + clock::nanos(BACKLOG) {
                due = now;
            }
        }
    }
}

/// Spins on so many threads.
#[derive(Args, Debug)]
pub(crate) struct Spin {
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// CPU time of one round, which is what it measures of itself
    #[arg(long, value_parser = duration, default_value = "5ms")]
    round: Duration,
}

impl Spin {
    pub(super) fn play(&self, part: &mut Part) {
        while let Some(end) = part.next_span() {
            let meter = &part.meter;
            thread::scope(|scope| {
                for _ in 1..self.threads {
                    scope.spawn(|| spin_until(end));
                }
                while clock::monotonic() < end {
                    let began = clock::monotonic();
                    work(self.round);
                    meter.operation(began, 1);
                }
            });
        }
    }
}

/// Works for `on`, rests for `off`.
#[derive(Args, Debug)]
pub(crate) struct Burst {
    /// How long it works
    #[arg(long, value_parser = duration)]
    on: Duration,
    /// How long it rests
    #[arg(long, value_parser = duration)]
    off: Duration,
    /// Threads that work at once
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

impl Burst {
    pub(super) fn play(&self, part: &mut Part) {
        while let Some(end) = part.next_span() {
            while clock::monotonic() < end {
                let stop = end.min(clock::monotonic() + clock::nanos(self.on));
                thread::scope(|scope| {
                    for _ in 1..self.threads {
                        scope.spawn(|| spin_until(stop));
                    }
                    spin_until(stop);
                });
                clock::sleep_until(end.min(clock::monotonic() + clock::nanos(self.off)));
            }
        }
    }
}

/// Processes that work for a moment and end, several at once.
#[derive(Args, Debug)]
pub(crate) struct Fork {
    /// CPU time of each process besides its start
    #[arg(long, value_parser = duration)]
    work: Duration,
    /// Rest after each one
    #[arg(long, value_parser = duration, default_value = "0ms")]
    rest: Duration,
    /// How many at once
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// The word by which this binary is told to work for a moment and end.
const BURN: &str = "burn-a-moment";

impl Fork {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("finding this binary")?;
        while let Some(end) = part.next_span() {
            thread::scope(|scope| {
                for _ in 0..self.threads {
                    scope.spawn(|| {
                        while clock::monotonic() < end {
                            let child = Command::new(&program)
                                .args([BURN, &self.work.as_micros().to_string()])
                                .stdin(Stdio::null())
                                .stdout(Stdio::null())
                                .spawn();
                            // A fork that is refused is tried again, as a server does.
                            let _ = child.and_then(|mut child| child.wait());
                            thread::sleep(self.rest);
                        }
                    });
                }
            });
        }
        Ok(())
    }
}

/// Works for a moment where this process was started for that alone; true where it was.
pub(crate) fn burn() -> bool {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() != Some(BURN) {
        return false;
    }
    let micros = words.next().and_then(|word| word.parse().ok());
    work(Duration::from_micros(micros.unwrap_or(0)));
    true
}

/// Burns so much of this thread's own CPU time.
pub(super) fn work(time: Duration) {
    let until = clock::thread_cpu() + clock::nanos(time);
    while clock::thread_cpu() < until {
        for i in 0..500_u32 {
            black_box(i);
        }
    }
}

fn spin_until(end: u64) {
    while clock::monotonic() < end {
        for i in 0..10_000_u32 {
            black_box(i);
        }
    }
}
