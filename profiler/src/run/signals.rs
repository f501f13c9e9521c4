//! Signals on their way to the command.

use super::RunError;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What is handed on. Everything else does to Dunnage what it always does.
pub(super) const FORWARDED: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The signals, held back until there is somebody to hand them to.
#[derive(Debug)]
pub struct RunSignals {
    held: SignalFd,
    to: Arc<Mutex<Option<Pid>>>,
}

impl RunSignals {
    /// Holds the signals back from now on. To be called before any thread is started: a thread has
    /// the mask of the one that started it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn hold() -> Result<RunSignals, RunError> {
        let failed = |errno: Errno| RunError::process("forward signals to", errno);
        let set = SigSet::from_iter(FORWARDED);
        set.thread_block().map_err(failed)?;
        Ok(RunSignals {
            held: SignalFd::new(&set).map_err(failed)?,
            to: Arc::default(),
        })
    }

    /// Hands on what came and what comes to the process `pid`, until told to stop.
    pub fn forward(self, pid: u32) -> Forwarding {
        let to = Arc::clone(&self.to);
        *lock(&to) = i32::try_from(pid).ok().map(Pid::from_raw);
        thread::spawn(move || self.hand_on());
        Forwarding { to }
    }

    fn hand_on(&self) {
        loop {
            let info = match self.held.read_signal() {
                Ok(Some(info)) => info,
                Ok(None) | Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            // A terminal tells everybody in the foreground by itself, and the command is there: told
            // twice, many programs take it for impatience. Above 0 is the kernel (sigaction(2)).
            if info.ssi_code > 0 {
                continue;
            }
            let signal = i32::try_from(info.ssi_signo).ok().map(Signal::try_from);
            if let (Some(pid), Some(Ok(signal))) = (*lock(&self.to), signal) {
                let _ = kill(pid, signal);
            }
        }
    }
}

/// Hands on signals until it is dropped, which must be before the process id is free.
#[derive(Debug)]
pub struct Forwarding {
    to: Arc<Mutex<Option<Pid>>>,
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        *lock(&self.to) = None;
    }
}

fn lock(to: &Mutex<Option<Pid>>) -> std::sync::MutexGuard<'_, Option<Pid>> {
    to.lock().unwrap_or_else(PoisonError::into_inner)
}
