//! Points in time as RFC 3339 text, without a clock or a time zone database.

use crate::units::Nanos;

const SECONDS_PER_DAY: u64 = 86_400;

/// `unix` (since 1970-01-01T00:00:00Z, leap seconds not counted) as RFC 3339 in UTC. Milliseconds
/// are shown where there are any; what is finer is cut off.
#[must_use]
pub fn rfc3339(unix: Nanos) -> String {
    let seconds = unix.0 / 1_000_000_000;
    let millis = unix.0 % 1_000_000_000 / 1_000_000;
    let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
    let rest = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let fraction = if millis == 0 {
        String::new()
    } else {
        format!(".{millis:03}")
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar. Counts years from March, so
/// that the leap day is a year's last, in eras of 400 years (146,097 days).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points_in_time() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_799, "2024-02-28T23:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_244_400, "2026-11-21T07:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Nanos(seconds * 1_000_000_000)), text);
        }
    }

    #[test]
    fn a_fraction_is_shown_in_milliseconds() {
        assert_eq!(rfc3339(Nanos(1_007_999_999)), "1970-01-01T00:00:01.007Z");
        assert_eq!(rfc3339(Nanos(999_999)), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_last_point_in_time_has_a_text() {
        assert_eq!(rfc3339(Nanos(u64::MAX)), "2554-07-21T23:34:33.709Z");
    }
}
