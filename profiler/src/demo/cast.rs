//! The demo's children: started, put in their cgroups, listened to, and ended.

use super::DemoError;
use super::cgroups::Folders;
use super::cleanup::Traces;
use super::load::{Orders, WATCHER, now};
use super::truth::Tick;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The most ticks that are kept: over an hour of them.
const MAX_TICKS: usize = 400_000;
/// The most bytes of a report's line; a tick has less than 100.
const MAX_LINE: u64 = 4_096;

/// Makes the command that runs [`load`](super::load) with a role and a number of seconds.
pub(super) type Launcher = dyn Fn(&str, u64) -> Command;

/// The launcher of the real program: itself, under its hidden command.
pub(super) fn own_program(role: &str, seconds: u64) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["demo-load", role]).arg(seconds.to_string());
    command
}

/// One role at work. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Player {
    role: &'static str,
    child: Child,
}

impl Player {
    /// Starts `role` in its cgroup, on CPU `cpu`, for at most `seconds`.
    ///
    /// The calling thread must outlive the player: the kernel kills it when that thread ends.
    ///
    /// # Errors
    /// Where the process cannot be started or its cgroup does not take it.
    pub(super) fn start(
        launcher: &Launcher,
        folders: &Folders,
        role: &'static str,
        cpu: usize,
        seconds: u64,
    ) -> Result<Player, DemoError> {
        let failed = |source| DemoError::load(role, "start", source);
        let child = launcher(role, seconds)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for the demo alone, which then ends its children itself.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut player = Player { role, child };
        folders.confine(role, cpu);
        folders.join(role, player.child.id())?;
        let parent = i32::try_from(std::process::id()).unwrap_or(0);
        let orders = Orders { cpu, parent }.line();
        if let Some(stdin) = player.child.stdin.as_mut() {
            stdin.write_all(orders.as_bytes()).map_err(failed)?;
        }
        Ok(player)
    }

    /// The role.
    pub(super) fn role(&self) -> &'static str {
        self.role
    }

    /// What it used so far, by its process's own clock; `None` where it is gone.
    pub(super) fn cpu_nanos(&self) -> Option<u64> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).ok()?);
        clock_getcpuclockid(pid).ok().map(now)
    }

    /// Whether it still runs.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its reports, from now on.
    pub(super) fn ticks(&mut self) -> Ticks {
        let ticks = Ticks::default();
        if let Some(out) = self.child.stdout.take() {
            let kept = ticks.clone();
            thread::spawn(move || kept.listen(out));
        }
        ticks
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the victim has reported; grows in the background.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticks(Arc<Mutex<Vec<Tick>>>);

impl Ticks {
    fn listen(&self, out: ChildStdout) {
        let mut out = BufReader::new(out);
        let mut line = String::new();
        loop {
            line.clear();
            match out.by_ref().take(MAX_LINE).read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if let Some(tick) = Tick::parse(&line) {
                let mut ticks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if ticks.len() < MAX_TICKS {
                    ticks.push(tick);
                }
            }
        }
    }

    /// All so far.
    pub(super) fn all(&self) -> Vec<Tick> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The child that cleans up where this process can no longer. Dropping it lets it do so and end.
#[derive(Debug)]
pub(super) struct Watcher {
    child: Child,
    input: Option<ChildStdin>,
}

impl Watcher {
    /// Starts it.
    ///
    /// # Errors
    /// Where the process cannot be started.
    pub(super) fn start(launcher: &Launcher) -> Result<Watcher, DemoError> {
        let mut child = launcher(WATCHER, 0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| DemoError::load(WATCHER, "start", source))?;
        let input = child.stdin.take();
        Ok(Watcher { child, input })
    }

    /// Tells it what there is, or will be in a moment.
    pub(super) fn tell(&mut self, traces: &Traces) {
        if let Some(input) = &mut self.input {
            // A watcher that is gone costs the protection against kill -9, not the demo.
            let _ = traces.tell(input);
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
