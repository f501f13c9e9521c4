//! The command's process: it stops itself before the `exec`, so that it can be put into its cgroup
//! and watched from the first instruction on.
//!
//! The process is this program once more, under a hidden command ([`become_command`]); standard
//! input, output and error, the session and the terminal are the caller's own.

use super::RunError;
use super::signals::FORWARDED;
use dunnage_model::run::RunEnd;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getppid};
use std::ffi::{CStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The name of a process that has not become the command yet.
const WAITS: &CStr = c"dunnage: waits";

/// What shells exit with where a command is there and cannot be run.
const CANNOT_RUN: u8 = 126;
/// What shells exit with where there is no such command.
const NOT_FOUND: u8 = 127;

/// The process, stopped before its `exec` or running. Dropping it while it is stopped kills it.
#[derive(Debug)]
pub struct RunCommand {
    pid: Pid,
    stopped: bool,
}

impl RunCommand {
    /// Starts the process and waits until it has stopped itself.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(command: &[OsString]) -> Result<RunCommand, RunError> {
        let child = Command::new("/proc/self/exe")
            .arg("run-child")
            .arg(std::process::id().to_string())
            .arg("--")
            .args(command)
            .stdin(Stdio::inherit())
            .spawn()
            .map_err(|source| RunError::process("start", source))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let hold = |errno: Errno| RunError::process("hold back", errno);
        loop {
            match waitpid(pid, Some(WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::Stopped(..)) => return Ok(RunCommand { pid, stopped: true }),
                Ok(_) => return Err(hold(Errno::ECHILD)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(hold(errno)),
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Lets it become the command.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn go(&mut self) -> Result<(), RunError> {
        kill(self.pid, Signal::SIGCONT).map_err(|errno| RunError::process("let go of", errno))?;
        self.stopped = false;
        Ok(())
    }

    /// Waits until it has ended, and leaves it as it is, so that `/proc` still tells of it. Stopping
    /// and going on, as Ctrl-Z and `fg` make it, are no end.
    pub fn wait_for_end(pid: u32) {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), ended) == Err(Errno::EINTR) {}
    }

    /// Whether it ended without having become the command: it has said why itself.
    #[must_use]
    pub fn never_ran(&self) -> bool {
        let name = fs::read(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        name.trim_ascii_end() == WAITS.to_bytes()
    }

    /// How it ended; its process id is free from now on.
    ///
    /// # Errors
    /// Where somebody else has asked for its end before.
    pub fn reap(&mut self) -> Result<RunEnd, RunError> {
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(_, code)) => {
                    return Ok(RunEnd::Exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX)));
                }
                Ok(WaitStatus::Signaled(_, signal, _)) => {
                    return Ok(RunEnd::Killed(u8::try_from(signal as i32).unwrap_or(0)));
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(RunError::process("wait for", errno)),
            }
        }
    }
}

impl Drop for RunCommand {
    fn drop(&mut self) {
        if self.stopped {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

/// The body of the hidden command: stops itself, and becomes `command` once it is let go. Returns
/// where that cannot be, with the exit code that shells have for it and the reason.
pub fn become_command(parent: i32, command: &[OsString]) -> (u8, io::Error) {
    let Some((program, arguments)) = command.split_first() else {
        return (NOT_FOUND, io::Error::from(io::ErrorKind::InvalidInput));
    };
    let held = || -> nix::Result<()> {
        prctl::set_name(WAITS)?;
        // Set before the parent is looked at: from here on its death is this one's, before it is
        // seen below. A stopped process that nobody knows of would stay for good.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != Pid::from_raw(parent) {
            return Err(Errno::ESRCH);
        }
        raise(Signal::SIGSTOP)?;
        prctl::set_pdeathsig(None)?;
        SigSet::from_iter(FORWARDED).thread_unblock()
    };
    if let Err(errno) = held() {
        return (CANNOT_RUN, errno.into());
    }
    let error = Command::new(program).args(arguments).exec();
    let code = if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        CANNOT_RUN
    };
    (code, error)
}
