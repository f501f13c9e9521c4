//! A daemon in a folder of its own that ends with the tests, however they end.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A running daemon. Its end of a pipe closes when this is dropped or the process ends, even by
/// SIGKILL; the keeping script then stops the daemon and removes the folder.
#[derive(Debug)]
pub struct Keeper {
    script: Child,
    said: Mutex<BufReader<ChildStdout>>,
    folder: PathBuf,
    socket: PathBuf,
}

/// An empty folder for one daemon, with a path short enough for Unix sockets (108 bytes).
pub fn own_folder(name: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("dunnage-tests-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

impl Keeper {
    /// Starts `command` and waits until `socket` takes connections.
    pub fn start(
        folder: &Path,
        command: &[String],
        environment: &[(&str, &str)],
        socket: &Path,
    ) -> Result<Keeper> {
        let mut script = Command::new(crate::script("keep.sh"))
            .arg(folder)
            .args(command)
            .envs(environment.iter().copied())
            // Ctrl-C reaches the tests; what they keep then ends in its own order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start tests/setup/keep.sh")?;
        let said = script.stdout.take().context("its output is a pipe")?;
        let keeper = Keeper {
            script,
            said: Mutex::new(BufReader::new(said)),
            folder: folder.to_owned(),
            socket: socket.to_owned(),
        };
        keeper
            .until_it_listens()
            .with_context(|| command.join(" "))?;
        Ok(keeper)
    }

    /// Has the daemon killed, as by an accident, and started anew, and waits until it listens again.
    pub fn kill_and_start(&self) -> Result<()> {
        let mut wish = self.script.stdin.as_ref().context("its input is a pipe")?;
        wish.write_all(b"again\n")?;
        let mut line = String::new();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.read_line(&mut line)?;
        ensure!(line.trim() == "KILLED", "tests/setup/keep.sh said {line:?}");
        self.until_it_listens().context("after it was killed")
    }

    fn until_it_listens(&self) -> Result<()> {
        let patience = Duration::from_secs(if crate::machine::emulated() { 180 } else { 40 });
        let start = Instant::now();
        while UnixStream::connect(&self.socket).is_err() {
            if start.elapsed() > patience {
                bail!(
                    "nobody listens at {} after {patience:?}; the daemon said:\n{}",
                    self.socket.display(),
                    self.log_end()
                );
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The folder that the daemon may use and that goes away with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The last lines that the daemon wrote.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(15).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // The script is bounded itself: it kills what does not stop within ten seconds.
        if let Err(error) = self.script.wait() {
            eprintln!(
                "waiting for the keeper of {}: {error}",
                self.folder.display()
            );
        }
    }
}
