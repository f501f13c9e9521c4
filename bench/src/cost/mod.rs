//! Dunnage beside the other programs that watch containers: CPU, memory and what a load loses by them,
//! at several numbers of containers, in one run.
//!
//! In each round every contender runs once, in another order each time, and nothing runs once. The
//! contender's CPU time is that of the cgroup it is in, helpers included; what it makes the kernel do in
//! others' time shows as CPU time an operation of the load.

mod engine;
mod group;
mod peers;

use crate::cgroups::Cgroups;
use crate::figures::{Table, median, spread};
use crate::loads;
use anyhow::Context;
use engine::Engine;
use group::{Group, Held};
pub(crate) use peers::installed;
use peers::{PEERS, Peer, Place};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Starting, loading and the first walk are not what a program costs all day.
const WARM: Duration = Duration::from_secs(6);

/// Operations of the two loads in one go, some 0.3 s each.
const REQUESTS: u32 = 1_000;
const PING_PONGS: u32 = 30_000;

/// Real containers above this number take longer to start than all measurements together.
const MOST_REAL: usize = 100;

/// What is to be measured.
pub(crate) struct Options {
    /// The `dunnage` binary.
    pub(crate) binary: PathBuf,
    /// Numbers of containers.
    pub(crate) containers: Vec<usize>,
    /// Rounds at each number.
    pub(crate) rounds: u32,
    /// Seconds that each contender is watched in a round.
    pub(crate) seconds: u64,
    /// Only these contenders; all that are installed where empty.
    pub(crate) only: Vec<String>,
}

/// What one round says of one contender.
struct Measured {
    /// CPU time of the contender, as a share of one core.
    cpu: f64,
    held: Held,
    load: LoadCost,
}

/// CPU seconds an operation of the loads.
#[derive(Clone, Copy)]
struct LoadCost {
    request: f64,
    ping_pong: f64,
}

/// All rounds of one contender; the loads relative to the same round with nothing.
#[derive(Default)]
struct Rounds {
    cpu: Vec<f64>,
    resident: Vec<f64>,
    proportional: Vec<f64>,
    request: Vec<f64>,
    ping_pong: Vec<f64>,
}

/// Measures all of it.
pub(crate) fn measure(options: &Options) -> anyhow::Result<Table> {
    let mut table = Table::new();
    let (in_cgroups, by_engine): (Vec<&Peer>, Vec<&Peer>) = PEERS
        .iter()
        .filter(|p| p.name == "dunnage" || options.only.is_empty() || is_named(p, options))
        .partition(|peer| !peer.wants_engine);
    let scratch = Scratch::make()?;
    let mut there = Vec::new();
    for peer in in_cgroups {
        let place = scratch.place(options, None);
        match peer.words(&place) {
            Ok(_) => there.push(peer),
            Err(why) if peer.name == "dunnage" => return Err(why),
            Err(why) => table.leave_out(peer.name, format!("{why:#}")),
        }
    }
    for &count in &options.containers {
        // Together some 40 % of a core, however many they are.
        let busy_us = (40_000 / count.max(1) as u64).max(1);
        let contenders = there.len() as u64 + 1;
        let longest = contenders * u64::from(options.rounds) * (options.seconds + 30) + 60;
        let cgroups = Cgroups::make(count, busy_us, longest)?;
        let what = format!("{count} cgroups");
        contest(&mut table, options, &scratch, &there, None, &what)?;
        drop(cgroups);
        if by_engine.is_empty() {
            continue;
        }
        let what = format!("{count} Docker containers");
        if count > MOST_REAL {
            let why = format!("more than {MOST_REAL} real containers are not started");
            table.leave_out(format!("docker stats, {what}"), why);
            continue;
        }
        match Engine::start(&scratch.folder(&format!("engine-{count}"))?, count) {
            Ok(engine) => {
                let mut both = by_engine.clone();
                both.extend(there.iter().filter(|peer| peer.name == "dunnage"));
                contest(&mut table, options, &scratch, &both, Some(&engine), &what)?;
            }
            Err(why) => table.leave_out(format!("docker stats, {what}"), format!("{why:#}")),
        }
    }
    Ok(table)
}

fn is_named(peer: &Peer, options: &Options) -> bool {
    options.only.iter().any(|name| name == peer.name)
}

/// Rounds of nothing and every contender, in another order each time.
fn contest(
    table: &mut Table,
    options: &Options,
    scratch: &Scratch,
    peers: &[&Peer],
    engine: Option<&Engine>,
    what: &str,
) -> anyhow::Result<()> {
    let length = Duration::from_secs(options.seconds);
    let mut rounds: BTreeMap<usize, Rounds> = BTreeMap::new();
    let mut failed: BTreeMap<usize, String> = BTreeMap::new();
    for round in 0..options.rounds as usize {
        let daemon = engine.map(Engine::cpu_seconds).transpose()?;
        let nothing = run_load(length)?;
        let idle = since(engine, daemon)?;
        for turn in 0..peers.len() {
            let at = (turn + round) % peers.len();
            if failed.contains_key(&at) {
                continue;
            }
            let place = scratch.place(options, engine.map(Engine::socket));
            match one(peers[at], &place, length, engine, idle) {
                Ok(measured) => rounds.entry(at).or_default().add(&measured, nothing),
                Err(why) => {
                    failed.insert(at, format!("{why:#}"));
                }
            }
        }
    }
    for (at, why) in failed {
        table.leave_out(format!("{}, {what}", peers[at].name), why);
        rounds.remove(&at);
    }
    let first = |rounds: &BTreeMap<usize, Rounds>, of: fn(&Rounds) -> &Vec<f64>| {
        let at = peers.iter().position(|peer| peer.name == "dunnage");
        at.and_then(|at| rounds.get(&at)).map(|r| median(of(r)))
    };
    let (cpu, held) = (
        first(&rounds, |r| &r.cpu),
        first(&rounds, |r| &r.proportional),
    );
    for (at, measured) in &rounds {
        measured.tell(table, peers[*at], what, cpu, held);
    }
    Ok(())
}

/// One contender once: started, warmed up, watched beside the loads, ended.
fn one(
    peer: &Peer,
    place: &Place<'_>,
    length: Duration,
    engine: Option<&Engine>,
    idle: f64,
) -> anyhow::Result<Measured> {
    let mut group = Group::start(peer.name.replace(' ', "-").as_str(), &peer.words(place)?)?;
    std::thread::sleep(WARM);
    anyhow::ensure!(group.is_alive(), "{} ended by itself right away", peer.name);
    let (before, daemon) = (
        group.cpu_seconds()?,
        engine.map(Engine::cpu_seconds).transpose()?,
    );
    let began = Instant::now();
    let load = run_load(length / 2)?;
    if let Some(page) = peer.page {
        ask(peer.port(), page).with_context(|| format!("reading {page} of {}", peer.name))?;
    }
    let later = run_load(length / 2)?;
    anyhow::ensure!(group.is_alive(), "{} ended by itself", peer.name);
    // What the daemon does by itself is not the client's doing.
    let helped = if peer.wants_engine {
        since(engine, daemon)? - idle
    } else {
        0.0
    };
    let spent = group.cpu_seconds()? - before + helped.max(0.0);
    Ok(Measured {
        cpu: spent / began.elapsed().as_secs_f64(),
        held: group.held(),
        load: LoadCost {
            request: f64::midpoint(load.request, later.request),
            ping_pong: f64::midpoint(load.ping_pong, later.ping_pong),
        },
    })
}

fn since(engine: Option<&Engine>, before: Option<f64>) -> anyhow::Result<f64> {
    Ok(match (engine, before) {
        (Some(engine), Some(before)) => engine.cpu_seconds()? - before,
        _ => 0.0,
    })
}

/// The loads in turn for so long; medians.
fn run_load(length: Duration) -> anyhow::Result<LoadCost> {
    let (mut requests, mut ping_pongs) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < length || requests.is_empty() {
        requests.push(loads::requests(REQUESTS)?);
        ping_pongs.push(loads::ping_pong(PING_PONGS)?);
    }
    Ok(LoadCost {
        request: median(&requests),
        ping_pong: median(&ping_pongs),
    })
}

/// Reads a page to its end, as a collector of metrics does.
fn ask(port: u16, page: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET {page} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64 << 20).read_to_end(&mut answer)?;
    anyhow::ensure!(
        answer.starts_with(b"HTTP/1.") && answer.get(9..12) == Some(b"200"),
        "it answers {:?}",
        String::from_utf8_lossy(&answer[..answer.len().min(40)])
    );
    Ok(())
}

impl Rounds {
    fn add(&mut self, measured: &Measured, nothing: LoadCost) {
        self.cpu.push(measured.cpu * 100.0);
        self.resident.push(measured.held.resident_mib);
        self.proportional.push(measured.held.proportional_mib);
        let growth = |with: f64, without: f64| (with / without - 1.0) * 100.0;
        self.request
            .push(growth(measured.load.request, nothing.request));
        self.ping_pong
            .push(growth(measured.load.ping_pong, nothing.ping_pong));
    }

    fn tell(
        &self,
        table: &mut Table,
        peer: &Peer,
        what: &str,
        cpu: Option<f64>,
        held: Option<f64>,
    ) {
        let row = |part: &str| format!("{}, {what}: {part}", peer.name);
        let times = |own: f64, dunnage: Option<f64>| match dunnage {
            Some(dunnage) if peer.name != "dunnage" && dunnage > 0.0 => {
                format!("{:.1} times dunnage's; ", own / dunnage)
            }
            _ => String::new(),
        };
        let own = median(&self.cpu);
        let note = format!("{}{}; {}", times(own, cpu), spread(&self.cpu), peer.how);
        table.add(row("CPU"), own, "% of a core", None, note);
        let own = median(&self.proportional);
        let resident = median(&self.resident);
        let note = format!("{}resident {resident:.1} MiB", times(own, held));
        table.add(row("memory"), own, "MiB (PSS)", None, note);
        for (part, values) in [
            ("a request costs more by", &self.request),
            ("a ping-pong costs more by", &self.ping_pong),
        ] {
            table.add(
                row(part),
                median(values),
                "% CPU time",
                None,
                spread(values),
            );
        }
    }
}

/// A folder for what the contenders write, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> anyhow::Result<Scratch> {
        let folder = std::env::temp_dir().join(format!("dunnage-bench-{}", std::process::id()));
        std::fs::create_dir(&folder)
            .with_context(|| format!("making the folder {}", folder.display()))?;
        Ok(Scratch(folder))
    }

    fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.0.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn place<'a>(&'a self, options: &'a Options, docker: Option<&'a Path>) -> Place<'a> {
        Place {
            dunnage: &options.binary,
            scratch: &self.0,
            docker,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
