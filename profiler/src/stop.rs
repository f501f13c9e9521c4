//! A request to stop early, by a signal or by the program itself.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Raised once, seen by everybody who holds a clone. Waiting for it costs no wake-ups.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// One that nothing raises but [`raise`](Stop::raise).
    #[must_use]
    pub fn new() -> Stop {
        Stop::default()
    }

    /// One that SIGINT, SIGTERM and SIGHUP raise.
    ///
    /// # Errors
    /// Where the handlers cannot be set.
    pub fn on_signals() -> std::io::Result<Stop> {
        let stop = Stop::new();
        let raised = stop.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for _ in signals.forever() {
                    raised.raise();
                }
            })?;
        Ok(stop)
    }

    /// Asks everybody to stop.
    pub fn raise(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `length`, or until raised; returns whether it was.
    #[must_use]
    pub fn wait(&self, length: Duration) -> bool {
        let deadline = Instant::now() + length;
        let mut raised = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*raised {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            raised = self
                .0
                .1
                .wait_timeout(raised, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_stop_ends_a_wait_in_another_thread() {
        let stop = Stop::new();
        let other = stop.clone();
        let waiter = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        stop.raise();
        assert!(waiter.join().unwrap());
        assert!(stop.is_raised());
    }

    #[test]
    fn a_wait_ends_by_itself() {
        assert!(!Stop::new().wait(Duration::from_millis(1)));
    }
}
