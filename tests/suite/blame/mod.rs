//! Who harms whom: the right verdict in each labelled scenario, under Docker and under plain runc.
//!
//! The scenarios are the table in `scenarios.rs`; adding one is an entry there and a line here.

mod check;
mod scenarios;

use anyhow::Result;
use dunnage_tests::engine::{docker, runc};

macro_rules! under_both_engines {
    ($($name:ident: $scenario:ident,)*) => {
        mod under_docker {
            use super::{Result, check, docker, scenarios};
            $(#[test]
            fn $name() -> Result<()> {
                check::check(|| Ok(docker()?), &scenarios::$scenario)
            })*
        }
        mod under_runc {
            use super::{Result, check, runc, scenarios};
            $(#[test]
            fn $name() -> Result<()> {
                check::check(|| Ok(runc()?), &scenarios::$scenario)
            })*
        }
    };
}

under_both_engines! {
    culprit_on_the_same_cpu_and_light_bystander_beside: ALL_ON_ONE_CPU,
    bystander_on_the_other_cpu_uses_most: BYSTANDER_ELSEWHERE,
    all_on_both_cpus: ALL_ON_BOTH_CPUS,
    two_culprits_with_unequal_shares: UNEQUAL_CULPRITS,
    culprit_that_forks_all_the_time: FORK_STORM,
    culprit_that_comes_in_bursts: BURSTS,
    culprit_that_is_a_host_service: HOST_SERVICE,
    held_back_by_its_own_quota: OWN_QUOTA,
    equal_spinners_share: EQUAL_SPINNERS,
    busy_neighbour_that_delays_nobody: HARMLESS_HOG,
    quiet_host: QUIET,
}
