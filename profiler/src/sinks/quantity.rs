//! Numbers for people: three digits that matter, and the unit.

const BINARY_UNITS: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// A duration: `3.51 s`, `10 s`, `12.5 ms`, `40 µs`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "-".to_owned();
    }
    // The bounds lie where rounding to three digits would give 1,000 of the smaller unit.
    match seconds.abs() {
        s if s >= 0.9995 => format!("{} s", three_digits(seconds)),
        s if s >= 0.999_5e-3 => format!("{} ms", three_digits(seconds * 1e3)),
        0.0 => "0 s".to_owned(),
        _ => format!("{} µs", three_digits(seconds * 1e6)),
    }
}

/// A share between 0 and 1: `83 %`, `3.1 %`, `0.04 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    if !share.is_finite() {
        return "-".to_owned();
    }
    let value = share * 100.0;
    match value.abs() {
        v if v >= 9.95 => format!("{value:.0} %"),
        v if v >= 0.095 || v == 0.0 => format!("{} %", trimmed(format!("{value:.1}"))),
        _ => format!("{} %", trimmed(format!("{value:.2}"))),
    }
}

/// A size: `512`, `1.5Ki`, `12Mi`, `3.2Gi`; in bytes and powers of 1,024.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    if !bytes.is_finite() {
        return "-".to_owned();
    }
    let mut value = bytes;
    let mut unit = "";
    for next in BINARY_UNITS {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit.is_empty() || value >= 9.95 {
        format!("{value:.0}{unit}")
    } else {
        format!("{}{unit}", trimmed(format!("{value:.1}")))
    }
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => trimmed(format!("{value:.1}")),
        _ => trimmed(format!("{value:.2}")),
    }
}

/// Without zeros at the end of a fraction.
fn trimmed(number: String) -> String {
    if number.contains('.') {
        number
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (value, text) in [
            (0.0, "0 s"),
            (3.5123, "3.51 s"),
            (10.0032, "10 s"),
            (12.34, "12.3 s"),
            (86_400.0, "86400 s"),
            (0.35, "350 ms"),
            (0.9996, "1 s"),
            (0.0125, "12.5 ms"),
            (0.000_04, "40 µs"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(seconds(value), text);
        }
    }

    #[test]
    fn shares() {
        for (value, text) in [
            (0.826, "83 %"),
            (1.0, "100 %"),
            (0.031, "3.1 %"),
            (0.0004, "0.04 %"),
            (0.0, "0 %"),
            (0.02, "2 %"),
        ] {
            assert_eq!(percent(value), text);
        }
    }

    #[test]
    fn sizes() {
        for (value, text) in [
            (0.0, "0"),
            (512.0, "512"),
            (1023.0, "1Ki"),
            (1536.0, "1.5Ki"),
            (12.0 * 1024.0 * 1024.0, "12Mi"),
            (3.2 * 1024.0 * 1024.0 * 1024.0, "3.2Gi"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }
}
