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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_and_nanoseconds_agree() {
        assert_eq!(Nanos::from_seconds(1.5), Nanos(1_500_000_000));
        assert!((Nanos(2_500_000_000).seconds() - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_no_duration_is_zero() {
        for seconds in [-1.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Nanos::from_seconds(seconds), Nanos::ZERO, "{seconds}");
        }
    }

    #[test]
    fn too_many_seconds_stop_at_the_end_of_the_clock() {
        assert_eq!(Nanos::from_seconds(1e30), Nanos(u64::MAX));
    }

    #[test]
    fn a_counter_that_went_back_gives_zero() {
        assert_eq!(Nanos(5).since(Nanos(7)), Nanos::ZERO);
        assert_eq!(Bytes(5).since(Bytes(7)), Bytes(0));
    }

    #[test]
    fn sums_stop_at_the_largest_value() {
        assert_eq!(
            [Nanos(u64::MAX), Nanos(1)].into_iter().sum::<Nanos>(),
            Nanos(u64::MAX)
        );
        assert_eq!(
            [Bytes(u64::MAX), Bytes(1)].into_iter().sum::<Bytes>(),
            Bytes(u64::MAX)
        );
        assert_eq!(std::iter::empty::<Nanos>().sum::<Nanos>(), Nanos::ZERO);
    }

    proptest! {
        #[test]
        fn what_was_added_can_be_taken_away(a in 0..u64::MAX / 2, b in 0..u64::MAX / 2) {
            prop_assert_eq!((Nanos(a) + Nanos(b)).since(Nanos(b)), Nanos(a));
            prop_assert_eq!((Bytes(a) + Bytes(b)).since(Bytes(b)), Bytes(a));
        }

        #[test]
        fn a_year_of_nanoseconds_survives_seconds(ns in 0_u64..365 * 86_400 * 1_000_000_000) {
            // An f64 has 53 bits: at most 4 ns are lost within a year.
            let back = Nanos::from_seconds(Nanos(ns).seconds());
            prop_assert!(back.0.abs_diff(ns) <= 8, "{} {}", ns, back.0);
        }

        #[test]
        fn no_number_of_seconds_panics(seconds in prop::num::f64::ANY) {
            let _ = Nanos::from_seconds(seconds);
        }
    }
}
