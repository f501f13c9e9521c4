//! A load that switches, reads and writes a disk and sends packets, as much as it can: what the sources
//! of all resources see events of. It runs in a process of its own, so that its CPU time is its own.

use crate::loads::work;
use anyhow::{Context, ensure};
use nix::fcntl::OFlag;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::net::UdpSocket;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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

/// Runs the load in a process of its own, with its files in `folder`; `meanwhile` is called once a second.
pub(crate) fn in_child(
    folder: &Path,
    operations: u64,
    meanwhile: &mut dyn FnMut(),
) -> anyhow::Result<Ran> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["mixed-load", &operations.to_string()])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the mixed load")?;
    let mut read = Instant::now();
    while child.try_wait()?.is_none() {
        thread::sleep(Duration::from_millis(20));
        if read.elapsed() >= Duration::from_secs(1) {
            meanwhile();
            read = Instant::now();
        }
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the mixed load ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("reading what the mixed load says of itself")
}

/// The load itself: so many operations by each pair; prints what it was.
pub(crate) fn run(folder: &Path, operations: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    let pairs: Vec<_> = (0..PAIRS)
        .map(|number| {
            let file = folder.join(format!("mixed-{}-{number}", std::process::id()));
            thread::spawn(move || pair(&file, number, operations))
        })
        .collect();
    let mut requests = 0;
    for pair in pairs {
        requests += pair
            .join()
            .map_err(|_| anyhow::anyhow!("a pair of the mixed load failed"))??;
    }
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |t: TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
    let ran = Ran {
        operations: operations * PAIRS,
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: seconds(usage.user_time()) + seconds(usage.system_time()),
        switches: u64::try_from(switches).unwrap_or(0),
        requests,
        packets: operations * PAIRS * 2,
    };
    println!("{}", serde_json::to_string(&ran)?);
    Ok(())
}

/// One client that asks over loopback, one server that works, reads, writes and answers. Returns how many
/// reads and writes it made.
fn pair(path: &Path, seed: u64, operations: u64) -> anyhow::Result<u64> {
    let server = UdpSocket::bind("127.0.0.1:0").context("binding a socket on loopback")?;
    let client = UdpSocket::bind("127.0.0.1:0").context("binding a socket on loopback")?;
    server.connect(client.local_addr()?)?;
    client.connect(server.local_addr()?)?;
    // A datagram that is dropped must not hang the load.
    let patience = Some(Duration::from_secs(10));
    server.set_read_timeout(patience)?;
    client.set_read_timeout(patience)?;
    let disk = Disk::make(path)?;
    let serving = thread::spawn(move || -> anyhow::Result<u64> {
        let mut requests = 0;
        let mut disk = disk;
        for at in 0..operations {
            let mut request = [0_u8; 64];
            server.recv(&mut request).context("waiting for a request")?;
            let answer = work(&request, WORK);
            requests += disk.work(at, answer ^ seed)?;
            server.send(&answer.to_le_bytes())?;
        }
        Ok(requests)
    });
    let mut answer = [0_u8; 8];
    for at in 0..operations {
        let mut request = [0_u8; 64];
        request[..8].copy_from_slice(&at.to_le_bytes());
        client.send(&request)?;
        client.recv(&mut answer).context("waiting for an answer")?;
    }
    serving
        .join()
        .map_err(|_| anyhow::anyhow!("a server of the mixed load failed"))?
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
