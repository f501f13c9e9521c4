//! The judge under test: one `dunnage blame --watch --json` for a whole run, its windows by time.

use super::clock;
use anyhow::{Context, bail};
use dunnage_model::document::BlameDocument;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// The start takes some 0.3 s; a machine that is busy may take many times as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// One window as it came.
pub(super) struct Window {
    /// When it was there to be read, `CLOCK_MONOTONIC`.
    pub(super) arrived: u64,
    /// When it began, `CLOCK_MONOTONIC`.
    pub(super) start: u64,
    /// When it ended.
    pub(super) end: u64,
    /// What it said.
    pub(super) document: BlameDocument,
}

/// The running command.
pub(super) struct Watch {
    child: Child,
    windows: Receiver<anyhow::Result<Window>>,
}

impl Watch {
    /// Starts it and waits for its first window.
    pub(super) fn start(binary: &Path, window: &str) -> anyhow::Result<Watch> {
        let mut child = Command::new(binary)
            .args([
                "blame",
                "--watch",
                "--json",
                "--no-engines",
                "--for",
                window,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| {
                format!(
                    "starting {}: build it with `cargo build --release -p dunnage`",
                    binary.display()
                )
            })?;
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let (sender, windows) = channel();
        std::thread::spawn(move || follow(stdout, &sender));
        // From here on it ends with this value.
        let watch = Watch { child, windows };
        match watch.windows.recv_timeout(PATIENCE) {
            Ok(first) => first?,
            Err(_) => bail!("{} said nothing within {PATIENCE:?}", binary.display()),
        };
        Ok(watch)
    }

    /// What has come since the last time; waits until a window that ends after `until` has come.
    pub(super) fn windows_until(&self, until: u64) -> anyhow::Result<Vec<Window>> {
        let mut all = Vec::new();
        loop {
            let window = match self.windows.recv_timeout(PATIENCE) {
                Ok(window) => window?,
                Err(_) => bail!("dunnage has ended or hangs"),
            };
            let last = window.end >= until;
            all.push(window);
            if last {
                return Ok(all);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

fn follow(stdout: ChildStdout, sender: &Sender<anyhow::Result<Window>>) {
    for line in BufReader::new(stdout).lines() {
        let arrived = clock::monotonic();
        let window = line.map_err(Into::into).and_then(|l| parse(&l, arrived));
        if sender.send(window).is_err() {
            return;
        }
    }
}

fn parse(line: &str, arrived: u64) -> anyhow::Result<Window> {
    let document: BlameDocument =
        serde_json::from_str(line).with_context(|| format!("not a window: {line:.200}"))?;
    let began: jiff::Timestamp = document
        .window
        .start
        .parse()
        .with_context(|| format!("the window's start, {:?}", document.window.start))?;
    let began = u64::try_from(began.as_nanosecond()).unwrap_or(0);
    // Both clocks are read now; whoever sets the time in between makes the scenario void.
    let behind = clock::unix().saturating_sub(began);
    let start = clock::monotonic().saturating_sub(behind);
    Ok(Window {
        arrived,
        start,
        end: start + clock::from_seconds(document.window.seconds),
        document,
    })
}
