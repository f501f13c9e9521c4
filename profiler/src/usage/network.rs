//! Network: the counters of a namespace belong to one party; on the host's network, sockets tell.
//!
//! Where parties share a namespace, as the containers of a pod do, its counters go to one of them,
//! so that nothing counts twice: a pod's own containers come before its sandbox, and among equals
//! the one whose cgroup path sorts first. The others' network is absent.

use super::Books;
use super::tree::Tree;
use dunnage_model::observation::{NetworkReading, Observation};
use dunnage_model::party::Party;
use dunnage_model::units::Bytes;
use dunnage_model::usage::NetworkUse;
use std::collections::{BTreeMap, HashMap, HashSet};

pub(super) fn fill(observation: &Observation, tree: &Tree<'_>, books: &mut Books<'_>) {
    let mut private = HashSet::new();
    let mut sharers: BTreeMap<u64, (NetworkReading, Vec<usize>)> = BTreeMap::new();
    let mut on_host = HashSet::new();
    for place in tree.places() {
        let Some(network) = place.after.network else {
            continue;
        };
        if network.host {
            on_host.insert(place.party);
        } else {
            private.insert(place.party);
            sharers
                .entry(network.namespace)
                .or_insert((network, Vec::new()))
                .1
                .push(place.party);
        }
    }
    let before: HashMap<u64, NetworkReading> = (observation.before.cgroups.iter())
        .filter_map(|cgroup| cgroup.network)
        .map(|network| (network.namespace, network))
        .collect();
    for (namespace, (now, parties)) in sharers {
        let then = before.get(&namespace).copied().unwrap_or_default();
        let order = |&index: &usize| {
            books
                .parties
                .get(index)
                .map(|party| precedence(&party.party))
        };
        let Some(owner) = parties.into_iter().min_by_key(order) else {
            continue;
        };
        let Some(party) = books.party_mut(owner) else {
            continue;
        };
        let sum = party.network.get_or_insert_default();
        sum.received += now.received.since(then.received);
        sum.sent += now.sent.since(then.sent);
        let dropped = now.dropped.saturating_sub(then.dropped);
        sum.dropped = Some(sum.dropped.unwrap_or(0).saturating_add(dropped));
    }
    sockets(observation, tree, books, &private, &on_host);
}

fn precedence(party: &Party) -> (bool, String) {
    let sandbox = party
        .pod
        .as_ref()
        .is_some_and(|pod| pod.container.as_deref() == Some("POD"));
    (sandbox, party.cgroup.clone().unwrap_or_default())
}

/// Traffic by socket, for those without a namespace of their own.
fn sockets(
    observation: &Observation,
    tree: &Tree<'_>,
    books: &mut Books<'_>,
    private: &HashSet<usize>,
    on_host: &HashSet<usize>,
) {
    let Some(sockets) = &observation.sockets else {
        return;
    };
    for &index in on_host.difference(private) {
        if let Some(party) = books.party_mut(index) {
            party.network.get_or_insert_default();
        }
    }
    for traffic in sockets {
        let owner = dunnage_model::observation::Owner::V2(traffic.v2_id);
        let Some(path) = tree.path_of(owner).filter(|path| &**path != "/") else {
            continue;
        };
        let index = books.account_of_cgroup(&path);
        if private.contains(&index) || (traffic.received, traffic.sent) == (Bytes(0), Bytes(0)) {
            continue;
        }
        if let Some(party) = books.party_mut(index) {
            let sum: &mut NetworkUse = party.network.get_or_insert_default();
            sum.received += traffic.received;
            sum.sent += traffic.sent;
        }
    }
}
