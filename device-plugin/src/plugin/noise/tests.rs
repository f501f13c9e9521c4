//! Where verdicts say that there is noise, and for how long that is believed.

use super::*;
use serde_json::json;

/// One verdict, as `dunnage blame --json` prints it.
fn verdict(
    resource: &str,
    cause: &str,
    victim: &str,
    culprits: &[(&str, f64)],
) -> serde_json::Value {
    let party = |cgroup: &str| json!({"kind": "container", "name": "x", "cgroup": cgroup});
    let all: f64 = culprits.iter().map(|(_, seconds)| seconds).sum();
    let culprits: Vec<_> = culprits
        .iter()
        .map(|(cgroup, seconds)| json!({"party": party(cgroup), "seconds": seconds, "share": seconds / all}))
        .collect();
    json!({
        "victim": party(victim), "resource": resource, "cause": cause,
        "harm": {"seconds": all, "fraction": 0.3}, "culprits": culprits, "unexplained": 0.0,
        "confidence": 0.9, "evidence": "", "advice": "", "facts": {}
    })
}

fn document(seconds: f64, verdicts: &[serde_json::Value]) -> BlameDocument {
    serde_json::from_value(json!({
        "schema": "dunnage.blame/1",
        "host": {"name": "n1", "kernel": "6.18.0", "cpus": 2, "cgroup": "hybrid"},
        "window": {"start": "2026-11-21T07:00:00Z", "seconds": seconds},
        "coverage": {}, "verdicts": verdicts, "cleared": [], "gaps": []
    }))
    .unwrap()
}

/// `/0/...` is on node 0, `/1/...` on node 1, everything else on both.
fn nodes_of(cgroup: &str) -> BTreeSet<u32> {
    match cgroup.get(..3) {
        Some("/0/") => BTreeSet::from([0]),
        Some("/1/") => BTreeSet::from([1]),
        _ => BTreeSet::from([0, 1]),
    }
}

fn noise(documents: &[BlameDocument]) -> BTreeMap<u32, f64> {
    let mut noise = Noise::default();
    let now = Instant::now();
    for window in documents.iter().filter_map(|one| of_window(one, &nodes_of)) {
        noise.note(now, window);
    }
    noise.by_node(now)
}

#[test]
fn quiet_hosts_and_those_who_limit_themselves_make_no_noise() {
    assert!(noise(&[]).is_empty());
    assert!(noise(&[document(10.0, &[])]).is_empty());
    for (resource, cause) in [
        ("cpu", "self"),
        ("disk", "neighbour"),
        ("cpu", "hypervisor"),
    ] {
        let one = verdict(resource, cause, "/0/a", &[("/0/b", 9.0)]);
        assert!(
            noise(&[document(10.0, &[one])]).is_empty(),
            "{resource} {cause}"
        );
    }
    // Half a second in ten is less than a level.
    let little = verdict("cpu", "neighbour", "/0/a", &[("/0/b", 0.5)]);
    assert!(noise(&[document(10.0, &[little])]).is_empty());
}

#[test]
fn noise_is_where_victim_and_culprit_meet() {
    let meets = |victim: &str, culprit: &str| {
        let one = verdict("memory", "neighbour", victim, &[(culprit, 5.0)]);
        noise(&[document(10.0, &[one])])
            .into_iter()
            .map(|(node, noise)| (node, (noise * 10.0).round() / 10.0))
            .collect::<Vec<_>>()
    };
    assert_eq!(meets("/0/a", "/0/b"), [(0, 0.5)]);
    assert_eq!(meets("/both", "/1/b"), [(1, 0.5)]);
    // They share no node: it is the victim that suffers.
    assert_eq!(meets("/0/a", "/1/b"), [(0, 0.5)]);
    assert_eq!(meets("/both", "/all"), [(0, 0.2), (1, 0.2)]);
}

#[test]
fn noise_is_forgotten_when_it_is_over_and_when_nobody_tells_any_more() {
    let loud = document(10.0, &[verdict("cpu", "host", "/1/a", &[("/1/b", 10.0)])]);
    let quiet = document(10.0, &[]);
    let mut noise = Noise::default();
    let start = Instant::now();
    noise.note(start, of_window(&loud, &nodes_of).unwrap());
    assert!(noise.by_node(start)[&1] > 0.9);
    let later = start + MOST_AGE + Duration::from_secs(1);
    assert!(noise.by_node(later).is_empty());
    for _ in 0..WINDOWS {
        noise.note(start, of_window(&quiet, &nodes_of).unwrap());
    }
    assert!(noise.by_node(start).is_empty());
}

#[test]
fn windows_without_length_count_for_nothing() {
    let one = || verdict("cpu", "neighbour", "/0/a", &[("/0/b", 9.0)]);
    assert!(noise(&[document(0.0, &[one()]), document(-1.0, &[one()])]).is_empty());
}

#[test]
fn lines_that_are_no_documents_are_passed_over() {
    let good = serde_json::to_string(&document(10.0, &[])).unwrap();
    let other = good.replace("dunnage.blame/1", "dunnage.ps/1");
    let text = format!("garbage\n{other}\n{good}\n{{\n{good}");
    let mut feed = Feed::of(text.as_bytes());
    for _ in 0..2 {
        assert!(feed.wait().unwrap().is_some());
    }
    assert!(feed.wait().unwrap().is_none());
}

#[test]
fn a_pipe_is_made_and_writers_may_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verdicts");
    let mut feed = Feed::open(&path).unwrap();
    let good = serde_json::to_string(&document(10.0, &[])).unwrap();
    for _ in 0..2 {
        std::fs::write(&path, format!("{good}\n")).unwrap();
        assert!(feed.wait().unwrap().is_some());
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Feed::open(&file), Err(FeedError::NoPipe { .. })));
    let away = folder.path().join("no/folder");
    assert!(matches!(Feed::open(&away), Err(FeedError::Make { .. })));
}
