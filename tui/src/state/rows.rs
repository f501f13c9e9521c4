//! Which parties the table shows, and in which order. Pure.

use dunnage_model::party::Party;
use dunnage_model::usage::PartyUse;
use std::cmp::Reverse;

/// What the table is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// CPU time, most first.
    #[default]
    Cpu,
    /// Run-queue wait, most first.
    Wait,
    /// Memory in use, most first.
    Memory,
    /// Name, alphabetically.
    Name,
}

impl Sort {
    /// The one after this.
    pub(crate) fn next(self) -> Sort {
        match self {
            Sort::Cpu => Sort::Wait,
            Sort::Wait => Sort::Memory,
            Sort::Memory => Sort::Name,
            Sort::Name => Sort::Cpu,
        }
    }

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Sort::Cpu => "cpu",
            Sort::Wait => "wait",
            Sort::Memory => "memory",
            Sort::Name => "name",
        }
    }
}

/// Indices of those parties that match `filter`, sorted. Equal ones by name, then by key, so that
/// rows do not jump about.
pub(crate) fn arranged(parties: &[PartyUse], sort: Sort, filter: &str) -> Vec<usize> {
    let filter = filter.to_lowercase();
    let mut rows: Vec<usize> = (0..parties.len())
        .filter(|i| matches(&parties[*i].party, &filter))
        .collect();
    rows.sort_by_cached_key(|i| {
        let row = &parties[*i];
        let amount = match sort {
            Sort::Cpu => row.cpu.usage.0,
            // Absent sorts behind zero.
            Sort::Wait => row
                .cpu
                .runqueue_wait
                .map_or(0, |wait| wait.0.saturating_add(1)),
            Sort::Memory => row
                .memory
                .map_or(0, |memory| memory.used.0.saturating_add(1)),
            Sort::Name => 0,
        };
        (
            Reverse(amount),
            row.party.name.to_lowercase(),
            row.party.key.clone(),
        )
    });
    rows
}

/// Whether anything that names the party contains `filter`, which is in lower case.
fn matches(party: &Party, filter: &str) -> bool {
    let pod = party.pod.as_ref();
    let texts = [
        Some(party.name.as_str()),
        Some(party.id.as_str()),
        Some(party.kind.as_str()),
        party.engine.as_deref(),
        party.image.as_deref(),
        party.cgroup.as_deref(),
        pod.and_then(|pod| pod.namespace.as_deref()),
        pod.and_then(|pod| pod.name.as_deref()),
    ];
    filter.is_empty()
        || texts
            .into_iter()
            .flatten()
            .any(|t| t.to_lowercase().contains(filter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn names(sort: Sort, filter: &str) -> Vec<String> {
        let parties = sample::tick().window.parties;
        let name = |i: usize| parties[i].party.name.clone();
        arranged(&parties, sort, filter)
            .into_iter()
            .map(name)
            .collect()
    }

    #[test]
    fn each_order_is_its_own() {
        assert_eq!(names(Sort::Cpu, ""), ["cache", "batch", "web", "kernel"]);
        assert_eq!(names(Sort::Wait, ""), ["web", "batch", "cache", "kernel"]);
        assert_eq!(names(Sort::Memory, ""), ["batch", "web", "cache", "kernel"]);
        assert_eq!(names(Sort::Name, ""), ["batch", "cache", "kernel", "web"]);
    }

    #[test]
    fn a_filter_looks_at_all_names() {
        assert_eq!(names(Sort::Cpu, "shop/web"), ["web"], "the image");
        assert_eq!(names(Sort::Cpu, "docker").len(), 3, "the engine");
        assert_eq!(names(Sort::Cpu, "nobody").len(), 0);
    }
}
