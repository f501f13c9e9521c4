//! The correlation of CPI2 (Zhang and others, EuroSys 2013): whose use rises and falls with the victim's
//! slow-down.
//!
//! CPI2 takes cycles per instruction; here the victim's own latency stands in for it, which is the
//! better signal.

use super::super::clock;
use super::super::meter;
use super::super::scenario::{SETTLE, Scenario};
use super::super::stage::Played;
use dunnage_model::verdict::Resource;

/// The paper's threshold.
const SUSPECT: f64 = 0.35;

/// Outliers are above the calm mean by this many deviations; the paper takes two.
const DEVIATIONS: f64 = 2.0;

/// All whose correlation is above the threshold.
pub(super) fn named(scenario: &Scenario, played: &Played, victim: usize) -> Vec<usize> {
    let slow = slowness(scenario, played, victim);
    let others = (0..scenario.cast.len()).filter(|at| *at != victim);
    others
        .filter(|at| correlation(&slow, &uses(scenario, played, *at)) >= SUSPECT)
        .collect()
}

/// The victim's mean latency between two looks over what is still normal; 1 where it ended nothing.
fn slowness(scenario: &Scenario, played: &Played, victim: usize) -> Vec<f64> {
    let records = &played.actors[victim].records;
    let onset = played.began + clock::from_seconds(scenario.onset());
    let settled = played.began + clock::from_seconds(SETTLE);
    let means: Vec<(u64, f64)> = played
        .looks
        .windows(2)
        .map(|pair| {
            let mean = meter::measured(records, pair[0].at, pair[1].at).mean;
            (pair[1].at, mean)
        })
        .collect();
    let calm: Vec<f64> = means
        .iter()
        .filter(|(at, mean)| *at > settled && *at <= onset && *mean > 0.0)
        .map(|(_, mean)| *mean)
        .collect();
    let count = calm.len().max(1) as f64;
    let mean = calm.iter().sum::<f64>() / count;
    let deviation = (calm.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / count).sqrt();
    let normal = mean + DEVIATIONS * deviation;
    let over = |mean: f64| {
        if mean > 0.0 && normal > 0.0 {
            mean / normal
        } else {
            1.0
        }
    };
    means.iter().map(|(_, mean)| over(*mean)).collect()
}

/// What one actor used between looks.
fn uses(scenario: &Scenario, played: &Played, at: usize) -> Vec<f64> {
    let used = |resource: Resource, look: usize| {
        let used = played.looks[look].used[at];
        match resource {
            Resource::Disk => used.disk,
            Resource::Memory => used.memory,
            _ => used.cpu,
        }
    };
    (1..played.looks.len())
        .map(|look| match scenario.resource {
            Resource::Network => {
                let (from, to) = (played.looks[look - 1].at, played.looks[look].at);
                meter::measured(&played.actors[at].records, from, to).amount as f64
            }
            Resource::Memory => used(Resource::Memory, look),
            resource => used(resource, look) - used(resource, look - 1),
        })
        .collect()
}

/// The paper's sum: use, normalised to 1, times how far the victim is beyond the normal, or within.
fn correlation(slow: &[f64], uses: &[f64]) -> f64 {
    let all: f64 = uses.iter().sum();
    if all <= 0.0 {
        return 0.0;
    }
    let pairs = slow.iter().zip(uses);
    pairs
        .map(|(slow, used)| {
            let part = used / all;
            if *slow > 1.0 {
                part * (1.0 - 1.0 / slow)
            } else {
                part * (slow - 1.0)
            }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::correlation;

    #[test]
    fn use_that_rises_with_the_slow_down_correlates() {
        let slow = [1.0, 1.0, 3.0, 3.0];
        assert!(correlation(&slow, &[0.0, 0.0, 1.0, 1.0]) > 0.6);
        assert!(correlation(&slow, &[1.0, 1.0, 0.0, 0.0]) < 0.01);
        assert!(correlation(&slow, &[0.0; 4]).abs() < 1e-9);
    }
}
