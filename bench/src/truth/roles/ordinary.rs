//! What ordinary containers do besides computing: they write logs, read files again and again, and talk.

use super::super::clock;
use super::super::part::Part;
use super::cpu::work;
use super::{duration, size};
use anyhow::Context;
use clap::Args;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

/// A log is begun anew at this size.
const LARGEST_LOG: u64 = 64 << 20;

/// Writes so much to a file every so often, through the page cache.
#[derive(Args, Debug)]
pub(crate) struct Log {
    /// The file, which is made
    #[arg(long)]
    file: PathBuf,
    /// Bytes at a time
    #[arg(long, value_parser = size)]
    bytes: u64,
    /// How often
    #[arg(long, value_parser = duration)]
    every: Duration,
}

impl Log {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let mut file =
            File::create(&self.file).with_context(|| format!("making {}", self.file.display()))?;
        let line = vec![b'x'; usize::try_from(self.bytes)?];
        let mut written = 0;
        while let Some(end) = part.next_span() {
            let mut due = clock::monotonic();
            while due < end {
                clock::sleep_until(due);
                file.write_all(&line)?;
                part.meter.operation(due, self.bytes);
                written += self.bytes;
                if written > LARGEST_LOG {
                    file.set_len(0)?;
                    file.seek(SeekFrom::Start(0))?;
                    written = 0;
                }
                due += clock::nanos(self.every);
            }
        }
        Ok(())
    }
}

/// Reads a file from the page cache again and again, and works on it.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// The file, which is made
    #[arg(long)]
    file: PathBuf,
    /// Its size
    #[arg(long, value_parser = size)]
    bytes: u64,
    /// How often it is read
    #[arg(long, value_parser = duration)]
    every: Duration,
    /// CPU time besides
    #[arg(long, value_parser = duration, default_value = "0ms")]
    work: Duration,
}

impl Serve {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let mut buffer = vec![b'x'; usize::try_from(self.bytes)?];
        std::fs::write(&self.file, &buffer)
            .with_context(|| format!("writing {}", self.file.display()))?;
        let mut file = File::open(&self.file)?;
        while let Some(end) = part.next_span() {
            let mut due = clock::monotonic();
            while due < end {
                clock::sleep_until(due);
                file.seek(SeekFrom::Start(0))?;
                file.read_exact(&mut buffer)?;
                work(self.work);
                part.meter.operation(due, self.bytes);
                due += clock::nanos(self.every);
            }
        }
        Ok(())
    }
}

/// A question and an answer over the loopback device every so often.
#[derive(Args, Debug)]
pub(crate) struct Chat {
    /// Bytes of a question
    #[arg(long, value_parser = size)]
    bytes: u64,
    /// How often
    #[arg(long, value_parser = duration)]
    every: Duration,
}

impl Chat {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let (asks, answers) = (
            UdpSocket::bind("127.0.0.1:0")?,
            UdpSocket::bind("127.0.0.1:0")?,
        );
        asks.connect(answers.local_addr()?)?;
        answers.connect(asks.local_addr()?)?;
        let mut buffer = vec![b'x'; usize::try_from(self.bytes)?];
        while let Some(end) = part.next_span() {
            let mut due = clock::monotonic();
            while due < end {
                clock::sleep_until(due);
                asks.send(&buffer)?;
                let got = answers.recv(&mut buffer)?;
                answers.send(&buffer[..got])?;
                asks.recv(&mut buffer)?;
                part.meter.operation(due, 2 * self.bytes);
                due += clock::nanos(self.every);
            }
        }
        Ok(())
    }
}
