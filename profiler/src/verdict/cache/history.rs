//! What the judge remembers of each party: the windows of the last minutes, and what is ordinary.

use super::thresholds;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// One party in one window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Cycles per instruction.
    pub(super) cpi: f64,
    /// CPUs in use.
    pub(super) cpus: f64,
    /// What it did to the cache: misses where they are counted, else CPU time.
    pub(super) activity: f64,
}

/// One window: its length, and everybody in it by key.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) seconds: f64,
    pub(super) parties: BTreeMap<Arc<str>, Sample>,
}

/// What is ordinary for one party: mean and squared deviations (Welford, 1962), outliers left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ordinary {
    count: usize,
    mean: f64,
    squares: f64,
    /// Outliers since the last ordinary window.
    in_a_row: usize,
}

impl Ordinary {
    /// The mean, where there is history enough to have one.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count >= thresholds::LEAST_HISTORY).then_some(self.mean)
    }

    /// Above this it is an outlier.
    pub(super) fn bound(&self) -> Option<f64> {
        let mean = self.mean()?;
        let deviation = (self.squares / (self.count - 1) as f64).sqrt();
        Some(mean + thresholds::DEVIATIONS * deviation.max(mean * thresholds::LEAST_DEVIATION))
    }

    /// Learns from one window; what is unusual teaches nothing, until it has become usual.
    pub(super) fn learn(&mut self, cpi: f64) {
        if self.bound().is_some_and(|bound| cpi > bound) {
            self.in_a_row += 1;
            if self.in_a_row >= thresholds::NEW_LIFE {
                *self = Ordinary::default();
            }
            return;
        }
        self.in_a_row = 0;
        self.count += 1;
        let off = cpi - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (cpi - self.mean);
    }
}

/// All that is remembered. It lives as long as the watching does.
#[derive(Clone, Debug, Default)]
pub struct CacheHistory {
    windows: VecDeque<Remembered>,
    ordinary: BTreeMap<Arc<str>, Ordinary>,
}

impl CacheHistory {
    /// What is ordinary for a party.
    pub(super) fn ordinary(&self, key: &str) -> Option<&Ordinary> {
        self.ordinary.get(key)
    }

    /// The windows of the last `seconds`, the newest first.
    pub(super) fn last(&self, seconds: f64) -> impl Iterator<Item = &Remembered> {
        let mut age = 0.0;
        self.windows.iter().rev().take_while(move |window| {
            let young = age < seconds;
            age += window.seconds;
            young
        })
    }

    /// Takes a window in. Those who use too little teach nothing, and who is gone is forgotten with
    /// the last window that it was in.
    pub(super) fn remember(&mut self, window: Remembered) {
        for (key, sample) in &window.parties {
            if sample.cpus >= thresholds::LEAST_CPUS {
                self.ordinary
                    .entry(key.clone())
                    .or_default()
                    .learn(sample.cpi);
            }
        }
        self.windows.push_back(window);
        let mut seconds: f64 = self.windows.iter().map(|window| window.seconds).sum();
        let too_old = thresholds::CORRELATED_SECONDS;
        while self.windows.len() > thresholds::MOST_WINDOWS || seconds > 2.0 * too_old {
            let Some(oldest) = self.windows.pop_front() else {
                break;
            };
            seconds -= oldest.seconds;
            for key in oldest.parties.keys() {
                if !self.windows.iter().any(|w| w.parties.contains_key(key)) {
                    self.ordinary.remove(key);
                }
            }
        }
    }
}

/// How a suspect's activity goes with a victim's cycles, -1 to 1 (CPI², section 4.2): each window
/// has the victim's cycles per instruction and the suspect's activity, `bound` is what is unusual.
pub(super) fn correlation(bound: f64, pairs: &[(f64, f64)]) -> f64 {
    let all: f64 = pairs.iter().map(|(_, activity)| activity).sum();
    if all <= 0.0 || bound <= 0.0 {
        return 0.0;
    }
    let part = |(cpi, activity): &(f64, f64)| {
        let weight = activity / all;
        if *cpi > bound {
            weight * (1.0 - bound / cpi)
        } else {
            weight * (cpi / bound - 1.0)
        }
    };
    pairs.iter().map(part).sum()
}
