//! What the page for Prometheus says, and who may read it.

use super::*;
use proptest::prelude::*;

fn stock(resource: &str) -> BTreeMap<String, Stock> {
    let stock = Stock {
        healthy: 3,
        unhealthy: 1,
        held: Some(2),
    };
    BTreeMap::from([(resource.to_owned(), stock)])
}

/// The value of the sample that begins with `of`.
fn value(text: &str, of: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(of));
    let line = line.unwrap_or_else(|| panic!("no {of} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn everything_that_happened_is_on_the_page() {
    let metrics = Metrics::default();
    metrics.allocated("a.com/x", 2, Duration::from_micros(90));
    metrics.allocated("a.com/x", 1, Duration::from_millis(5));
    metrics.refused("a.com/x", Call::PreStart, Refusal::InUse);
    metrics.health_changed("a.com/x", Some("XID 79: GPU has fallen off the bus"));
    metrics.health_changed("a.com/x", None);
    metrics.registered("a.com/x", Duration::from_millis(2));
    metrics.registration_failed();
    metrics.heard();
    let text = metrics.text(&stock("a.com/x"), &BTreeMap::from([(1, 0.5)]));
    for (of, wanted) in [
        (
            "dunnage_plugin_devices{resource=\"a.com/x\",health=\"healthy\"}",
            3.0,
        ),
        (
            "dunnage_plugin_devices{resource=\"a.com/x\",health=\"unhealthy\"}",
            1.0,
        ),
        ("dunnage_plugin_devices_held{", 2.0),
        ("dunnage_plugin_allocations_total{", 3.0),
        (
            "dunnage_plugin_refusals_total{resource=\"a.com/x\",call=\"pre_start_container\",reason=\"in_use\"}",
            1.0,
        ),
        (
            "dunnage_plugin_health_changes_total{resource=\"a.com/x\",health=\"unhealthy\",reason=\"XID 79\"}",
            1.0,
        ),
        (
            "dunnage_plugin_health_changes_total{resource=\"a.com/x\",health=\"healthy\",reason=\"\"}",
            1.0,
        ),
        ("dunnage_plugin_registrations_total{", 1.0),
        ("dunnage_plugin_registration_failures_total", 1.0),
        ("dunnage_plugin_verdict_windows_total", 1.0),
        ("dunnage_plugin_noise{numa_node=\"1\"}", 0.5),
        (
            "dunnage_plugin_allocate_duration_seconds_bucket{le=\"0.0001\"}",
            1.0,
        ),
        (
            "dunnage_plugin_allocate_duration_seconds_bucket{le=\"+Inf\"}",
            2.0,
        ),
        ("dunnage_plugin_allocate_duration_seconds_count", 2.0),
        ("dunnage_plugin_allocate_duration_seconds_sum", 0.005_09),
        (
            "dunnage_plugin_registration_duration_seconds_bucket{le=\"0.0025\"}",
            1.0,
        ),
    ] {
        assert!((value(&text, of) - wanted).abs() < 1e-9, "{of}\n{text}");
    }
}

#[test]
fn what_did_not_happen_is_zero_and_what_is_not_known_is_absent() {
    let mut stock = stock("a.com/x");
    stock.get_mut("a.com/x").unwrap().held = None;
    let text = Metrics::default().text(&stock, &BTreeMap::new());
    assert_eq!(
        value(
            &text,
            "dunnage_plugin_allocations_total{resource=\"a.com/x\"}"
        ),
        0.0
    );
    assert!(!text.contains("dunnage_plugin_devices_held{"), "{text}");
}

#[test]
fn made_up_reasons_do_not_fill_the_memory() {
    let metrics = Metrics::default();
    for number in 0..10_000 {
        metrics.health_changed("a.com/x", Some(&format!("made up {number}")));
        metrics.refused(
            &format!("a.com/{number}"),
            Call::Allocate,
            Refusal::NotFound,
        );
    }
    let text = metrics.text(&stock("a.com/x"), &BTreeMap::new());
    assert!(text.lines().count() < 400);
    let other = value(
        &text,
        "dunnage_plugin_health_changes_total{resource=\"other\"",
    );
    assert!((other - 9_872.0).abs() < 0.5, "{other}");
}

/// One line of the format, as its grammar has it.
fn is_line(line: &str) -> bool {
    if line.starts_with("# HELP ") || line.starts_with("# TYPE ") {
        return true;
    }
    let Some((series, value)) = line.rsplit_once(' ') else {
        return false;
    };
    let name = series.split('{').next().unwrap_or_default();
    let legal = |c: char| c.is_ascii_lowercase() || c == '_';
    if value.parse::<f64>().is_err() || !name.chars().all(legal) || name.is_empty() {
        return false;
    }
    let Some(labels) = series.get(name.len()..).filter(|labels| !labels.is_empty()) else {
        return true;
    };
    let Some(labels) = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}')) else {
        return false;
    };
    let mut rest = labels;
    loop {
        let Some((label, after)) = rest.split_once("=\"") else {
            return false;
        };
        if !label.chars().all(legal) {
            return false;
        }
        let mut escaped = false;
        let end = after.find(|c| {
            let is_end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        });
        let Some(end) = end else { return false };
        match after.get(end + 1..) {
            Some("") => return true,
            Some(more) => match more.strip_prefix(',') {
                Some(more) => rest = more,
                None => return false,
            },
            None => return false,
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_driver_says_the_page_keeps_to_the_format(why in "\\PC{0,80}", raw in any::<String>()) {
        let metrics = Metrics::default();
        metrics.health_changed("a.com/x", Some(&why));
        metrics.health_changed(&raw, Some(&raw));
        for line in metrics.text(&stock(&raw), &BTreeMap::new()).lines() {
            prop_assert!(is_line(line), "{line:?}");
        }
    }

    #[test]
    fn buckets_grow_and_end_with_all(times in prop::collection::vec(0_u64..2_000_000_000, 0..50)) {
        let metrics = Metrics::default();
        for nanos in &times {
            metrics.registered("a.com/x", Duration::from_nanos(*nanos));
        }
        let text = metrics.text(&stock("a.com/x"), &BTreeMap::new());
        let buckets: Vec<u64> = text
            .lines()
            .filter(|line| line.starts_with("dunnage_plugin_registration_duration_seconds_bucket"))
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        prop_assert!(buckets.is_sorted());
        prop_assert_eq!(buckets.last().copied(), u64::try_from(times.len()).ok());
    }
}
