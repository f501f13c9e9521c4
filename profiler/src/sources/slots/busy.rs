//! How busy each CPU is, by what `/proc/stat` counts as idle.

use crate::sources::machine::cpu_times;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// The lines of CPUs come first: some 100 bytes each, and 8,192 CPUs are the most there are.
const LIMIT: usize = 1 << 20;
/// What is read at first, for some 40 CPUs.
const FIRST: usize = 4 << 10;

/// The open file.
pub(super) struct BusyTimes {
    file: Option<File>,
    text: Vec<u8>,
}

/// What it said at one time.
pub(super) struct Reading {
    at: Instant,
    /// By number of the CPU, ascending.
    idle: Vec<(u32, Duration)>,
}

impl BusyTimes {
    /// Where the file does not open, no CPU is known to be idle.
    pub(super) fn open() -> BusyTimes {
        BusyTimes {
            file: File::open("/proc/stat").ok(),
            text: vec![0; FIRST],
        }
    }

    /// What it says now; `None` where it cannot be read.
    pub(super) fn read(&mut self) -> Option<Reading> {
        let file = self.file.as_ref()?;
        loop {
            let length = file.read_at(&mut self.text, 0).ok()?;
            let text = &self.text[..length];
            let whole = length < self.text.len() || text.windows(6).any(|w| w == b"\nintr ");
            if whole || self.text.len() >= LIMIT {
                return Some(Reading::parse(text, Instant::now()));
            }
            self.text.resize(self.text.len() * 4, 0);
        }
    }
}

impl Reading {
    fn parse(text: &[u8], at: Instant) -> Reading {
        let (_, cpus) = cpu_times(text, crate::sources::machine::tick());
        let idle = cpus
            .into_iter()
            .map(|(cpu, times)| (cpu, Duration::from_nanos(times.idle.0)));
        Reading {
            at,
            idle: idle.collect(),
        }
    }

    /// The part of the time since `before` in which each CPU was busy, by its number; 1 for those of which
    /// nothing is known.
    pub(super) fn busy_since(&self, before: &Reading) -> Vec<f64> {
        let passed = self.at.saturating_duration_since(before.at);
        let mut busy = Vec::with_capacity(self.idle.len());
        for &(cpu, idle) in &self.idle {
            let Ok(place) = before.idle.binary_search_by_key(&cpu, |(cpu, _)| *cpu) else {
                continue;
            };
            let idle = idle.saturating_sub(before.idle[place].1).as_secs_f64();
            let at = cpu as usize;
            if busy.len() <= at {
                busy.resize(at + 1, 1.0);
            }
            busy[at] = (1.0 - idle / passed.as_secs_f64().max(1e-6)).clamp(0.0, 1.0);
        }
        busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEFORE: &[u8] = b"cpu  9 0 9 900 100 0 0 0 0 0\ncpu0 9 0 9 500 50 0 0 0 0 0\ncpu2 0 0 0 400 50 0 0 0 0 0\nintr 1 2 3\n";
    const AFTER: &[u8] = b"cpu  9 0 9 960 110 0 0 0 0 0\ncpu0 9 0 9 510 55 0 0 0 0 0\ncpu2 0 0 0 450 55 0 0 0 0 0\ncpu3 0 0 0 1 1 0 0 0 0 0\nintr 1 2 3\n";

    #[test]
    fn what_was_not_idle_was_busy() {
        let now = Instant::now();
        let before = Reading::parse(BEFORE, now);
        let after = Reading::parse(AFTER, now + Duration::from_secs(1));
        let busy = after.busy_since(&before);
        // Of one that was not there nothing is known, nor of one that is new.
        let expected = [0.85, 1.0, 0.45];
        assert_eq!(busy.len(), expected.len());
        assert!(
            busy.iter().zip(expected).all(|(b, e)| (b - e).abs() < 1e-9),
            "{busy:?}"
        );
    }

    #[test]
    fn this_host_tells() {
        let reading = BusyTimes::open().read().unwrap();
        assert!(!reading.idle.is_empty());
        assert!(reading.idle.is_sorted());
    }

    proptest! {
        #[test]
        fn parts_of_the_time_stay_parts(text in proptest::collection::vec(any::<u8>(), 0..200), numbers in proptest::collection::vec((0_u32..64, any::<u64>()), 0..8)) {
            let now = Instant::now();
            let lines: String = numbers.iter().map(|(cpu, idle)| format!("cpu{cpu} 1 2 3 {idle} 0 0 0 0\n")).collect();
            let before = Reading::parse(&text, now);
            let after = Reading::parse(lines.as_bytes(), now);
            for busy in [after.busy_since(&before), before.busy_since(&after), after.busy_since(&after)] {
                prop_assert!(busy.iter().all(|part| (0.0..=1.0).contains(part)));
            }
        }
    }
}
