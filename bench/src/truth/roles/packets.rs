//! Packets as fast as they go, and work that feels what softirqs take.

use super::super::clock;
use super::super::part::Part;
use super::duration;
use anyhow::Context;
use clap::Args;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// Small packets to one address, from a network namespace.
#[derive(Args, Debug)]
pub(crate) struct Packets {
    /// Name of the network namespace, as `ip netns` has it
    #[arg(long = "in", value_name = "NAMESPACE")]
    namespace: String,
    /// Where they go
    #[arg(long)]
    to: SocketAddr,
    /// Packets in a row
    #[arg(long, default_value_t = 200)]
    burst: u32,
    /// Rest after each burst
    #[arg(long, value_parser = duration, default_value = "0ms")]
    rest: Duration,
}

impl Packets {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let path = format!("/run/netns/{}", self.namespace);
        let namespace = File::open(&path).with_context(|| format!("opening {path}"))?;
        setns(namespace, CloneFlags::CLONE_NEWNET).with_context(|| format!("entering {path}"))?;
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(self.to)?;
        while let Some(end) = part.next_span() {
            while clock::monotonic() < end {
                let began = clock::monotonic();
                for _ in 0..self.burst {
                    // Refused or dropped is sent as well: the way there is what costs.
                    let _ = socket.send(&[0; 64]);
                }
                part.meter.operation(began, u64::from(self.burst));
                if !self.rest.is_zero() {
                    std::thread::sleep(self.rest);
                }
            }
        }
        Ok(())
    }
}

/// Requests of so many rounds every `every`. A clock of CPU time counts softirqs that interrupt a thread
/// as the thread's; a number of rounds does not.
#[derive(Args, Debug)]
pub(crate) struct Count {
    /// CPU time of a request that nothing interrupts
    #[arg(long, value_parser = duration)]
    work: Duration,
    /// How often one comes
    #[arg(long, value_parser = duration)]
    every: Duration,
}

/// Rounds that are timed to know how long one takes, and how often: the fastest counts.
const TIMED: u64 = 1_000_000;
const TRIALS: u32 = 20;

impl Count {
    pub(super) fn play(&self, part: &mut Part) {
        let fastest = (0..TRIALS).map(|_| {
            let began = clock::thread_cpu();
            rounds(TIMED);
            clock::thread_cpu() - began
        });
        let fastest = fastest.min().unwrap_or(1).max(1);
        let each = clock::nanos(self.work).saturating_mul(TIMED) / fastest;
        let every = clock::nanos(self.every);
        while let Some(end) = part.next_span() {
            let mut due = clock::monotonic() + every;
            while due < end {
                clock::sleep_until(due);
                rounds(each);
                part.meter.operation(due, 1);
                due = (due + every).max(clock::monotonic());
            }
        }
    }
}

fn rounds(number: u64) {
    for round in 0..number {
        black_box(round);
    }
}
