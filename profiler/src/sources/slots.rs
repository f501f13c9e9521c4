//! Keeps programs cheap that a light load enters very often: attached all the time where that costs
//! little, for slots of time where it costs much.
//!
//! To enter a program costs more than what most of them do. What that comes to is measured against the time
//! that the CPUs are busy: a load that switches or sends all the time and does little else pays most for it.
//! Where it is more than the programs may cost, they are attached for a slot at a time only. So many events
//! make a slot a good sample; whoever reads the tables scales it up. A burst on a host that was quiet is
//! seen as a whole.

mod busy;
mod pace;

use crate::sources::switched::Switched;
use aya::programs::ProgramError;
use busy::{BusyTimes, Reading};
pub(super) use pace::Terms;
use pace::{Cost, Pace};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is looked, in a pause, whether a CPU has become saturated: 20 ticks of `/proc/stat`.
const GLANCE: Duration = Duration::from_millis(200);

/// The programs' tables, as far as they tell of slots.
pub(super) trait Tables: Send + 'static {
    /// All programs are attached: what happens from now on is accounted for.
    fn begin(&mut self);

    /// They are about to go: what happens from now on is not.
    fn end(&mut self);

    /// Entries into the programs so far, CPU by CPU.
    fn events(&self) -> Vec<u64>;
}

/// For how long the programs were attached.
struct Watched {
    /// In all, up to `since`.
    time: Duration,
    /// When they were attached; `None` while they are not.
    since: Option<Instant>,
}

impl Watched {
    fn until(&self, now: Instant) -> Duration {
        let running = self.since.map(|since| now.saturating_duration_since(since));
        self.time + running.unwrap_or_default()
    }
}

/// What the thread is told, and tells.
struct Shared {
    watched: Mutex<Watched>,
    end: AtomicBool,
    /// Part of the time that the programs may be attached at most, whatever they cost: the bits of an `f64`.
    most: AtomicU64,
    /// How long the reader's windows are, in nanoseconds.
    window: AtomicU64,
}

impl Shared {
    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread; ends when dropped, and the programs with it.
pub(super) struct Slots {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// When [`Slots::share`] was called last, and what had been watched until then.
    last: (Instant, Duration),
}

impl Slots {
    /// Attaches `programs` and goes on by itself, in a thread called `name`.
    pub(super) fn start(
        name: &'static str,
        terms: Terms,
        programs: Switched,
        tables: impl Tables,
    ) -> Result<Slots, SlotsError> {
        let now = Instant::now();
        let shared = Arc::new(Shared {
            watched: Mutex::new(Watched {
                time: Duration::ZERO,
                since: None,
            }),
            end: AtomicBool::new(false),
            most: AtomicU64::new(1.0_f64.to_bits()),
            window: AtomicU64::new(nanos(pace::LONGEST_WINDOW)),
        });
        let mut watch = Watch {
            programs,
            tables,
            shared: Arc::clone(&shared),
        };
        watch.begin().map_err(|source| SlotsError::Attach {
            name,
            source: Box::new(source),
        })?;
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || follow(watch, terms))
            .map_err(|source| SlotsError::Thread { name, source })?;
        Ok(Slots {
            shared,
            thread: Some(thread),
            last: (now, Duration::ZERO),
        })
    }

    /// The part of the time since the last call in which the programs were attached, 0 to 1. To be called
    /// once a window.
    pub(super) fn share(&mut self) -> f64 {
        let now = Instant::now();
        let watched = self.shared.watched().until(now);
        let (then, before) = std::mem::replace(&mut self.last, (now, watched));
        let passed = now.saturating_duration_since(then);
        // One that begins where another ended says nothing of how long windows are.
        if passed >= pace::LEAST_WINDOW {
            self.shared.window.store(nanos(passed), Ordering::Relaxed);
        }
        share_of(watched.saturating_sub(before), passed)
    }

    /// Lets the programs be attached for the part `most` of the time at most, from now on.
    pub(super) fn limit(&mut self, most: f64) {
        let before = self.shared.most.swap(most.to_bits(), Ordering::Relaxed);
        // Small changes of the load are no reason to begin anew.
        let changed = (most - f64::from_bits(before)).abs() > 0.1 * most;
        if let Some(thread) = self.thread.as_ref().filter(|_| changed) {
            thread.thread().unpark();
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Why there are no slots.
#[derive(Debug, thiserror::Error)]
pub enum SlotsError {
    /// The kernel refused a program.
    #[error("attaching the programs of {name} failed: {source}")]
    Attach {
        /// What they see.
        name: &'static str,
        /// The reason.
        #[source]
        source: Box<ProgramError>,
    },
    /// Nobody would attach and detach them.
    #[error("starting the thread that keeps accounting for {name} cheap failed: {source}")]
    Thread {
        /// What is accounted for.
        name: &'static str,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What was attached all the time is so to the last bit, whatever the clocks say.
fn share_of(watched: Duration, passed: Duration) -> f64 {
    let away = passed.saturating_sub(watched);
    if away < Duration::from_millis(1) {
        1.0
    } else {
        watched.as_secs_f64() / passed.as_secs_f64()
    }
}

/// Attaches and detaches until it is told to end.
fn follow<T: Tables>(mut watch: Watch<T>, terms: Terms) {
    let mut pace = Pace::new(terms);
    let mut times = BusyTimes::open();
    let mut before: Option<Reading> = None;
    loop {
        let (began, events) = (Instant::now(), watch.tables.events());
        if !watch.rest(pace.look(), pace.is_limited()) {
            return;
        }
        let mut cost = Cost::of(&events, &watch.tables.events(), began.elapsed());
        // Few events are cheap whatever else the CPUs do, and to read the file is not.
        let now = cost.is_noticeable().then(|| times.read()).flatten();
        if let (Some(before), Some(now)) = (&before, &now) {
            cost = cost.beside(&now.busy_since(before));
        }
        before = now;
        let Some(pause) = pace.pause(&cost, watch.window(), watch.most()) else {
            continue;
        };
        watch.end();
        if !watch.pause(pause, &mut pace, &mut times) {
            return;
        }
        // Where the kernel refuses them, the next slot may have them.
        while watch.begin().is_err() {
            if !watch.rest(pause, true) {
                return;
            }
        }
    }
}

/// The programs, and what the thread shares.
struct Watch<T> {
    programs: Switched,
    tables: T,
    shared: Arc<Shared>,
}

impl<T: Tables> Watch<T> {
    /// A slot lasts as long as all programs are there.
    fn begin(&mut self) -> Result<(), ProgramError> {
        self.programs.attach()?;
        self.tables.begin();
        self.shared.watched().since = Some(Instant::now());
        Ok(())
    }

    fn end(&mut self) {
        self.tables.end();
        {
            let mut watched = self.shared.watched();
            watched.time = watched.until(Instant::now());
            watched.since = None;
        }
        self.programs.detach();
    }

    fn window(&self) -> Duration {
        Duration::from_nanos(self.shared.window.load(Ordering::Relaxed))
    }

    fn most(&self) -> f64 {
        f64::from_bits(self.shared.most.load(Ordering::Relaxed))
    }

    /// Waits between two slots, less where a CPU becomes saturated for which all is to be seen. Returns
    /// whether to go on.
    fn pause(&self, length: Duration, pace: &mut Pace, times: &mut BusyTimes) -> bool {
        let mut before = pace.has_saturation().then(|| times.read()).flatten();
        let mut left = length;
        while before.is_some() && left >= 2 * GLANCE {
            if !self.rest(GLANCE, true) {
                return false;
            }
            left -= GLANCE;
            let now = times.read();
            if let (Some(before), Some(now)) = (&before, &now)
                && pace.spares(&now.busy_since(before), self.most())
            {
                return true;
            }
            before = now;
        }
        self.rest(left, true)
    }

    /// Waits for `length`; less, unless `whole`, where the limit is another than it was. Returns whether to
    /// go on.
    fn rest(&self, length: Duration, whole: bool) -> bool {
        let (until, most) = (Instant::now() + length, self.most());
        loop {
            if self.shared.end.load(Ordering::Relaxed) {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || (!whole && self.most() < most) {
                return true;
            }
            std::thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_the_time_is_all_the_time() {
        let second = Duration::from_secs(1);
        assert_eq!(share_of(second, second), 1.0);
        assert_eq!(share_of(second - Duration::from_micros(20), second), 1.0);
        assert_eq!(share_of(Duration::ZERO, second), 0.0);
        assert!((share_of(second / 4, second) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn what_runs_now_is_watched_too() {
        let now = Instant::now();
        let time = Duration::from_millis(5);
        let away = Watched { time, since: None };
        assert_eq!(away.until(now + time), time);
        let there = Watched {
            time,
            since: Some(now),
        };
        assert_eq!(there.until(now + time), 2 * time);
    }
}
