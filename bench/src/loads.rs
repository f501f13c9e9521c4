//! Loads with a known number of operations; each gives its CPU time an operation.

use anyhow::Context;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// CPU time of this process, all threads, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    let seconds = |t: TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        seconds(usage.user_time()) + seconds(usage.system_time())
    })
}

/// Run time so far of one thread, in nanoseconds, from `schedstat` in its folder `/proc/PID/task/TID`; `stat`
/// has ticks.
pub(crate) fn thread_nanos(task: &Path) -> anyhow::Result<f64> {
    let path = task.join("schedstat");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let ran = text.split_whitespace().next().context("no time")?;
    Ok(ran.parse()?)
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    if set.set(cpu).is_ok() {
        // Where the CPU is not ours to choose the load still runs, only less evenly.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// Two threads on one CPU hand a byte to and fro: two switches an operation. Returns CPU seconds an
/// operation.
pub(crate) fn ping_pong(operations: u32) -> anyhow::Result<f64> {
    let (there_out, there_in) = std::io::pipe()?;
    let (back_out, back_in) = std::io::pipe()?;
    let echo = std::thread::spawn(move || {
        pin(0);
        hand_over(there_out, back_in, operations, false)
    });
    pin(0);
    let before = cpu_seconds();
    hand_over(back_out, there_in, operations, true)?;
    let spent = cpu_seconds() - before;
    echo.join()
        .map_err(|_| anyhow::anyhow!("the echoing thread of the ping-pong failed"))??;
    Ok(spent / f64::from(operations))
}

fn hand_over(
    mut from: PipeReader,
    mut to: PipeWriter,
    operations: u32,
    first: bool,
) -> std::io::Result<()> {
    let mut byte = [0_u8];
    for _ in 0..operations {
        if first {
            to.write_all(&byte)?;
        }
        from.read_exact(&mut byte)?;
        if !first {
            to.write_all(&byte)?;
        }
    }
    Ok(())
}

/// A client asks, a server works some 200 us and answers, unpinned, as an ordinary request/response
/// load does. Returns CPU seconds an operation.
pub(crate) fn requests(operations: u32) -> anyhow::Result<f64> {
    let (mut client, mut server) = UnixStream::pair()?;
    let serving = std::thread::spawn(move || -> std::io::Result<()> {
        let mut request = [0_u8; 64];
        for _ in 0..operations {
            server.read_exact(&mut request)?;
            let answer = work(&request, 100_000);
            server.write_all(&answer.to_le_bytes())?;
        }
        Ok(())
    });
    let before = cpu_seconds();
    let mut answer = [0_u8; 8];
    for at in 0..operations {
        let mut request = [0_u8; 64];
        request[..4].copy_from_slice(&at.to_le_bytes());
        client.write_all(&request)?;
        client.read_exact(&mut answer)?;
    }
    let spent = cpu_seconds() - before;
    serving
        .join()
        .map_err(|_| anyhow::anyhow!("the serving thread of the request load failed"))??;
    Ok(spent / f64::from(operations))
}

/// A fixed amount of arithmetic that the compiler cannot leave out.
pub(crate) fn work(seed: &[u8], rounds: u32) -> u64 {
    let mut hash = seed.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    });
    for round in 0..rounds {
        hash = std::hint::black_box(
            (hash ^ u64::from(round))
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(7),
        );
    }
    hash
}

/// Some 3,000 switches a second: sleepers that touch `memory` bytes each time they wake.
pub(crate) fn cold_switches(length: Duration, memory: usize) {
    let deadline = Instant::now() + length;
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut memory = vec![1_u8; memory];
                while Instant::now() < deadline {
                    for line in memory.iter_mut().step_by(64) {
                        *line = line.wrapping_add(1);
                    }
                    std::hint::black_box(&memory);
                    std::thread::park_timeout(Duration::from_micros(4_500));
                }
            })
        })
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
}

/// Works `busy_us` of every 100 ms, for so many seconds.
pub(crate) fn pulse(busy_us: u64, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(busy_us) {
            std::hint::black_box(work(b"pulse", 10));
        }
        std::thread::park_timeout(Duration::from_millis(100).saturating_sub(began.elapsed()));
    }
}
