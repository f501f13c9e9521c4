//! A load that switches, reads and writes a disk and sends packets, as much as it can: what the sources
//! of all resources see events of. It runs in a process of its own, so that its CPU time is its own.

use crate::loads::{cpu_seconds, work};
use anyhow::{Context, ensure};
use nix::fcntl::OFlag;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Clients, each with a server: both CPUs of a small machine have somebody waiting.
const PAIRS: u64 = 2;

/// The file that each server reads from.
const FILE_BYTES: u64 = 32 << 20;
const BLOCK: usize = 4096;
const WRITE: usize = 16 << 10;

/// Rounds of arithmetic an operation, some 10 us.
const WORK: u32 = 5_000;

/// Operations for each read past the page cache, each buffered write, each flush to the device.
const READ_EVERY: u64 = 2;
const WRITE_EVERY: u64 = 8;
const FLUSH_EVERY: u64 = 1_024;

/// What one run of the load was.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub(crate) operations: u64,
    /// Wall clock.
    pub(crate) seconds: f64,
    /// CPU time of the load's process.
    pub(crate) cpu_seconds: f64,
    pub(crate) switches: u64,
    pub(crate) requests: u64,
    pub(crate) packets: u64,
}

impl Ran {
    /// CPU seconds an operation.
    pub(crate) fn an_operation(&self) -> f64 {
        self.cpu_seconds / self.operations.max(1) as f64
    }
}

/// The load in a process of its own. It makes its files and sockets once, and rests between two runs, so
/// that runs a second long can be compared.
pub(crate) struct Mixed {
    child: Child,
    /// Closing it ends the process; taken only then.
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Mixed {
    /// Starts it, with its files in `folder`.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Mixed> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("mixed-load")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the mixed load")?;
        let asks = child.stdin.take();
        let answers = child
            .stdout
            .take()
            .context("the mixed load has no output")?;
        Ok(Mixed {
            child,
            asks,
            answers: BufReader::new(answers),
        })
    }

    /// Runs so many operations by each pair.
    pub(crate) fn run(&mut self, operations: u64) -> anyhow::Result<Ran> {
        let asks = self.asks.as_mut().context("the mixed load has ended")?;
        writeln!(asks, "{operations}").context("asking the mixed load to run")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the mixed load ended");
        serde_json::from_str(&line).context("reading what the mixed load says of itself")
    }
}

impl Drop for Mixed {
    fn drop(&mut self) {
        self.asks.take();
        let _ = self.child.wait();
    }
}

/// The load itself: for each number on standard input so many operations by each pair; prints what that
/// was.
pub(crate) fn serve(folder: &Path) -> anyhow::Result<()> {
    let mut pairs = (0..PAIRS)
        .map(|number| {
            let file = folder.join(format!("mixed-{}-{number}", std::process::id()));
            Pair::make(&file, number)
        })
        .collect::<anyhow::Result<Vec<Pair>>>()?;
    for line in std::io::stdin().lines() {
        let ran = run(&mut pairs, line?.trim().parse()?)?;
        println!("{}", serde_json::to_string(&ran)?);
    }
    Ok(())
}

fn run(pairs: &mut [Pair], operations: u64) -> anyhow::Result<Ran> {
    let (began, cpu_before, switches_before) = (Instant::now(), cpu_seconds(), switches()?);
    let requests = thread::scope(|scope| {
        let running: Vec<_> = pairs
            .iter_mut()
            .map(|pair| scope.spawn(|| pair.run(operations)))
            .collect();
        let mut requests = 0;
        for pair in running {
            requests += pair
                .join()
                .map_err(|_| anyhow::anyhow!("a pair of the mixed load failed"))??;
        }
        anyhow::Ok(requests)
    })?;
    Ok(Ran {
        operations: operations * PAIRS,
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds() - cpu_before,
        switches: switches()? - switches_before,
        requests,
        packets: operations * PAIRS * 2,
    })
}

/// How often this process's threads have left a CPU.
fn switches() -> anyhow::Result<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
    Ok(u64::try_from(switches).unwrap_or(0))
}

/// One client that asks over loopback, one server that works, reads, writes and answers.
struct Pair {
    client: UdpSocket,
    server: UdpSocket,
    disk: Disk,
    seed: u64,
    /// Operations so far.
    done: u64,
}

impl Pair {
    fn make(path: &Path, seed: u64) -> anyhow::Result<Pair> {
        let server = UdpSocket::bind("127.0.0.1:0").context("binding a socket on loopback")?;
        let client = UdpSocket::bind("127.0.0.1:0").context("binding a socket on loopback")?;
        server.connect(client.local_addr()?)?;
        client.connect(server.local_addr()?)?;
        // A datagram that is dropped must not hang the load.
        let patience = Some(Duration::from_secs(10));
        server.set_read_timeout(patience)?;
        client.set_read_timeout(patience)?;
        Ok(Pair {
            client,
            server,
            disk: Disk::make(path)?,
            seed,
            done: 0,
        })
    }

    /// Returns how many reads and writes it made.
    fn run(&mut self, operations: u64) -> anyhow::Result<u64> {
        let Pair {
            client,
            server,
            disk,
            seed,
            done,
        } = self;
        let begin = *done;
        *done += operations;
        thread::scope(|scope| {
            let serving = scope.spawn(move || -> anyhow::Result<u64> {
                let mut requests = 0;
                for at in begin..begin + operations {
                    let mut request = [0_u8; 64];
                    server.recv(&mut request).context("waiting for a request")?;
                    let answer = work(&request, WORK);
                    requests += disk.work(at, answer ^ *seed)?;
                    server.send(&answer.to_le_bytes())?;
                }
                Ok(requests)
            });
            let mut answer = [0_u8; 8];
            for at in begin..begin + operations {
                let mut request = [0_u8; 64];
                request[..8].copy_from_slice(&at.to_le_bytes());
                client.send(&request)?;
                client.recv(&mut answer).context("waiting for an answer")?;
            }
            serving
                .join()
                .map_err(|_| anyhow::anyhow!("a server of the mixed load failed"))?
        })
    }
}

/// A file read past the page cache and written through it; gone with it.
struct Disk {
    path: PathBuf,
    direct: File,
    buffered: File,
    memory: Vec<u8>,
    aligned: usize,
}

impl Disk {
    fn make(path: &Path) -> anyhow::Result<Disk> {
        let buffered = File::create(path).with_context(|| format!("making {}", path.display()))?;
        let chunk = vec![7_u8; 1 << 20];
        for at in 0..FILE_BYTES / chunk.len() as u64 {
            buffered.write_all_at(&chunk, at * chunk.len() as u64)?;
        }
        buffered.sync_all()?;
        let direct = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_DIRECT.bits())
            .open(path)
            .with_context(|| {
                format!(
                    "opening {} past the page cache: name a folder on a disk with --folder",
                    path.display()
                )
            })?;
        let memory = vec![0_u8; 2 * BLOCK + WRITE];
        let aligned = memory.as_ptr().align_offset(BLOCK);
        Ok(Disk {
            path: path.to_owned(),
            direct,
            buffered,
            memory,
            aligned,
        })
    }

    /// What belongs to operation `at`; `random` chooses the place. Returns the reads and writes.
    fn work(&mut self, at: u64, random: u64) -> anyhow::Result<u64> {
        let mut made = 0;
        let place = |bytes: usize| random % (FILE_BYTES / bytes as u64) * bytes as u64;
        if at.is_multiple_of(READ_EVERY) {
            let memory = &mut self.memory[self.aligned..self.aligned + BLOCK];
            self.direct.read_exact_at(memory, place(BLOCK))?;
            made += 1;
        }
        if at.is_multiple_of(WRITE_EVERY) {
            self.buffered
                .write_all_at(&self.memory[..WRITE], place(WRITE))?;
            made += 1;
        }
        if at % FLUSH_EVERY == FLUSH_EVERY - 1 {
            self.buffered.sync_data()?;
        }
        Ok(made)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
