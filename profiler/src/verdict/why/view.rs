//! Where a container's own look at the machine misleads it: it sees the machine's CPUs, memory and
//! load, and may use less.

use super::scene::{Scene, file};
use dunnage_model::observation::Sourced;
use dunnage_model::units::Bytes;
use dunnage_model::why::Mismatch;

/// What it may use less of than it sees: from this part of it on it does no harm to size by it.
const NEARLY_ALL: f64 = 0.95;

/// All that misleads.
pub(super) fn mismatches(scene: &Scene<'_>) -> Vec<Mismatch> {
    [cpus(scene), memory(scene), load(scene)]
        .into_iter()
        .flatten()
        .collect()
}

/// CPUs listed against CPUs' worth of time.
fn cpus(scene: &Scene<'_>) -> Option<Mismatch> {
    let sees = f64::from(scene.close.view.cpus?);
    let quotas = scene
        .levels()
        .filter_map(|level| level.after.quota_cpus.as_ref())
        .map(|quota| (quota.value, quota.file.to_string(), false));
    let sets = scene
        .levels()
        .filter_map(|level| level.after.cpuset.as_ref())
        .map(|set| (set.value.len() as f64, set.file.to_string(), true));
    let tasks = scene.close.after.tasks.as_ref();
    let affinity = tasks.and_then(|tasks| tasks.allowed.as_ref()).map(|set| {
        (
            set.len() as f64,
            "Cpus_allowed_list of its tasks".to_owned(),
            true,
        )
    });
    // The first of equals, so that a file goes before the affinity that follows from it.
    let all = quotas.chain(sets).chain(affinity);
    let (may_use, told_by, shows_in_nproc) =
        all.reduce(|least, next| if next.0 < least.0 { next } else { least })?;
    if may_use >= NEARLY_ALL * sees {
        return None;
    }
    // nproc and most runtimes ask for the affinity, and the quota is not in it.
    let counted = affinity_count(scene).unwrap_or(sees);
    let advice = if shows_in_nproc {
        "what reads /proc/cpuinfo starts too many threads".to_owned()
    } else {
        format!("what sizes its threads by nproc, which says {counted:.0}, starts too many")
    };
    Some(Mismatch {
        what: "cpus",
        sees,
        seen_in: "/proc/cpuinfo",
        may_use: Some(may_use),
        told_by: Some(told_by),
        unit: "CPUs",
        evidence: format!(
            "it sees {sees:.0} CPUs and may use {}: {advice}",
            number(may_use)
        ),
    })
}

fn affinity_count(scene: &Scene<'_>) -> Option<f64> {
    let tasks = scene.close.after.tasks.as_ref()?;
    Some(tasks.allowed.as_ref()?.len() as f64)
}

/// `MemTotal` against the tightest limit.
fn memory(scene: &Scene<'_>) -> Option<Mismatch> {
    let sees = scene.close.view.memory_total?.0 as f64;
    let limits = scene.levels().flat_map(|level| {
        let limits: [Option<&Sourced<Bytes>>; 2] = [
            level.after.memory_max.as_ref(),
            level.after.memory_high.as_ref(),
        ];
        limits.into_iter().flatten()
    });
    let least = limits.min_by_key(|limit| limit.value)?;
    let may_use = least.value.0 as f64;
    (may_use < NEARLY_ALL * sees).then(|| Mismatch {
        what: "memory",
        sees,
        seen_in: "/proc/meminfo",
        may_use: Some(may_use),
        told_by: Some(file(Some(least), "memory.max")),
        unit: "bytes",
        evidence: format!(
            "free shows {} and it may use {}: what sizes its heap or cache by MemTotal takes too much",
            size(sees),
            size(may_use)
        ),
    })
}

/// The load average is the machine's.
fn load(scene: &Scene<'_>) -> Option<Mismatch> {
    let sees = scene.close.view.load_average?;
    Some(Mismatch {
        what: "load average",
        sees,
        seen_in: "/proc/loadavg",
        may_use: None,
        told_by: None,
        unit: "tasks",
        evidence: format!(
            "the load average of {sees:.2}, top's idle time and free's memory are the machine's, not its own"
        ),
    })
}

/// "0.5", "2".
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// "512 MiB".
fn size(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}
