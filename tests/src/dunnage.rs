//! The command under test: run with a time limit, read as text or JSON.

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The release binary, or the one that `DUNNAGE_BIN` names.
pub fn binary() -> Result<PathBuf> {
    let path = std::env::var_os("DUNNAGE_BIN")
        .map_or_else(|| crate::target().join("release/dunnage"), PathBuf::from);
    ensure!(
        path.exists(),
        "{} is missing: run ./check, or `cargo build --release -p dunnage`",
        path.display()
    );
    Ok(path)
}

/// A `dunnage` command that is being put together.
#[derive(Debug)]
pub struct Dunnage {
    prefix: Vec<OsString>,
    binary: Option<PathBuf>,
    arguments: Vec<String>,
    limit: Duration,
}

/// How a run ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status; absent where a signal ended it.
    pub status: Option<i32>,
    /// Standard output, as it came.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

/// `dunnage ARGUMENTS...`, at most 30 s (ten times that on an emulated CPU).
#[must_use]
pub fn dunnage(arguments: &[&str]) -> Dunnage {
    let limit = Duration::from_secs(if crate::machine::emulated() { 300 } else { 30 });
    Dunnage {
        prefix: Vec::new(),
        binary: None,
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        limit,
    }
}

impl Dunnage {
    /// More arguments, such as the sockets of an engine.
    #[must_use]
    pub fn with(mut self, arguments: &[String]) -> Dunnage {
        self.arguments.extend_from_slice(arguments);
        self
    }

    /// Another copy of the binary.
    #[must_use]
    pub fn copied_to(mut self, binary: PathBuf) -> Dunnage {
        self.binary = Some(binary);
        self
    }

    /// Run through another command, such as `setpriv`.
    #[must_use]
    pub fn through(mut self, prefix: &[&str]) -> Dunnage {
        self.prefix = prefix.iter().map(OsString::from).collect();
        self
    }

    /// Starts it without waiting.
    pub fn spawn(&self) -> Result<Running> {
        let binary = self.binary.clone().map_or_else(binary, Ok)?;
        let mut words = self.prefix.clone();
        words.push(binary.into());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(&self.arguments)
            .env("LC_ALL", "C.UTF-8");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let stdout = read_aside(child.stdout.take())?;
        let stderr = read_aside(child.stderr.take())?;
        Ok(Running {
            name: self.to_string(),
            child,
            stdout,
            stderr,
            start,
        })
    }

    /// Starts it for a reader that goes away at once; its standard error is read on.
    pub fn spawn_unread(&self) -> Result<Child> {
        let mut command = Command::new(binary()?);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        drop(child.stdout.take());
        Ok(child)
    }

    /// Runs it to its end. A run over its limit is killed and is an error.
    pub fn run(&self) -> Result<Outcome> {
        self.spawn()?.finish(self.limit)
    }

    /// Runs it, expects exit status 0, and reads the one JSON document it prints.
    pub fn json(&self) -> Result<Value> {
        let outcome = self.run()?;
        ensure!(
            outcome.status == Some(0),
            "{self} exits {:?}, not 0; it said:\n{}{}",
            outcome.status,
            outcome.text(),
            outcome.stderr
        );
        outcome
            .json()
            .with_context(|| format!("the output of {self}; standard error: {}", outcome.stderr))
    }
}

impl std::fmt::Display for Dunnage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "`dunnage {}`", self.arguments.join(" "))
    }
}

impl Outcome {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as one JSON document.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.stdout)
            .with_context(|| format!("not one JSON document: {}", self.text()))
    }
}

/// A command that has been started. What it prints is read on the side, so that no pipe fills up;
/// and nothing here polls, because a test that wakes up all the time is a load of its own.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    stdout: Output,
    stderr: Output,
    start: Instant,
}

/// What a pipe held, once all who could write to it have closed it.
type Output = Receiver<std::io::Result<Vec<u8>>>;

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn send(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?);
        kill(pid, signal).with_context(|| format!("send {signal} to {pid}"))
    }

    /// Waits until it has ended and nothing that it started holds its output any more, at most
    /// `patience` from now; then it is killed and that is an error.
    pub fn finish(mut self, patience: Duration) -> Result<Outcome> {
        let end = Instant::now() + patience;
        let stdout = self.stdout.recv_timeout(patience);
        let stderr = self
            .stderr
            .recv_timeout(end.saturating_duration_since(Instant::now()));
        let took = self.start.elapsed();
        let (Ok(stdout), Ok(stderr)) = (stdout, stderr) else {
            self.child.kill()?;
            let status = self.child.wait()?;
            bail!(
                "{} did not end within {patience:?}, or something it started still holds its output: {status}",
                self.name
            );
        };
        let status = self.child.wait()?.code();
        Ok(Outcome {
            status,
            stdout: stdout?,
            stderr: String::from_utf8_lossy(&stderr?).into_owned(),
            took,
        })
    }
}

fn read_aside<P: Read + Send + 'static>(pipe: Option<P>) -> Result<Output> {
    let mut pipe = pipe.context("the output is a pipe")?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens any more where the run was given up.
        let _ = sender.send(read);
    });
    Ok(receiver)
}
