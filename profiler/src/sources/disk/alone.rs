//! What a request would have taken with the device to itself. Pure.
//!
//! Three answers, the first that there is: what requests of the same kind and size of the same owner
//! took while nobody else had any outstanding; what anybody's did; and, on a device that was never
//! seen without others, the quickest tenth, or what such a device plausibly needs where that is less.

use super::layout::{BUCKETS, CLASSES, SYNC_CLASS};

/// Fewer requests than this say little.
const FEW: u64 = 8;

/// The part of the requests that counts as quick where none was ever alone.
const QUICK: f64 = 0.1;

/// What a request plausibly needs at most, in seconds, and bytes a second: a network volume, or a disk
/// that seeks little. What a device says of itself helps nothing: virtual ones claim to rotate.
const PLAUSIBLE: (f64, f64) = (0.002, 150e6);

/// The bytes of the middle of each size, and of a flush.
const SIZES: [f64; 5] = [4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0];

/// Requests of one class that nobody else's were beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Alone {
    pub(super) count: u64,
    /// Nanoseconds.
    pub(super) time: u64,
}

impl Alone {
    pub(super) fn add(&mut self, other: Alone) {
        self.count += other.count;
        self.time += other.time;
    }

    fn mean(self) -> Option<f64> {
        (self.count >= FEW).then(|| self.time as f64 / self.count as f64)
    }
}

/// What is known of a device.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Of all owners.
    pub(super) alone: [Alone; CLASSES],
    /// Requests by latency.
    pub(super) latencies: [[u64; BUCKETS]; CLASSES],
}

impl Known {
    /// Nanoseconds that one request of `class` takes alone, to an owner that has seen `own`.
    pub(super) fn need(&self, class: usize, own: Alone) -> f64 {
        let all = self.alone.get(class).copied().unwrap_or_default();
        own.mean()
            .or_else(|| all.mean())
            .unwrap_or_else(|| self.quick(class).min(plausible(class)))
    }

    fn quick(&self, class: usize) -> f64 {
        let counts = self.latencies.get(class).copied().unwrap_or([0; BUCKETS]);
        let target = counts.iter().sum::<u64>() as f64 * QUICK;
        let mut sum = 0.0;
        for (bucket, count) in counts.iter().enumerate() {
            sum += *count as f64;
            if sum > target {
                return middle(bucket);
            }
        }
        0.0
    }
}

/// Of fsync: the file's pages, the journal and a flush, one after the other.
const REQUESTS_OF_A_SYNC: f64 = 3.0;

fn plausible(class: usize) -> f64 {
    let (seconds, rate) = PLAUSIBLE;
    if class == SYNC_CLASS {
        return REQUESTS_OF_A_SYNC * seconds * 1e9;
    }
    let bytes = SIZES.get(class % SIZES.len()).copied().unwrap_or(0.0);
    let bytes = if class < 2 * SIZES.len() { bytes } else { 0.0 };
    (seconds + bytes / rate) * 1e9
}

/// The middle of a bucket, in nanoseconds: two buckets a power of two.
fn middle(bucket: usize) -> f64 {
    let power = 2f64.powi(i32::try_from(bucket / 2).unwrap_or(0)) * 1024.0;
    power * if bucket.is_multiple_of(2) { 1.25 } else { 1.75 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            alone: [Alone::default(); CLASSES],
            latencies: [[0; BUCKETS]; CLASSES],
        }
    }

    #[test]
    fn an_owners_own_requests_alone_tell_most() {
        let mut known = known();
        let of = |count, each| Alone {
            count,
            time: count * each,
        };
        known.alone[0] = of(100, 500_000);
        assert_eq!(known.need(0, of(8, 90_000)), 90_000.0);
        // Too few of its own: what anybody's took.
        assert_eq!(known.need(0, of(7, 90_000)), 500_000.0);
        assert_eq!(known.need(1, of(7, 90_000)), 0.0);
    }

    #[test]
    fn never_alone_the_quickest_tell_up_to_what_is_plausible() {
        let mut known = known();
        // 100 requests of 64 us and more, most of them far slower.
        known.latencies[0][12] = 20;
        known.latencies[0][30] = 80;
        assert_eq!(known.need(0, Alone::default()), 65_536.0 * 1.25);
        // All of them slow: 30 ms is more than 4 KiB need.
        known.latencies[0][12] = 0;
        let need = known.need(0, Alone::default());
        assert!((2_000_000.0..2_100_000.0).contains(&need), "{need}");
    }
}
