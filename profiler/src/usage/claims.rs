//! What each party may use of the CPUs: weights, quotas and cpusets of its cgroup and its parents.

use super::Books;
use super::tree::{Tree, parents};
use dunnage_model::observation::Observation;
use dunnage_model::units::Nanos;
use dunnage_model::usage::{CpuClaim, LevelWeight, ParentQuota};

pub(super) fn fill(observation: &Observation, tree: &Tree<'_>, books: &mut Books<'_>) {
    for party in &mut books.parties {
        if let Some(root) = party.party.cgroup.clone().filter(|root| root != "/") {
            party.claim = claim(observation.host.cpus, tree, &root);
        }
    }
}

fn claim(cpus: u32, tree: &Tree<'_>, root: &str) -> CpuClaim {
    let mut claim = CpuClaim::default();
    for path in std::iter::once(root).chain(parents(root)) {
        let Some((reading, before)) = tree.last(path) else {
            continue;
        };
        let limits = &reading.cpu_limits;
        if let Some(weight) = limits.weight {
            claim.weights.push(LevelWeight {
                path: reading.path.clone(),
                weight,
            });
        }
        if claim.cpuset.is_none() {
            claim.cpuset.clone_from(&limits.cpuset);
        }
        let Some(quota) = limits.quota_cpus else {
            continue;
        };
        if path == root {
            claim.quota_cpus = Some(quota);
        } else {
            let throttled = |reading: &dunnage_model::observation::CgroupReading| {
                reading
                    .cpu
                    .and_then(|cpu| cpu.throttled)
                    .unwrap_or(Nanos::ZERO)
            };
            let then = before.map_or(Nanos::ZERO, throttled);
            claim.parent_quotas.push(ParentQuota {
                path: reading.path.clone(),
                cpus: quota,
                throttled: throttled(reading).since(then),
            });
        }
    }
    claim.weights.reverse();
    // A set that leaves no CPU out restrains nobody.
    let all = usize::try_from(cpus).unwrap_or(usize::MAX);
    claim.cpuset = claim.cpuset.filter(|set| set.len() < all);
    claim
}
