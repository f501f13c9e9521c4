//! Makes the amounts of one window add up. Pure.

use dunnage_model::observation::{BlamePair, Owner, OwnerCpu, OwnerWindow, WAIT_BUCKETS};
use dunnage_model::units::Nanos;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Those who ran longest on a CPU; what they ran is nearly all that anybody waited for.
const MOST_RUNNERS: usize = 64;

/// Splits what found no place in the table of pairs over who ran most on that CPU in the window.
/// `spills` are by place in `owners`, in step with its `cpus`.
pub(super) fn apportion(
    owners: &mut [OwnerWindow],
    spills: &[(usize, Vec<Nanos>)],
    pairs: &mut Vec<BlamePair>,
) {
    let runners = if spills.is_empty() {
        FxHashMap::default()
    } else {
        runners(owners)
    };
    for (victim, spilled) in spills {
        let victim = &mut owners[*victim];
        for (at, amount) in spilled
            .iter()
            .enumerate()
            .filter(|(_, s)| **s > Nanos::ZERO)
        {
            let ran = victim
                .cpus
                .get(at)
                .and_then(|c| runners.get(&c.cpu))
                .map_or(&[][..], Vec::as_slice);
            let all: u128 = ran.iter().map(|(_, run)| u128::from(*run)).sum();
            let mut left = amount.0;
            for (culprit, run) in ran {
                let part = u128::from(amount.0) * u128::from(*run) / all.max(1);
                let part = u64::try_from(part).unwrap_or(left).min(left);
                left -= part;
                pairs.push(BlamePair {
                    victim: victim.owner,
                    culprit: *culprit,
                    time: Nanos(part),
                });
            }
            victim.unexplained += Nanos(left);
            victim.apportioned += Nanos(amount.0 - left);
        }
    }
}

/// Who ran how long on each CPU, longest first, the longest [`MOST_RUNNERS`] alone.
fn runners(owners: &[OwnerWindow]) -> FxHashMap<u32, Vec<(Owner, u64)>> {
    let mut runners: FxHashMap<u32, Vec<(Owner, u64)>> = FxHashMap::default();
    for owner in owners {
        for cpu in owner.cpus.iter().filter(|c| c.run > Nanos::ZERO) {
            runners
                .entry(cpu.cpu)
                .or_default()
                .push((owner.owner, cpu.run.0));
        }
    }
    for ran in runners.values_mut() {
        ran.sort_unstable_by_key(|(_, run)| std::cmp::Reverse(*run));
        ran.truncate(MOST_RUNNERS);
    }
    runners
}

/// Multiplies all amounts, for a window of which only a part was watched.
pub(super) fn scale(owners: &mut [OwnerWindow], pairs: &mut [BlamePair], factor: f64) {
    let scaled = |n: &mut Nanos| *n = Nanos::from_seconds(n.seconds() * factor);
    for owner in owners {
        for cpu in &mut owner.cpus {
            scaled(&mut cpu.run);
            scaled(&mut cpu.wait);
        }
        scaled(&mut owner.throttled);
        scaled(&mut owner.unexplained);
        scaled(&mut owner.apportioned);
        scaled(&mut owner.waking);
    }
    for pair in pairs {
        scaled(&mut pair.time);
    }
}

/// Sets each owner's waits to what was charged for them and what is unexplained.
///
/// The two tables are read one after the other while the kernel writes both, so they end some
/// microseconds apart. What is missing now comes with the next window.
pub(super) fn balance(
    owners: &mut Vec<OwnerWindow>,
    pairs: &[BlamePair],
    path: impl Fn(Owner) -> Option<Arc<str>>,
) {
    let mut charged: FxHashMap<Owner, u64> = FxHashMap::default();
    for pair in pairs {
        *charged.entry(pair.victim).or_default() += pair.time.0;
    }
    for owner in owners.iter_mut() {
        let sum = charged
            .remove(&owner.owner)
            .unwrap_or(0)
            .saturating_add(owner.unexplained.0);
        set_wait(owner, sum);
    }
    for (owner, sum) in charged {
        owners.push(OwnerWindow {
            owner,
            path: path(owner),
            command: None,
            cpus: vec![OwnerCpu {
                cpu: 0,
                run: Nanos::ZERO,
                wait: Nanos(sum),
            }],
            throttled: Nanos::ZERO,
            unexplained: Nanos::ZERO,
            apportioned: Nanos::ZERO,
            waking: Nanos::ZERO,
            waits: 0,
            wakes: 0,
            histogram: [0; WAIT_BUCKETS],
        });
    }
}

fn set_wait(owner: &mut OwnerWindow, sum: u64) {
    let was: u128 = owner.cpus.iter().map(|c| u128::from(c.wait.0)).sum();
    let mut left = sum;
    for cpu in &mut owner.cpus {
        let part = u128::from(cpu.wait.0) * u128::from(sum) / was.max(1);
        cpu.wait = Nanos(u64::try_from(part).unwrap_or(left).min(left));
        left -= cpu.wait.0;
    }
    match owner.cpus.first_mut() {
        Some(first) => first.wait += Nanos(left),
        None if left > 0 => owner.cpus.push(OwnerCpu {
            cpu: 0,
            run: Nanos::ZERO,
            wait: Nanos(left),
        }),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owner(id: u64, cpus: &[(u64, u64)], unexplained: u64) -> OwnerWindow {
        let cpus = cpus.iter().zip(0..).map(|((run, wait), cpu)| OwnerCpu {
            cpu,
            run: Nanos(*run),
            wait: Nanos(*wait),
        });
        OwnerWindow {
            owner: Owner::V2(id),
            path: None,
            command: None,
            cpus: cpus.collect(),
            throttled: Nanos::ZERO,
            unexplained: Nanos(unexplained),
            apportioned: Nanos::ZERO,
            waking: Nanos::ZERO,
            waits: 1,
            wakes: 1,
            histogram: [0; WAIT_BUCKETS],
        }
    }

    fn waited(owner: &OwnerWindow) -> u64 {
        owner.cpus.iter().map(|c| c.wait.0).sum()
    }

    #[test]
    fn what_found_no_place_goes_to_those_who_ran_on_that_cpu() {
        let mut owners = vec![
            owner(1, &[(0, 90)], 0),
            owner(2, &[(200, 0)], 0),
            owner(3, &[(100, 0), (500, 0)], 0),
        ];
        let mut pairs = Vec::new();
        apportion(&mut owners, &[(0, vec![Nanos(90)])], &mut pairs);
        let of = |id| {
            pairs
                .iter()
                .find(|p| p.culprit == Owner::V2(id))
                .unwrap()
                .time
        };
        assert_eq!((of(2), of(3)), (Nanos(60), Nanos(30)));
        assert_eq!(owners[0].apportioned, Nanos(90));
    }

    proptest! {
        #[test]
        fn after_balancing_every_row_adds_up(
            waits in proptest::collection::vec((0_u64..1 << 40, 0_u64..1 << 40), 0..4),
            unexplained in 0_u64..1 << 30,
            charges in proptest::collection::vec((1_u64..4, 1_u64..4, 0_u64..1 << 40), 0..12),
        ) {
            let mut owners = vec![owner(1, &waits, unexplained)];
            let pairs: Vec<BlamePair> = charges
                .iter()
                .map(|(v, c, t)| BlamePair { victim: Owner::V2(*v), culprit: Owner::V2(*c), time: Nanos(*t) })
                .collect();
            balance(&mut owners, &pairs, |_| None);
            for o in &owners {
                let charged: u64 = pairs.iter().filter(|p| p.victim == o.owner).map(|p| p.time.0).sum();
                prop_assert_eq!(waited(o), charged + o.unexplained.0);
            }
            for pair in &pairs {
                prop_assert!(owners.iter().any(|o| o.owner == pair.victim));
            }
        }
    }
}
