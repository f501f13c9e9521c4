//! Keeps the cost of the programs at interrupts and packets small: all the time where there are few
//! events, for slots of time where there are many.
//!
//! Some eleven times in a small request a program would be entered here, and to enter it costs more than
//! what it does. So where the events of a second would cost a CPU more than [`BUDGET`], the programs are
//! attached for a slot at a time only. So many events make a slot a good sample; whoever reads the tables
//! scales it up. A burst on a host that was quiet is seen as a whole.

use super::tables::cpu;
use crate::sources::switched::Switched;
use crate::sys::MappedArray;
use aya::programs::ProgramError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What all of it may cost one CPU: a part of its time. All sources together are to stay within 2 %.
const BUDGET: f64 = 0.003;

/// What an event costs: to enter a program 100 to 145 ns on a virtual machine, and some 80 ns in it.
const NANOS_AN_EVENT: f64 = 200.0;

/// How often the cost is looked at while all is attached; and for so many looks, a second, it must be too
/// much before slots begin: what passes sooner is seen as a whole.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS: u32 = 4;

/// So many slots in a row must be cheap enough, and by a quarter, before all is attached again.
const CHEAP_SLOTS: u32 = 4;
const CHEAP: f64 = 0.75;

/// A slot and a pause. A window of a second has two; to attach nine programs and to take them away takes
/// some 2 ms of CPU time, so more of them would cost more than they save.
const CYCLE: Duration = Duration::from_millis(500);

/// The least part of the time: 25 ms of a cycle, long against a batch of packets. And the most, where it is
/// not all: to go to and fro costs more than a shorter pause saves.
const LEAST_DUTY: f64 = 0.05;
const MOST_DUTY: f64 = 0.5;

/// What the time between two slots is at least of what it is on average; at most, it is as much more. It is
/// not even, so that nothing that comes at regular times is always seen, or never.
const SHORTEST_PAUSE: f64 = 0.5;
/// The fractional part of the golden ratio: its multiples spread evenly over 0 to 1.
const GOLDEN: f64 = 0.618_033_988_75;

/// The part of the time for which the programs may be attached, where all the time they would cost a CPU
/// the part `cost` of its time.
fn duty_for(cost: f64) -> f64 {
    if cost <= BUDGET {
        1.0
    } else {
        (BUDGET / cost).clamp(LEAST_DUTY, MOST_DUTY)
    }
}

/// Decides from look to look.
#[derive(Default)]
struct Pace {
    /// Looks in a row that spoke for the other way.
    against: u32,
    in_slots: bool,
    /// How long a slot is.
    slot: Duration,
    /// Pauses so far.
    pauses: f64,
}

impl Pace {
    /// How long the programs are to be away after a look that showed `cost`; `None` where they stay.
    fn pause(&mut self, cost: f64) -> Option<Duration> {
        let (against, looks) = if self.in_slots {
            (cost <= BUDGET * CHEAP, CHEAP_SLOTS)
        } else {
            (cost > BUDGET, LOOKS)
        };
        self.against = if against { self.against + 1 } else { 0 };
        if self.against == looks {
            self.in_slots = !self.in_slots;
            self.against = 0;
        }
        let duty = duty_for(cost);
        self.slot = CYCLE.mul_f64(duty);
        if !self.in_slots || duty >= 1.0 {
            return None;
        }
        self.pauses += 1.0;
        let even = SHORTEST_PAUSE + 2.0 * (1.0 - SHORTEST_PAUSE) * (self.pauses * GOLDEN).fract();
        Some((CYCLE - self.slot).mul_f64(even))
    }

    /// How long until the next look.
    fn look(&self) -> Duration {
        if self.in_slots { self.slot } else { LOOK }
    }
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

/// The thread; ends when dropped, and the programs with it.
pub(super) struct Slots {
    watched: Arc<Mutex<Watched>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// When [`Slots::share`] was called last, and what had been watched until then.
    last: (Instant, Duration),
}

impl Slots {
    /// Attaches `programs` and goes on by itself; `cpus` is the table of that name.
    pub(super) fn start(programs: Switched, cpus: Arc<MappedArray>) -> Result<Slots, SlotsError> {
        let now = Instant::now();
        let watched = Arc::new(Mutex::new(Watched {
            time: Duration::ZERO,
            since: None,
        }));
        let end = Arc::new(AtomicBool::new(false));
        let mut watch = Watch {
            programs,
            cpus,
            watched: Arc::clone(&watched),
            slot: 0,
        };
        watch.begin().map_err(|e| SlotsError::Attach(Box::new(e)))?;
        let ended = Arc::clone(&end);
        let thread = std::thread::Builder::new()
            .name("interrupts".to_owned())
            .spawn(move || follow(watch, &ended))?;
        Ok(Slots {
            watched,
            end,
            thread: Some(thread),
            last: (now, Duration::ZERO),
        })
    }

    /// The part of the time since the last call in which the programs were attached, 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        let now = Instant::now();
        let watched = lock(&self.watched).until(now);
        let (then, before) = std::mem::replace(&mut self.last, (now, watched));
        let passed = now.saturating_duration_since(then);
        share_of(watched.saturating_sub(before), passed)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Why there are no slots.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlotsError {
    /// The kernel refused a program.
    #[error("attaching the programs at interrupts and packets failed: {0}")]
    Attach(#[source] Box<ProgramError>),
    /// Nobody would attach and detach them.
    #[error(
        "starting the thread that keeps the cost of accounting for interrupts small failed: {0}"
    )]
    Thread(#[from] std::io::Error),
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

fn lock(watched: &Mutex<Watched>) -> std::sync::MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attaches and detaches until it is told to end.
fn follow(mut watch: Watch, ended: &AtomicBool) {
    let mut pace = Pace::default();
    loop {
        let (began, events) = (Instant::now(), watch.events());
        if !rest(pace.look(), ended) {
            return;
        }
        let cost = cost_of(&events, &watch.events(), began.elapsed());
        let Some(pause) = pace.pause(cost) else {
            continue;
        };
        watch.end();
        loop {
            if !rest(pause, ended) {
                return;
            }
            // Where the kernel refuses them this time, this slot has nothing.
            if watch.begin().is_ok() {
                break;
            }
        }
    }
}

/// Whether to go on after so long.
fn rest(length: Duration, ended: &AtomicBool) -> bool {
    let until = Instant::now() + length;
    loop {
        if ended.load(Ordering::Relaxed) {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::park_timeout(left);
    }
}

/// The part of its time that the events cost the CPU which had most of them.
fn cost_of(before: &[u64], after: &[u64], time: Duration) -> f64 {
    let events = before.iter().zip(after).map(|(b, a)| a.saturating_sub(*b));
    let most = events.max().unwrap_or(0);
    most as f64 * NANOS_AN_EVENT / 1e9 / time.as_secs_f64().max(1e-6)
}

/// The programs, and the words of the table that tell them of slots.
struct Watch {
    programs: Switched,
    cpus: Arc<MappedArray>,
    watched: Arc<Mutex<Watched>>,
    slot: u64,
}

impl Watch {
    /// Attaches the programs, and lets contexts begin only then: a slot lasts as long as all are there.
    fn begin(&mut self) -> Result<(), ProgramError> {
        self.programs.attach()?;
        self.slot += 1;
        for at in 0..self.cpus.len() {
            // What ended unseen in between.
            for word in cpu::BEGAN {
                self.cpus.store(at, word, 0);
            }
            self.cpus.store(at, cpu::SENT_BY, 0);
            self.cpus.store(at, cpu::SLOT, self.slot);
        }
        lock(&self.watched).since = Some(Instant::now());
        Ok(())
    }

    fn end(&mut self) {
        for at in 0..self.cpus.len() {
            self.cpus.store(at, cpu::SLOT, 0);
        }
        {
            let mut watched = lock(&self.watched);
            watched.time = watched.until(Instant::now());
            watched.since = None;
        }
        self.programs.detach();
    }

    fn events(&self) -> Vec<u64> {
        (0..self.cpus.len())
            .map(|at| self.cpus.load(at, cpu::EVENTS))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MUCH: f64 = 10.0 * BUDGET;

    #[test]
    fn few_events_are_all_seen() {
        let mut pace = Pace::default();
        assert!((0..100).all(|_| pace.pause(BUDGET).is_none()));
        assert_eq!(pace.look(), LOOK);
    }

    #[test]
    fn a_burst_is_seen_as_a_whole_and_what_lasts_is_not() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            assert!((1..LOOKS).all(|_| pace.pause(MUCH).is_none()));
            assert!(pace.pause(0.0).is_none());
        }
        assert!((1..LOOKS).all(|_| pace.pause(MUCH).is_none()));
        assert!(pace.pause(MUCH).is_some());
        assert_eq!(pace.look(), CYCLE / 10);
    }

    #[test]
    fn slots_go_on_until_they_have_been_cheap_for_long() {
        let mut pace = Pace {
            in_slots: true,
            ..Pace::default()
        };
        assert!((1..CHEAP_SLOTS).all(|_| pace.pause(0.0).is_none() && pace.in_slots));
        assert!(pace.pause(MUCH).is_some());
        assert!((0..CHEAP_SLOTS).all(|_| pace.pause(0.0).is_none()));
        assert!(!pace.in_slots);
    }

    #[test]
    fn the_dearest_cpu_decides() {
        let cost = cost_of(&[5, 100], &[15, 100_100], Duration::from_secs(1));
        assert!((cost - 100_000.0 * NANOS_AN_EVENT / 1e9).abs() < 1e-9);
        assert_eq!(cost_of(&[], &[], Duration::from_secs(1)), 0.0);
    }

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

    proptest! {
        #[test]
        fn on_average_slots_cost_the_budget(times in 2.0..20.0_f64) {
            let mut pace = Pace { in_slots: true, ..Pace::default() };
            let cost = BUDGET * times;
            let pauses: Vec<Duration> = (0..200).filter_map(|_| pace.pause(cost)).collect();
            let away: Duration = pauses.iter().sum();
            let there = pace.look() * 200;
            let spent = cost * there.as_secs_f64() / (there + away).as_secs_f64();
            prop_assert!((spent / BUDGET - 1.0).abs() < 0.02, "{spent}");
        }
    }
}
