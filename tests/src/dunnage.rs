//! The command under test: run with a time limit, read as text or JSON.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
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
    pub fn spawn(&self) -> Result<Child> {
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
        command
            .spawn()
            .with_context(|| format!("start {command:?}"))
    }

    /// Runs it to its end. A run over its limit is killed and is an error.
    pub fn run(&self) -> Result<Outcome> {
        let start = Instant::now();
        let mut child = self.spawn()?;
        let stdout = child.stdout.take().context("standard output is a pipe")?;
        let stderr = child.stderr.take().context("standard error is a pipe")?;
        let out = thread::spawn(move || read_all(stdout));
        let err = thread::spawn(move || read_all(stderr));
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if start.elapsed() > self.limit {
                child.kill()?;
                child.wait()?;
                break None;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let took = start.elapsed();
        let read = |reader: thread::JoinHandle<std::io::Result<Vec<u8>>>| -> Result<Vec<u8>> {
            Ok(reader
                .join()
                .map_err(|_| anyhow::anyhow!("the reader of a pipe panicked"))??)
        };
        let (stdout, stderr) = (
            read(out)?,
            String::from_utf8_lossy(&read(err)?).into_owned(),
        );
        match status {
            Some(status) => Ok(Outcome {
                status: status.code(),
                stdout,
                stderr,
                took,
            }),
            None => bail!(
                "{self} did not end within {:?}; it said:\n{}{stderr}",
                self.limit,
                String::from_utf8_lossy(&stdout)
            ),
        }
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

fn read_all(mut pipe: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes)?;
    Ok(bytes)
}
