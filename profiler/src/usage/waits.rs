//! Run-queue waits by party, with the blame for them.

use super::Books;
use dunnage_model::observation::{SchedWindow, WAIT_BUCKETS};
use dunnage_model::units::Nanos;
use dunnage_model::usage::PartyWait;
use rustc_hash::FxHashMap;

#[derive(Default)]
struct Row {
    on_queue: Nanos,
    throttled: Nanos,
    blame: Vec<(usize, Nanos)>,
    unexplained: Nanos,
    apportioned: Nanos,
    waking: Nanos,
    waits: u64,
    wakes: u64,
    histogram: [u64; WAIT_BUCKETS],
}

/// One row a party that waited.
pub(super) fn rows(sched: &SchedWindow, books: &mut Books<'_>) -> Vec<PartyWait> {
    let mut rows: FxHashMap<usize, Row> = FxHashMap::default();
    for window in &sched.owners {
        let Some(&index) = books.owners.get(&window.owner) else {
            continue;
        };
        let row = rows.entry(index).or_default();
        row.on_queue += window.cpus.iter().map(|cpu| cpu.wait).sum();
        row.throttled += window.throttled;
        row.unexplained += window.unexplained;
        row.apportioned += window.apportioned;
        row.waking += window.waking;
        row.waits = row.waits.saturating_add(window.waits);
        row.wakes = row.wakes.saturating_add(window.wakes);
        for (sum, count) in row.histogram.iter_mut().zip(window.histogram) {
            *sum = sum.saturating_add(count);
        }
    }
    for pair in &sched.pairs {
        let owners = &books.owners;
        if let (Some(&victim), Some(&culprit)) =
            (owners.get(&pair.victim), owners.get(&pair.culprit))
        {
            let blame = &mut rows.entry(victim).or_default().blame;
            blame.push((culprit, pair.time));
        }
    }
    let mut rows: Vec<PartyWait> = rows
        .into_iter()
        .filter_map(|(index, row)| finish(index, row))
        .collect();
    rows.sort_unstable_by_key(|row| row.party);
    rows
}

fn finish(party: usize, mut row: Row) -> Option<PartyWait> {
    // Several owners may be one party.
    row.blame.sort_unstable_by_key(|&(culprit, _)| culprit);
    row.blame.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    let named: Nanos = row.blame.iter().map(|&(_, time)| time).sum();
    // Blame is conserved: what the pairs do not hold nobody can be named for.
    let unexplained = row.unexplained + row.on_queue.since(named + row.unexplained);
    let wait = named + unexplained;
    let blame: Vec<(usize, Nanos)> = row
        .blame
        .into_iter()
        .filter(|&(_, time)| time > Nanos::ZERO)
        .collect();
    (wait > Nanos::ZERO || row.throttled > Nanos::ZERO).then(|| PartyWait {
        party,
        wait,
        throttled: row.throttled,
        blame,
        unexplained,
        apportioned: row.apportioned,
        waking: row.waking,
        waits: row.waits,
        wakes: row.wakes,
        p99: quantile(&row.histogram, 0.99),
    })
}

/// The length that the fraction `q` of the waits stays below, interpolated inside its bucket. The
/// first bucket reaches down to nothing; the last is taken as wide as the others, as nothing tells
/// how long its waits were.
fn quantile(histogram: &[u64; WAIT_BUCKETS], q: f64) -> Option<Nanos> {
    let total: u64 = histogram
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count));
    if total == 0 {
        return None;
    }
    let rank = total as f64 * q;
    let mut below = 0.0;
    let mut low = 0.0;
    let mut high = 2048.0;
    for &count in histogram {
        let count = count as f64;
        if count > 0.0 && below + count >= rank {
            let part = ((rank - below) / count).clamp(0.0, 1.0);
            return Some(Nanos::from_seconds((low + (high - low) * part) / 1e9));
        }
        below += count;
        low = high;
        high *= 2.0;
    }
    Some(Nanos::from_seconds(low / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_lies_inside_its_bucket() {
        let mut histogram = [0; WAIT_BUCKETS];
        assert_eq!(quantile(&histogram, 0.99), None);
        histogram[0] = 100;
        assert_eq!(quantile(&histogram, 0.5), Some(Nanos(1024)));
        histogram[10] = 100;
        let p99 = quantile(&histogram, 0.99).unwrap();
        assert!(p99 > Nanos(1 << 20) && p99 < Nanos(1 << 21), "{p99:?}");
        let mut last = [0; WAIT_BUCKETS];
        last[WAIT_BUCKETS - 1] = 1;
        assert!(quantile(&last, 0.99).unwrap() <= Nanos(1 << 26));
    }
}
