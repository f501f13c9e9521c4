//! Loads on memory: files that are read again and again, files that stream by, memory that is filled
//! and held.

use super::super::clock;
use super::super::part::Part;
use super::{duration, size};
use anyhow::Context;
use clap::Args;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// On a disk: what lies in a memory file system is no page cache that could be dropped.
const PLACE: &str = "/var/tmp";

/// One request to the file system.
const CHUNK: usize = 256 << 10;

/// The smallest page of any machine.
const PAGE: usize = 4096;

/// Reads a file of its own from end to end, which stays in memory where there is room.
#[derive(Args, Debug)]
pub(crate) struct Reread {
    /// Length of the file
    #[arg(long, value_parser = size)]
    size: u64,
    /// How often it is read
    #[arg(long, value_parser = duration)]
    every: Duration,
}

impl Reread {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let file = tempfile::tempfile_in(PLACE).context("making a file to read again")?;
        let content = vec![7; CHUNK];
        for at in chunks(self.size) {
            file.write_all_at(&content, at)?;
        }
        file.sync_all()?;
        let mut buffer = vec![0; CHUNK];
        while let Some(end) = part.next_span() {
            let mut due = clock::monotonic();
            while due < end {
                clock::sleep_until(due);
                for at in chunks(self.size) {
                    file.read_at(&mut buffer, at)?;
                }
                part.meter.operation(due, 1);
                due = (due + clock::nanos(self.every)).max(clock::monotonic());
            }
        }
        Ok(())
    }
}

/// Reads a long file from end to end, over and over. The file has no blocks on the disk: what it
/// costs is memory alone.
#[derive(Args, Debug)]
pub(crate) struct Stream {
    /// Length of the file
    #[arg(long, value_parser = size)]
    size: u64,
}

impl Stream {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        let file = tempfile::tempfile_in(PLACE).context("making a file to stream")?;
        file.set_len(self.size)?;
        while let Some(end) = part.next_span() {
            stream(&file, self.size, end)?;
        }
        Ok(())
    }
}

fn stream(file: &File, size: u64, end: u64) -> anyhow::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        for at in chunks(size) {
            if clock::monotonic() >= end {
                return Ok(());
            }
            file.read_at(&mut buffer, at)?;
        }
    }
}

/// Fills so much memory and holds it.
#[derive(Args, Debug)]
pub(crate) struct Fill {
    /// How much
    #[arg(long, value_parser = size)]
    size: u64,
    /// In what time
    #[arg(long, value_parser = duration, default_value = "100ms")]
    over: Duration,
}

impl Fill {
    pub(super) fn play(&self, part: &mut Part) {
        while let Some(end) = part.next_span() {
            let began = clock::monotonic();
            let mut held: Vec<Vec<u8>> = Vec::new();
            let count = self.size / CHUNK as u64;
            let step = clock::nanos(self.over) / count.max(1);
            for number in 0..count {
                let due = began + number * step;
                if due >= end {
                    break;
                }
                clock::sleep_until(due);
                let mut chunk = vec![0_u8; CHUNK];
                chunk.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
                held.push(chunk);
            }
            clock::sleep_until(end);
            std::hint::black_box(&held);
        }
    }
}

fn chunks(size: u64) -> impl Iterator<Item = u64> {
    (0..size / CHUNK as u64).map(|number| number * CHUNK as u64)
}
