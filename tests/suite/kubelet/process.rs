//! Programs of a node that are killed and started again: the kubelet and the device plugin.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// A program that runs until it is killed or dropped; by SIGKILL, as by the kernel when memory is short.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(command: &mut Command) -> Result<Process> {
        let child = command
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Process(child))
    }

    /// Starts it, and reads what it says.
    pub(super) fn start_read(command: &mut Command) -> Result<(Process, Lines)> {
        let mut process = Process::start(command.stderr(Stdio::piped()))?;
        let output = process.0.stderr.take().context("its output is a pipe")?;
        Ok((process, Lines::of(output)))
    }

    /// Fails where it has ended by itself.
    pub(super) fn runs(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended: {status}"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then only say so.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the plugin says, line by line, with the time of each.
pub(super) struct Lines(Receiver<(SystemTime, String)>);

impl Lines {
    fn of(output: ChildStderr) -> Lines {
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send((SystemTime::now(), line)).is_err() {
                    return;
                }
            }
        });
        Lines(lines)
    }

    /// All that was said and not read yet.
    pub(super) fn so_far(&self) -> Vec<String> {
        self.0.try_iter().map(|(_, line)| line).collect()
    }

    /// Reads on until each of `resources` was registered, and says when the last one was.
    pub(super) fn registered(&self, resources: &[&str], patience: Duration) -> Result<SystemTime> {
        let end = Instant::now() + patience;
        let mut wanted = resources.to_vec();
        let mut said = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (at, line) = match self.0.recv_timeout(left) {
                Ok(next) => next,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{wanted:?} not registered after {patience:?}; it said: {said:?}")
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the plugin ended: {said:?}"),
            };
            wanted.retain(|resource| !line.contains(&registration(resource)));
            if wanted.is_empty() {
                return Ok(at);
            }
            said.push(line);
        }
    }
}

/// What the plugin says when the kubelet has taken a resource.
pub(super) fn registration(resource: &str) -> String {
    format!("the kubelet knows of {resource} ")
}
