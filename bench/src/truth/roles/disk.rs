//! Loads on block devices: requests that measure themselves, streams, bursts, files that are synced.

use super::super::clock;
use super::super::meter::Meter;
use super::super::part::Part;
use super::{duration, size};
use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// On a disk; a memory file system takes no direct requests.
pub(crate) const PLACE: &str = "/var/tmp";

/// The longest file that a load makes for itself.
const LENGTH: u64 = 64 << 20;

/// What direct requests and their buffers are aligned to.
const PAGE: usize = 4096;

/// What one request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Request {
    /// Reads past the page cache
    Read,
    /// Writes past the page cache
    Write,
    /// Writes into the page cache
    Buffer,
    /// Writes into the page cache and waits until it is on the disk
    Sync,
    /// Writes into the page cache, which a flusher of the kernel writes back at once
    Flush,
}

/// Requests to a file of its own or to a device.
#[derive(Args, Debug)]
pub(crate) struct Disk {
    /// What one request does
    #[arg(value_enum)]
    request: Request,
    /// Length of a request
    #[arg(long, value_parser = size)]
    size: u64,
    /// How often one comes; by itself one right after the other
    #[arg(long, value_parser = duration, default_value = "0ms")]
    every: Duration,
    /// Threads that do so
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// A device, in place of a file
    #[arg(long)]
    device: Option<PathBuf>,
}

impl Disk {
    pub(super) fn play(&self, part: &mut Part) -> anyhow::Result<()> {
        ensure!(
            self.size > 0 && self.size <= LENGTH,
            "a size of 1 to 64 MiB"
        );
        let file = self.open()?;
        while let Some(end) = part.next_span() {
            let meter = &part.meter;
            let file = &file;
            thread::scope(|scope| {
                let threads: Vec<_> = (0..self.threads)
                    .map(|thread| scope.spawn(move || self.requests(file, thread, meter, end)))
                    .collect();
                let mut ends = threads.into_iter().map(|thread| thread.join());
                ends.try_for_each(|end| end.unwrap_or_else(|_| Err(io::Error::other("a panic"))))
            })
            .context("a request to the disk")?;
        }
        Ok(())
    }

    fn open(&self) -> anyhow::Result<File> {
        let flags = match self.request {
            Request::Read | Request::Write => OFlag::O_DIRECT.bits(),
            Request::Buffer | Request::Sync | Request::Flush => 0,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(flags);
        if let Some(device) = &self.device {
            let file = options.open(device);
            return file.with_context(|| format!("opening {}", device.display()));
        }
        let file = tempfile::tempfile_in(PLACE).context("making a file")?;
        // Written before anything is measured, so that the disk has blocks for it.
        let content = vec![7; 1 << 20];
        for at in (0..LENGTH).step_by(content.len()) {
            file.write_all_at(&content, at)?;
        }
        file.sync_all()?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        options
            .open(path)
            .context("opening the file for direct requests")
    }

    fn requests(&self, file: &File, thread: usize, meter: &Meter, end: u64) -> io::Result<()> {
        let length = usize::try_from(self.size).unwrap_or(PAGE);
        let mut space = vec![7; length + PAGE];
        let aligned = space.as_ptr().align_offset(PAGE);
        let buffer = &mut space[aligned..aligned + length];
        let places = LENGTH / self.size;
        // Far apart from one request to the next and from one thread to the other.
        let (mut place, step) = (thread as u64 * 977, places / 3 * 2 + 1);
        let mut due = clock::monotonic();
        while due < end {
            clock::sleep_until(due);
            place = (place + step) % places;
            let at = place * self.size;
            match self.request {
                Request::Read => file.read_exact_at(buffer, at)?,
                Request::Write | Request::Buffer => file.write_all_at(buffer, at)?,
                Request::Sync => {
                    file.write_all_at(buffer, at)?;
                    file.sync_all()?;
                }
                Request::Flush => {
                    file.write_all_at(buffer, at)?;
                    nix::unistd::syncfs(file)?;
                }
            }
            meter.operation(due, 1);
            due = (due + clock::nanos(self.every)).max(clock::monotonic());
        }
        Ok(())
    }
}
