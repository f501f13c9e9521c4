//! Quantities that carry their unit.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// A duration or a point on a clock, in nanoseconds.
///
/// Subtraction saturates: kernel counters are read one after the other, so a difference of two
/// nearly equal ones can come out below zero by a few microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// No time at all.
    pub const ZERO: Nanos = Nanos(0);

    /// The duration in seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The duration nearest to `seconds`; negative and non-finite values give zero.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Nanos {
        if seconds.is_finite() && seconds > 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be finite and positive; `as` saturates at u64::MAX"
            )]
            Nanos((seconds * 1e9).round() as u64)
        } else {
            Nanos::ZERO
        }
    }

    /// `self - earlier`, or zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Nanos {
    type Output = Nanos;
    fn add(self, other: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Nanos) {
        *self = *self + other;
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Nanos>>(iter: I) -> Nanos {
        iter.fold(Nanos::ZERO, Add::add)
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `self - earlier`, or zero where the counter went back.
    #[must_use]
    pub fn since(self, earlier: Bytes) -> Bytes {
        Bytes(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Bytes {
    type Output = Bytes;
    fn add(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Bytes) {
        *self = *self + other;
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(iter: I) -> Bytes {
        iter.fold(Bytes(0), Add::add)
    }
}
