//! Keeps the cost of the exact accounting under a budget that the operator sets.
//!
//! The program measures itself on one event in 1,024. Where all events together would cost more than
//! the budget, it is switched on for a fraction of each 200 ms only, and the amounts are scaled up:
//! coverage `sampled`, said in the output. While it is off a switch costs an empty program.

use super::layout::cpu;
use crate::sys::MappedArray;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The share of the machine's CPU time, 0 to 1, that the accounting may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget(pub f64);

impl Default for Budget {
    /// 3 %: a machine would have to switch some 300,000 times a second on each CPU to reach it.
    fn default() -> Budget {
        Budget(0.03)
    }
}

/// The shortest share of the time that is still worth scaling up.
const LEAST_DUTY: f64 = 0.02;
/// One on-and-off cycle; short against a window of 100 ms or more, long against a scheduler's slice.
const CYCLE: Duration = Duration::from_millis(200);

/// The share of the time for which the program may run, given what it would cost if always on.
pub(super) fn duty_for(budget: Budget, cost_share: f64) -> f64 {
    if cost_share <= budget.0 || cost_share <= 0.0 {
        1.0
    } else {
        (budget.0 / cost_share).max(LEAST_DUTY)
    }
}

/// Switches the program on and off; always on until told otherwise.
pub(super) struct Governor {
    cpus: Arc<MappedArray>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    duty: f64,
    on_since: Instant,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Nanoseconds for which the program was on, under the thread.
    on_ns: AtomicU64,
}

impl Governor {
    pub(super) fn start(cpus: Arc<MappedArray>) -> Governor {
        switch(&cpus, true);
        Governor {
            cpus,
            shared: Arc::default(),
            thread: None,
            duty: 1.0,
            on_since: Instant::now(),
        }
    }

    /// The share of the time that was last asked for.
    pub(super) fn duty(&self) -> f64 {
        self.duty
    }

    /// The share of the time since the last call for which the program was on; then lets it run for
    /// `duty` of the time from now on.
    pub(super) fn turn(&mut self, duty: f64) -> f64 {
        let elapsed = self.on_since.elapsed();
        let on = if self.thread.is_some() {
            self.shared.on_ns.swap(0, Ordering::Relaxed) as f64 / (elapsed.as_nanos().max(1)) as f64
        } else {
            1.0
        };
        self.on_since = Instant::now();
        // Small changes of the load are no reason to restart the cycle.
        if (duty - self.duty).abs() > 0.1 * self.duty {
            self.halt();
            self.duty = duty;
            if duty < 1.0 {
                self.thread = self.cycle(duty);
            }
        }
        on.clamp(LEAST_DUTY / 2.0, 1.0)
    }

    fn cycle(&self, duty: f64) -> Option<JoinHandle<()>> {
        let (cpus, shared) = (Arc::clone(&self.cpus), Arc::clone(&self.shared));
        let on = CYCLE.mul_f64(duty);
        let run = move || {
            while !shared.stop.load(Ordering::Relaxed) {
                switch(&cpus, true);
                let began = Instant::now();
                std::thread::park_timeout(on);
                switch(&cpus, false);
                let ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                shared.on_ns.fetch_add(ns, Ordering::Relaxed);
                std::thread::park_timeout(CYCLE.saturating_sub(on));
            }
        };
        std::thread::Builder::new()
            .name("governor".to_owned())
            .spawn(run)
            .ok()
    }

    fn halt(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.shared.stop.store(true, Ordering::Relaxed);
            thread.thread().unpark();
            let _ = thread.join();
            self.shared = Arc::default();
            switch(&self.cpus, true);
        }
    }
}

impl Drop for Governor {
    fn drop(&mut self) {
        self.halt();
        switch(&self.cpus, false);
    }
}

/// Each time it is switched on, a new epoch begins: what happened meanwhile is not accounted for.
fn switch(cpus: &MappedArray, on: bool) {
    for at in 0..cpus.len() {
        if on {
            let control = cpus.load(at, cpu::CONTROL);
            let epoch = u32::try_from(control >> 32).unwrap_or(0).wrapping_add(1) & 0x7fff;
            cpus.store_half(at, cpu::CONTROL, 1, epoch);
        }
        cpus.store_half(at, cpu::CONTROL, 0, u32::from(on));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_within_its_budget_is_always_on() {
        assert!((duty_for(Budget(0.01), 0.01) - 1.0).abs() < 1e-9);
        assert!((duty_for(Budget(0.01), 0.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_program_beyond_its_budget_is_on_for_the_share_that_fits() {
        assert!((duty_for(Budget(0.01), 0.04) - 0.25).abs() < 1e-9);
        assert!((duty_for(Budget(0.0), 0.5) - LEAST_DUTY).abs() < 1e-9);
    }
}
