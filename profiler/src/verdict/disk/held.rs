//! Limits of one's own on a device (`io.max`, `blkio.throttle`): the victim's own doing, and nobody
//! else is accused of it.
//!
//! The kernel holds a request back before the device's queue, so that no event tells of it. While it
//! does, a task is stalled for I/O and nothing of the party's is outstanding. No limit can hold for
//! longer than its rate takes for what went through: that bounds what else may have stalled the party.

use super::thresholds;
use crate::verdict::accusation::{Accusation, can_lose};
use crate::verdict::confidence::Grounds;
use crate::verdict::words::{called, duration, handle, place};
use dunnage_model::observation::{CgroupLayout, IoLimitKind};
use dunnage_model::party::Party;
use dunnage_model::usage::{DeviceLimit, HeldRequests, WindowUse};
use dunnage_model::verdict::{Cause, Fact, Resource, Verdict};
use std::collections::BTreeMap;

/// Everybody whose requests were held back.
pub(super) fn verdicts(window: &WindowUse) -> Vec<Verdict> {
    let rows = window.stalls.held.iter().flatten();
    rows.filter_map(|row| verdict(window, row)).collect()
}

fn verdict(window: &WindowUse, row: &HeldRequests) -> Option<Verdict> {
    let user = window.parties.get(row.party)?;
    let seconds = window.length.seconds();
    if !can_lose(user.party.kind) || seconds <= 0.0 {
        return None;
    }
    let limits = || {
        let able = row.limits.iter().filter(|limit| limit.rate > 0);
        able.filter(|limit| part(limit, seconds) <= thresholds::EXCEEDED)
    };
    let limit = limits().max_by(|a, b| part(a, seconds).total_cmp(&part(b, seconds)))?;
    let most: f64 = limits().map(longest).sum();
    let held = row.stalled.since(row.outstanding).seconds();
    let held = held.min(most).min(seconds);
    let got = row.outstanding.seconds();
    if !thresholds::HELD.passed(held, got, seconds) {
        return None;
    }
    let file = file(limit.kind, window.host.cgroup);
    let number = |value: f64| Fact::Number(value);
    let accusation = Accusation {
        victim: row.party,
        resource: Resource::Disk,
        cause: Cause::Itself,
        culprits: vec![(row.party, held)],
        unexplained: 0.0,
        got,
        grounds: Grounds::of(thresholds::trust_of_limit(part(limit, seconds)))
            .margin(thresholds::HELD.margin(held, got, seconds)),
        facts: BTreeMap::from([
            ("limit", Fact::Text("io.max".to_owned())),
            ("limit_file", Fact::Text(file.to_owned())),
            ("device", Fact::Text(limit.device.to_string())),
            ("limit_per_second", number(limit.rate as f64)),
            ("used_per_second", number(limit.used as f64 / seconds)),
            ("stalled_seconds", number(row.stalled.seconds())),
            ("outstanding_seconds", number(got)),
        ]),
    };
    let evidence = format!(
        "requests of {} were held back for {held:.2} s in {} by its limit of {}, of which it used {:.0} %; the device itself took {got:.2} s",
        called(&user.party),
        duration(seconds),
        rate(limit),
        100.0 * part(limit, seconds),
    );
    let advice = advice(&user.party, limit, file, held);
    Some(accusation.verdict(window, evidence, advice))
}

/// What was used of a limit, as a part of what it allows.
fn part(limit: &DeviceLimit, seconds: f64) -> f64 {
    limit.used as f64 / (limit.rate.max(1) as f64 * seconds)
}

/// The longest that a limit can have held requests back: for what went through, and for one request
/// that still waits.
fn longest(limit: &DeviceLimit) -> f64 {
    let waiting = match limit.kind {
        IoLimitKind::BytesRead | IoLimitKind::BytesWritten => thresholds::LARGEST_REQUEST,
        IoLimitKind::Reads | IoLimitKind::Writes => 1,
    };
    limit.used.saturating_add(waiting) as f64 / limit.rate.max(1) as f64
}

/// The file that has the limit.
fn file(kind: IoLimitKind, layout: CgroupLayout) -> &'static str {
    if layout == CgroupLayout::V2 {
        return "io.max";
    }
    match kind {
        IoLimitKind::BytesRead => "blkio.throttle.read_bps_device",
        IoLimitKind::BytesWritten => "blkio.throttle.write_bps_device",
        IoLimitKind::Reads => "blkio.throttle.read_iops_device",
        IoLimitKind::Writes => "blkio.throttle.write_iops_device",
    }
}

/// "1.0 MB/s read from vda".
fn rate(limit: &DeviceLimit) -> String {
    let device = &limit.device;
    let megabytes = limit.rate as f64 / 1e6;
    match limit.kind {
        IoLimitKind::BytesRead => format!("{megabytes:.1} MB/s read from {device}"),
        IoLimitKind::BytesWritten => format!("{megabytes:.1} MB/s written to {device}"),
        IoLimitKind::Reads => format!("{} reads/s from {device}", limit.rate),
        IoLimitKind::Writes => format!("{} writes/s to {device}", limit.rate),
    }
}

/// The file or the command that raises the limit, and what that would give. Docker and Podman take
/// device limits only when a container is made.
fn advice(party: &Party, limit: &DeviceLimit, file: &str, held: f64) -> String {
    let device = &limit.device;
    let property = match limit.kind {
        IoLimitKind::BytesRead => "IOReadBandwidthMax",
        IoLimitKind::BytesWritten => "IOWriteBandwidthMax",
        IoLimitKind::Reads => "IOReadIOPSMax",
        IoLimitKind::Writes => "IOWriteIOPSMax",
    };
    let knob = match (party.engine.as_deref(), handle(party)) {
        (Some("systemd"), Some(unit)) => {
            format!("systemctl set-property {unit} {property}=\"/dev/{device} RATE\"")
        }
        _ => format!("{file} of {}", place(party)),
    };
    format!(
        "raise the limit of {} on {device} ({knob}), which would give it back up to {held:.2} s, or let it do less",
        called(party)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support;
    use dunnage_model::party::PartyKind;
    use dunnage_model::units::Nanos;
    use dunnage_model::usage::Stalls;

    const MEBIBYTE: u64 = 1 << 20;

    fn limit(kind: IoLimitKind, rate: u64, used: u64) -> DeviceLimit {
        DeviceLimit {
            device: "vda".into(),
            kind,
            rate,
            used,
        }
    }

    /// One container that was stalled and had requests outstanding for so many seconds of ten.
    fn judged(stalled: f64, outstanding: f64, limits: Vec<DeviceLimit>) -> Vec<Verdict> {
        let mut party = Party::new("/docker/web", PartyKind::Container, "web");
        party.engine = Some("docker".into());
        party.cgroup = Some("/docker/web".to_owned());
        let row = HeldRequests {
            party: 0,
            stalled: Nanos::from_seconds(stalled),
            outstanding: Nanos::from_seconds(outstanding),
            limits,
        };
        verdicts(&WindowUse {
            stalls: Stalls {
                held: Some(vec![row]),
                ..Stalls::default()
            },
            ..tests_support::window(vec![tests_support::party_use(party, 0.1)])
        })
    }

    #[test]
    fn who_waits_for_the_device_alone_is_not_held_back() {
        let full = limit(IoLimitKind::BytesRead, MEBIBYTE, 10 * MEBIBYTE);
        assert!(judged(9.0, 8.9, vec![full]).is_empty());
        assert!(judged(9.0, 1.0, Vec::new()).is_empty());
    }

    #[test]
    fn a_limit_that_is_far_away_holds_nobody() {
        // Something else stalls it: 1 GB/s would have let this through within 20 ms.
        let far = limit(IoLimitKind::BytesRead, 1_000_000_000, 10 * MEBIBYTE);
        assert!(judged(9.0, 1.0, vec![far]).is_empty());
        // Version 1 lets buffered writes pass: what is exceeded so far does not hold.
        let passed = limit(IoLimitKind::BytesWritten, MEBIBYTE, 400 * MEBIBYTE);
        assert!(judged(9.0, 1.0, vec![passed]).is_empty());
        let nonsense = limit(IoLimitKind::Reads, 0, 0);
        assert!(judged(9.0, 1.0, vec![nonsense]).is_empty());
    }

    #[test]
    fn a_few_held_requests_are_no_harm() {
        let full = limit(IoLimitKind::BytesRead, MEBIBYTE, 10 * MEBIBYTE);
        assert!(judged(0.15, 0.0, vec![full]).is_empty());
    }

    #[test]
    fn what_is_held_is_its_own_doing() {
        let limits = vec![
            limit(IoLimitKind::Writes, 1000, 5),
            limit(IoLimitKind::BytesRead, MEBIBYTE, 10 * MEBIBYTE),
        ];
        let verdicts = judged(9.5, 0.5, limits);
        let [verdict] = &verdicts[..] else {
            panic!("{verdicts:?}")
        };
        assert_eq!(verdict.cause, Cause::Itself);
        assert!((verdict.harm.seconds() - 9.0).abs() < 1e-6);
        assert!((verdict.fraction - 9.0 / 9.5).abs() < 1e-6);
        assert_eq!((verdict.culprits.len(), verdict.unexplained), (1, 0.0));
        assert_eq!(verdict.facts["limit"], Fact::Text("io.max".into()));
        assert_eq!(
            verdict.evidence,
            "requests of web were held back for 9.00 s in 10 s by its limit of 1.0 MB/s read from vda, of which it used 100 %; the device itself took 0.50 s"
        );
        assert!(
            verdict.advice.contains("(io.max of cgroup /docker/web)"),
            "{}",
            verdict.advice
        );
        assert!(verdict.confidence > 0.85);
    }

    #[test]
    fn a_burst_is_held_no_longer_than_its_rate_takes() {
        let burst = limit(IoLimitKind::BytesRead, MEBIBYTE, 2 * MEBIBYTE);
        let verdicts = judged(9.5, 0.5, vec![burst]);
        assert!((verdicts[0].harm.seconds() - 3.25).abs() < 1e-6);
        assert!(verdicts[0].confidence < 0.8);
    }

    #[test]
    fn a_request_that_is_held_all_the_time_counts() {
        let one = limit(IoLimitKind::BytesWritten, MEBIBYTE / 10, 0);
        assert!((judged(10.0, 0.0, vec![one])[0].harm.seconds() - 10.0).abs() < 1e-6);
    }
}
