//! Hardware counters, by party.

use super::Accounts;
use dunnage_model::observation::CounterWindow;
use dunnage_model::usage::PartyCounters;
use std::collections::BTreeMap;

/// One row a party that ran with counters. Misses are known where those of all its owners are.
pub(super) fn rows(
    window: &CounterWindow,
    accounts: &mut Accounts<'_, '_, '_, '_>,
) -> Vec<PartyCounters> {
    let mut rows: BTreeMap<usize, PartyCounters> = BTreeMap::new();
    for owner in &window.owners {
        let party = accounts.of(owner.owner);
        let row = rows.entry(party).or_insert(PartyCounters {
            party,
            cycles: 0,
            instructions: 0,
            cache_misses: Some(0),
        });
        row.cycles = row.cycles.saturating_add(owner.cycles);
        row.instructions = row.instructions.saturating_add(owner.instructions);
        row.cache_misses = row
            .cache_misses
            .zip(owner.cache_misses)
            .map(|(sum, more)| sum.saturating_add(more));
    }
    rows.into_values().collect()
}
