//! Loads on links: requests that measure themselves, floods of packets, streams.

use super::super::clock;
use super::super::meter::Meter;
use super::super::part::Part;
use super::{duration, size};
use anyhow::Context;
use clap::Args;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Where the far end answers packets, and where it takes streams (the discard service of RFC 863).
const ANSWERS: u16 = 7;
const TAKES: u16 = 9;

/// Longer packets get no answer: a flood goes one way.
const LONGEST_REQUEST: usize = 512;

/// A request without an answer for so long is lost.
const LOST: Duration = Duration::from_millis(400);

/// Whom a load talks to, and from which network namespace.
#[derive(Args, Debug)]
struct Way {
    /// Name of the network namespace, as `ip netns` has it
    #[arg(long = "in", value_name = "NAMESPACE")]
    from: Option<String>,
    /// Address of the far end
    #[arg(long)]
    to: IpAddr,
}

/// Small requests, one at a time, at a steady rate.
#[derive(Args, Debug)]
pub(crate) struct Ping {
    #[command(flatten)]
    way: Way,
    /// How often one is sent
    #[arg(long, value_parser = duration)]
    every: Duration,
    /// Bytes of a request and of its answer
    #[arg(long, value_parser = size, default_value = "100")]
    bytes: u64,
}

impl Ping {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let socket = self.way.socket(ANSWERS)?;
        socket.set_read_timeout(Some(LOST))?;
        let mut packet = vec![0_u8; usize::try_from(self.bytes)?.clamp(8, LONGEST_REQUEST)];
        let every = clock::nanos(self.every);
        let mut number = 0_u64;
        while let Some(end) = part.next_span() {
            let mut due = clock::monotonic() + every;
            while due < end {
                clock::sleep_until(due);
                number += 1;
                packet[..8].copy_from_slice(&number.to_le_bytes());
                // Refused or dropped at once: like any other loss, seen by the missing answer.
                let _ = socket.send(&packet);
                let _ = answer_to(&socket, number);
                part.meter.operation(due, 1);
                due = (due + every).max(clock::monotonic());
            }
        }
        Ok(())
    }
}

/// Waits for the answer to one request; those to lost ones may come late.
fn answer_to(socket: &UdpSocket, number: u64) -> std::io::Result<()> {
    let mut answer = [0_u8; LONGEST_REQUEST];
    loop {
        let length = socket.recv(&mut answer)?;
        if answer[..length].starts_with(&number.to_le_bytes()) {
            return Ok(());
        }
    }
}

/// Packets that nobody answers, at a rate of their own. They come at random (a Poisson process), so
/// that a full queue turns away the same part of each sender's.
#[derive(Args, Debug)]
pub(crate) struct Flood {
    #[command(flatten)]
    way: Way,
    /// Bits a second that are sent, headers included
    #[arg(long, value_parser = size)]
    rate: u64,
    /// Bytes of a packet's payload
    #[arg(long, value_parser = size, default_value = "1400")]
    bytes: u64,
}

/// Ethernet, IP and UDP in front of the payload.
const HEADERS: u64 = 42;

/// A flood that is so late has lost its CPU, and does not make up for it.
const LATE: u64 = 20_000_000;

impl Flood {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let socket = self.way.socket(ANSWERS)?;
        let packet = vec![0_u8; usize::try_from(self.bytes)?];
        let gap = (self.bytes + HEADERS) as f64 * 8.0 / self.rate.max(1) as f64;
        let mut random = u64::from(std::process::id()) << 20 | 1;
        while let Some(end) = part.next_span() {
            let mut due = clock::monotonic();
            while due < end {
                clock::sleep_until(due);
                let _ = socket.send(&packet);
                part.meter.done(1);
                due += clock::from_seconds(-gap * uniform(&mut random).ln());
                due = due.max(clock::monotonic().saturating_sub(LATE));
            }
        }
        Ok(())
    }
}

/// A number above 0 and below 1, by xorshift (Marsaglia 2003).
fn uniform(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    ((*state >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// Sends as much as TCP lets it, and measures each piece.
#[derive(Args, Debug)]
pub(crate) struct Transfer {
    #[command(flatten)]
    way: Way,
    /// Connections at once
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Bytes of a piece
    #[arg(long, value_parser = size, default_value = "64k")]
    bytes: u64,
}

impl Transfer {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        enter(self.way.from.as_deref())?;
        let piece = vec![0_u8; usize::try_from(self.bytes)?];
        while let Some(end) = part.next_span() {
            let meter = &part.meter;
            thread::scope(|scope| {
                for _ in 1..self.connections {
                    scope.spawn(|| self.send(&piece, meter, end));
                }
                self.send(&piece, meter, end)
            })?;
        }
        Ok(())
    }

    fn send(&self, piece: &[u8], meter: &Meter, end: u64) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(SocketAddr::new(self.way.to, TAKES))
            .with_context(|| format!("connecting to {}", self.way.to))?;
        stream.set_write_timeout(Some(LOST))?;
        while clock::monotonic() < end {
            let began = clock::monotonic();
            // A piece may be sent in part when its time is over; the next one goes on.
            if stream.write(piece).is_ok() {
                meter.operation(began, 1);
            }
        }
        Ok(())
    }
}

impl Way {
    /// A socket for packets to `port` of the far end.
    fn socket(&self, port: u16) -> anyhow::Result<UdpSocket> {
        enter(self.from.as_deref())?;
        let any: IpAddr = match self.to {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).context("opening a socket")?;
        socket
            .connect((self.to, port))
            .with_context(|| format!("choosing the way to {}", self.to))?;
        Ok(socket)
    }
}

/// Takes this thread, and those that it starts, into a network namespace.
pub(crate) fn enter(namespace: Option<&str>) -> anyhow::Result<()> {
    let Some(namespace) = namespace else {
        return Ok(());
    };
    let path = Path::new("/run/netns").join(namespace);
    let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    setns(&file, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("entering the network namespace {namespace}"))
}

/// The far end: answers small packets and takes streams, in threads that live as long as the
/// namespace's sockets are wanted, that is with the bench.
pub(crate) fn far_end(namespace: &str) -> anyhow::Result<()> {
    let namespace = namespace.to_owned();
    let opened = thread::spawn(move || -> anyhow::Result<(UdpSocket, TcpListener)> {
        enter(Some(&namespace))?;
        let any = std::net::Ipv4Addr::UNSPECIFIED;
        Ok((
            UdpSocket::bind((any, ANSWERS))?,
            TcpListener::bind((any, TAKES))?,
        ))
    });
    let Ok(sockets) = opened.join() else {
        anyhow::bail!("the far end did not come up");
    };
    let (packets, streams) = sockets.context("opening the far end's sockets")?;
    thread::spawn(move || {
        let mut packet = [0_u8; 2048];
        while let Ok((length, from)) = packets.recv_from(&mut packet) {
            if length <= LONGEST_REQUEST {
                let _ = packets.send_to(&packet[..length], from);
            }
        }
    });
    thread::spawn(move || {
        for stream in streams.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut stream = stream;
                std::io::copy(&mut stream, &mut std::io::sink())
            });
        }
    });
    Ok(())
}
