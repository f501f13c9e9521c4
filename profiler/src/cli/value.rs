//! Values on the command line: durations, shares, sockets.

use dunnage_profiler::parties::EngineKind;
use std::path::PathBuf;
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// The demo's loads keep CPUs busy; a minute is enough to look at.
const LONGEST_DEMO: Duration = Duration::from_secs(60);
/// A verdict needs some of the victim's requests.
const SHORTEST_DEMO: Duration = Duration::from_secs(1);

/// `500ms`, `10s`, `1.5m`, `1h`; 100 ms to 24 h.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    within(text, SHORTEST, LONGEST, "between 100ms and 24h")
}

/// The same for the demo; 1 s to 60 s.
pub(super) fn demo_duration(text: &str) -> Result<Duration, String> {
    within(text, SHORTEST_DEMO, LONGEST_DEMO, "between 1s and 60s")
}

fn within(
    text: &str,
    shortest: Duration,
    longest: Duration,
    bounds: &str,
) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "" => return Err("it needs a unit: ms, s, m or h".to_owned()),
        _ => return Err(format!("no such unit: {unit:?}; use ms, s, m or h")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "not a number with a unit, such as 500ms or 10s".to_owned())?;
    let length = Duration::try_from_secs_f64(number * factor).ok();
    length
        .filter(|l| (shortest..=longest).contains(l))
        .ok_or_else(|| format!("must be {bounds}"))
}

/// A share of one CPU: `1%` or `0.01`; above 0 and at most 100 %.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let value: f64 = number
        .parse()
        .map_err(|_| "not a share, such as 1% or 0.01".to_owned())?;
    let share = value / unit;
    if share > 0.0 && share <= 1.0 {
        Ok(share)
    } else {
        Err("must be above 0 and at most 100%".to_owned())
    }
}

/// An engine and its socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineSocket {
    pub(crate) kind: EngineKind,
    pub(crate) path: PathBuf,
}

/// Every engine that can be named, in the order of the message.
const KINDS: [EngineKind; 5] = [
    EngineKind::Docker,
    EngineKind::Podman,
    EngineKind::Containerd,
    EngineKind::Cri,
    EngineKind::Runc,
];

/// `KIND=PATH`.
pub(super) fn engine_socket(text: &str) -> Result<EngineSocket, String> {
    let (kind, path) = text
        .split_once('=')
        .ok_or("write KIND=PATH, such as docker=/run/docker.sock")?;
    let named = KINDS.into_iter().find(|known| known.as_str() == kind);
    let kind = named.ok_or_else(|| {
        let known: Vec<&str> = KINDS.into_iter().map(EngineKind::as_str).collect();
        format!("no such kind: {kind:?}; use one of {}", known.join(", "))
    })?;
    let path = path.strip_prefix("unix://").unwrap_or(path);
    if path.is_empty() {
        return Err("the path is empty".to_owned());
    }
    Ok(EngineSocket {
        kind,
        path: path.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("24h"), Ok(LONGEST));
        for wrong in [
            "",
            "10",
            "s",
            "-1s",
            "1d",
            "99ms",
            "25h",
            "1e9s",
            "1..5s",
            "NaNs",
            "infs",
            "99999999999999999999h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_percent_or_fractions() {
        assert_eq!(share("1%"), Ok(0.01));
        assert_eq!(share("0.5 %"), Ok(0.005));
        assert_eq!(share("0.02"), Ok(0.02));
        assert_eq!(share("100%"), Ok(1.0));
        for wrong in ["0", "0%", "101%", "2", "-1%", "NaN", "x", "%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sockets_have_a_kind() {
        let expected = EngineSocket {
            kind: EngineKind::Docker,
            path: "/run/d.sock".into(),
        };
        assert_eq!(engine_socket("docker=/run/d.sock"), Ok(expected.clone()));
        assert_eq!(engine_socket("docker=unix:///run/d.sock"), Ok(expected));
        for wrong in ["/run/d.sock", "rkt=/x", "cri="] {
            assert!(engine_socket(wrong).is_err(), "{wrong}");
        }
    }
}
